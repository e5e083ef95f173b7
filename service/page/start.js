// The first look: a few pictures to begin from, and a sentence worth saying, taken from what was really said of them.

import * as api from "./api.js";
import { count, nameOf, remember, wordsOf } from "./catalogue.js";
import { byId, element, icon } from "./dom.js";
import { itemLink, thumbnail } from "./results.js";

const SHOWN = 8;

/** Fills the start from the first `page` items of each collection; throws what api throws while the service is not ready. */
export async function fillStart(follow, page) {
  const [captions, images, about] = await Promise.all([api.items("captions", page), api.items("images", page), api.index()]);
  remember("captions", captions.items);
  remember("images", images.items);
  renderHoldings(about);
  renderIdea(captions.items.filter((one) => wordsOf("captions", one)), follow);
  renderSamples(images.items, follow);
}

function renderHoldings(about) {
  const of = (collection) => about.collections?.[collection]?.count;
  const parts = ["images", "captions"].filter((one) => typeof of(one) === "number").map((one) => count(of(one), one));
  byId("holdings").textContent = parts.join(" · ");
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
