// Hits as a person sees them: a grid of pictures or a list of spoken captions to play. Each is a link to its own
// neighbours, so it opens in a new tab, can be shared and is reached with Tab like any link.

import { mediaUrl, thumbnailUrl } from "./api.js";
import { nameOf, wordsOf } from "./catalogue.js";
import { closenessMark } from "./closeness.js";
import { element } from "./dom.js";
import { fromItem, urlOf } from "./history.js";
import { icon } from "./icons.js";
import { createPlayer } from "./player.js";
import { openViewer, viewable, zoomButton } from "./viewer.js";

/** measured: what scores mean for this query, where it is known. follow(collection, item): a hit's link was followed. */
export function renderHits(list, answer, measured, follow) {
  const collection = answer.target;
  list.dataset.collection = collection;
  // Cosine scores end at 1; dot products do not, and then the best hit fills the bar.
  const largest = Math.max(1, ...answer.hits.map((hit) => hit.score));
  const marks = answer.hits.map((hit) => closenessMark(hit.score, measured, { largest }));
  const enlarge = (at) => openViewer(answer.hits.map((hit, one) => viewable(hit, { mark: marks[one],
    opener: list.children[one]?.querySelector(".zoom") })), at, follow);
  const render = collection === "images" ? pictureHit : captionHit;
  list.replaceChildren(...answer.hits.map((hit, at) => element("li", { class: "hit" },
    ...render(hit, follow, () => enlarge(at)), marks[at])));
}

/** A link to an item's neighbours. Plain clicks stay in the page; with a modifier the browser does what it always does. */
export function itemLink(collection, found, follow, properties, ...children) {
  const link = element("a", { href: urlOf(fromItem(collection, found.id)), ...properties }, ...children);
  link.addEventListener("click", (event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button !== 0) return;
    event.preventDefault();
    follow(collection, found);
  });
  return link;
}

/** eager: at once, not when scrolled to. large: shown large, so the picture itself takes the thumbnail's place when it is here. */
export function thumbnail(found, { eager = false, large = false } = {}) {
  const image = element("img", { src: thumbnailUrl("images", found), alt: nameOf("images", found),
    loading: eager ? "eager" : "lazy", decoding: "async", width: 256, height: 256 });
  const whole = mediaUrl("images", found);
  // Where no thumbnail was made the picture itself does; once only, or a missing picture would ask for ever.
  image.addEventListener("error", () => { image.src = whole; }, { once: true });
  if (large) {
    // Some formats that can be indexed no browser shows (TIFF): then the thumbnail stays.
    const ahead = element("img", { src: whole });
    ahead.decode().then(() => { image.src = whole; }, () => undefined);
  }
  return image;
}

function pictureHit(hit, follow, enlarge) {
  const words = wordsOf("images", hit);
  return [
    element("div", { class: "frame" },
      itemLink("images", hit, follow, { class: "picture", title: words ?? "", id: `hit-${hit.id}` },
        thumbnail(hit, { eager: hit.rank <= 5, large: hit.rank === 1 }),
        element("span", { class: "whisper", "aria-hidden": "true" }, icon("speech"), "Hear its captions")),
      zoomButton(nameOf("images", hit), enlarge)),
    hit.rank === 1 ? element("p", { class: "closest" }, "Closest") : null,
  ];
}

function captionHit(hit, follow) {
  const { voice, seconds } = hit.metadata ?? {};
  const name = nameOf("captions", hit);
  const words = wordsOf("captions", hit);
  return [
    element("div", { class: "said" },
      itemLink("captions", hit, follow, { class: words ? "words" : "words unworded", title: words ?? "", id: `hit-${hit.id}` }, name,
        element("span", { class: "reach" })),
      element("p", { class: "by" },
        voice ? element("span", {}, element("span", { class: "voice-word" }, "Voice "), voiceName(voice)) : null,
        element("span", { class: "whisper", "aria-hidden": "true" }, "See its pictures", icon("arrow")))),
    createPlayer({ url: mediaUrl("captions", hit), name, wave: thumbnailUrl("captions", hit), seconds: seconds ?? hit.seconds }),
  ];
}

/** A voice without the engine it came from: "espeak:en-gb+Annie" is called en-gb+Annie. */
const voiceName = (voice) => String(voice).replace(/^[a-z]+:/, "");

/** How long it took and which index answered. */
export function renderFoot(node, answer, elapsedMs) {
  const words = { decode: "decoding", queue: "waiting", encode: "encoding", search: "searching" };
  const parts = Object.entries(answer.timings_ms ?? {})
    .filter(([, value]) => value >= 0.05) // 0 is a stage that it did not go through; less than this would read as 0.0
    .map(([stage, value]) => `${words[stage] ?? stage} ${value < 10 ? value.toFixed(1) : Math.round(value)} ms`);
  node.replaceChildren(
    element("span", {}, `Answered in ${Math.round(elapsedMs)} ms${parts.length ? `: ${parts.join(", ")}` : ""}`),
    element("span", {}, "index ", element("code", {}, answer.generation ?? "unknown")),
    element("span", {}, "model ", element("code", {}, answer.model ?? "unknown")));
}
