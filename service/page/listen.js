// Hearing a list by walking through it: a caption whose play button gets the focus by Tab is played once the focus has
// rested there, and falls silent when it leaves. Never by mouse or touch, and only while its switch, which stands before
// the list, is on; the choice is kept. One sound at a time is the player's promise.

import { byId } from "./dom.js";
import { playIn, silence } from "./player.js";

const REST_MS = 650;
const KEPT = "saysee-listen";

export function listenOnFocus(list) {
  const box = byId("listen");
  let resting = 0;
  let byTab = false;
  let started = null; // the player that was started here; what a person started goes on

  box.checked = recall() !== "off";
  box.addEventListener("change", () => keep(box.checked ? "on" : "off"));
  document.addEventListener("keydown", (event) => { byTab = event.key === "Tab"; }, true);
  document.addEventListener("pointerdown", () => { byTab = false; }, true);

  list.addEventListener("focusin", ({ target }) => {
    clearTimeout(resting);
    if (!box.checked || !byTab || !target.matches(".play")) return;
    // A browser that lets no page sound before it was clicked refuses; then the button does what it says.
    resting = setTimeout(() => {
      started = target.closest(".player");
      playIn(started);
    }, REST_MS);
  });
  list.addEventListener("focusout", ({ target, relatedTarget }) => {
    clearTimeout(resting);
    if (!started || started !== target.closest(".player") || started.contains(relatedTarget)) return;
    started = null;
    silence();
  });
}

/** Storage may be forbidden: then the choice lasts as long as the page. */
function recall() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

function keep(choice) {
  try {
    localStorage.setItem(KEPT, choice);
  } catch {
    // as said
  }
}
