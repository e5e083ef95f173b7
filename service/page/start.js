// The first look: a few pictures to begin from, and a sentence worth saying, taken from what was really said of them.

import { aboutIndex, holdings } from "./about.js";
import * as api from "./api.js";
import { nameOf, remember, wordsOf } from "./catalogue.js";
import { byId, element } from "./dom.js";
import { icon } from "./icons.js";
import { itemLink, thumbnail } from "./results.js";

const SHOWN = 8;

/**
 * Fills the start from the first `page` items of each collection there is, and says what is served; throws what api throws
 * while the service is not ready.
 */
export async function fillStart(follow, page) {
  const about = await aboutIndex();
  const [captions, images] = await Promise.all(["captions", "images"].map(
    async (one) => (one in about.collections ? remember(one, (await api.items(one, page)).items) : [])));
  byId("holdings").textContent = holdings(about);
  for (const radio of document.querySelectorAll("input[name=want], input[name=show]")) {
    radio.disabled = radio.value !== "auto" && !(radio.value in about.collections);
    if (radio.disabled) radio.title = `This index has no ${radio.value === "images" ? "pictures" : "spoken captions"}.`;
  }
  renderIdea(captions.filter((one) => wordsOf("captions", one)), follow);
  renderSamples(images, follow);
  return about;
}

function renderSamples(images, follow) {
  // Pictures whose words are known make the better start, and a stride over the page a more varied one than its head.
  const worded = images.filter((one) => wordsOf("images", one));
  const pool = worded.length >= SHOWN ? worded : images;
  const stride = Math.max(1, Math.floor(pool.length / SHOWN));
  const chosen = pool.filter((_, at) => at % stride === 0).slice(0, SHOWN);
  byId("samples").replaceChildren(...chosen.map((one) => element("li", {},
    itemLink("images", one, follow, { class: "picture", title: nameOf("images", one), id: `sample-${one.id}` }, thumbnail(one, { eager: true }),
      element("span", { class: "whisper", "aria-hidden": "true" }, icon("speech"), "Hear its captions")))));
  byId("start").dataset.empty = chosen.length === 0;
  byId("start-title").textContent = chosen.length ? "Or start from one of these" : "There are no pictures in this index yet";
}

function renderIdea(captions, follow) {
  const box = byId("idea");
  box.hidden = captions.length === 0;
  if (box.hidden) return;
  let at = Math.floor(captions.length / 3);
  const words = element("q", { class: "idea-words" });
  const shuffle = element("button", { type: "button", class: "button plain" }, icon("another"), "Another");
  const lend = element("span", {});

  function show() {
    const one = captions[at % captions.length];
    words.textContent = wordsOf("captions", one).replace(/[.\s]+$/, "");
    lend.replaceChildren(itemLink("captions", one, follow, { class: "button plain", id: "idea-voice" }, icon("speech"), "Let a voice say it"));
  }
  shuffle.addEventListener("click", () => {
    // A stride coprime to most page lengths: neighbouring captions belong to the same picture and would bore.
    at += 37;
    show();
  });
  show();
  box.replaceChildren(element("p", { class: "idea-line", "aria-live": "polite" }, "Try saying ", words),
    element("p", { class: "idea-ways" }, shuffle, lend));
}
