// The key that a guarded service asks for. It lives in a cookie that ends with the browser's session and goes to this
// service's calls alone: pictures and sounds are fetched by the browser itself, which sends cookies but no headers of ours.

import { element } from "./dom.js";

function use(key) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `saysee_key=${encodeURIComponent(key)}; Path=/v1; SameSite=Strict${secure}`;
}

/** A field for the key and a button; given one, `done` is called. */
export function keyField(done) {
  const field = element("input", { type: "password", class: "key-field", id: "key", name: "key", required: true, autocomplete: "off",
    spellcheck: false });
  const form = element("form", { class: "alert-ways key-form" }, element("label", { for: "key" }, "Key for this service"), field, element("button", { class: "button" }, "Use this key"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = field.value.trim();
    if (!key) return;
    use(key);
    done();
  });
  return form;
}
