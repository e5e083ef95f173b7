// What was searched with, shown beside its results: the person's own recording or picture, or an item of the index.

import { mediaUrl, thumbnailUrl } from "./api.js";
import { nameOf, wordsOf } from "./catalogue.js";
import { element } from "./dom.js";
import { createPlayer } from "./player.js";
import { thumbnail } from "./results.js";
import { openViewer, viewable } from "./viewer.js";

/**
 * own: {modality, url, name, seconds, wave, recorded}. told: the `query` part of the service's answer. maxSeconds: how long
 * the service listens, where that is known.
 */
export function renderOwn(panel, own, told, maxSeconds) {
  const seconds = own.seconds ?? told.seconds;
  const heard = own.modality === "speech";
  const title = heard ? (own.recorded ? "You said" : "You played") : "You showed";
  const body = heard
    ? createPlayer({ url: own.url, name: own.recorded ? "your recording" : own.name, wave: own.wave, seconds })
    : enlargeable(element("img", { src: own.url, alt: `Your picture ${own.name}` }), () => ({ url: own.url, name: `Your picture ${own.name}` }));
  body.querySelector("img")?.addEventListener("error", () => body.replaceWith(element("p", {}, "A picture of a kind that this browser cannot show.")));
  const heardPart = maxSeconds ? `the first ${maxSeconds} seconds were` : "its beginning was";
  const note = told.truncated ? `Only ${heardPart} listened to.` : null;
  fill(panel, title, body, note ?? (own.recorded ? null : own.name));
}

export function renderItem(panel, collection, found) {
  const words = wordsOf(collection, found);
  const body = collection === "images"
    ? enlargeable(thumbnail(found, { eager: true, large: true }), () => viewable(found, { found: undefined }))
    : createPlayer({ url: mediaUrl(collection, found), name: nameOf(collection, found),
        wave: thumbnailUrl(collection, found), seconds: found.metadata?.seconds ?? found.seconds });
  fill(panel, collection === "images" ? "Starting from this picture" : "Starting from this caption", body,
    words ? null : found.id, collection === "captions" ? words : undefined);
}

function enlargeable(image, pictureOf) {
  const button = element("button", { type: "button", class: "enlarge", "aria-label": `Enlarge: ${image.alt}` }, image);
  button.addEventListener("click", () => openViewer([{ ...pictureOf(), opener: button }], 0));
  return button;
}

function fill(panel, title, body, note, quote) {
  panel.replaceChildren(...[
    element("h2", { class: "query-title" }, title),
    quote ? element("p", { class: "words" }, quote) : null,
    element("div", { class: "query-body" }, body),
    note ? element("p", { class: "query-note" }, note) : null,
  ].filter(Boolean));
  panel.hidden = false;
}
