// Pictures seen large, one after the other: Esc closes, arrow keys go on. It shows what it is given and follows what is
// chosen; where the person came from gets the focus back.

import { mediaUrl, thumbnailUrl } from "./api.js";
import { nameOf, wordsOf } from "./catalogue.js";
import { byId, element } from "./dom.js";
import { icon } from "./icons.js";

const NOT_SHOWN = "This picture cannot be shown: its file is gone, or of a kind that this browser does not know.";
const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

let shown = [];
let at = 0;
let follow;

/** pictures: [{url, thumbnail?, name, words?, mark?, found?, opener?}]; onFollow(collection, found): search by one. */
export function openViewer(pictures, start, onFollow) {
  shown = pictures;
  follow = onFollow;
  byId("viewer").showModal();
  show(start);
}

/** A picture of the index as the viewer wants it. */
export const viewable = (found, rest = {}) => ({
  url: mediaUrl("images", found), thumbnail: thumbnailUrl("images", found), name: nameOf("images", found),
  words: wordsOf("images", found), found, ...rest,
});

function show(next) {
  at = Math.min(shown.length - 1, Math.max(0, next));
  const { url, name, words, mark, found } = shown[at];
  const picture = byId("viewer-picture");
  picture.src = url;
  picture.alt = name;
  tell(words ?? "");
  byId("viewer-place").textContent = shown.length > 1 ? `${at + 1} of ${shown.length}` : "";
  byId("viewer-mark").replaceChildren(...(mark ? [mark.cloneNode(true)] : []));
  byId("viewer-follow").hidden = !found;
  for (const [id, there] of [["viewer-back", at > 0], ["viewer-on", at < shown.length - 1]]) {
    byId(id).hidden = shown.length < 2;
    // Not `disabled`, which would take the focus from whoever has just come to the end by this button.
    byId(id).setAttribute("aria-disabled", String(!there));
  }
}

/** quoted: somebody's words, and not ours. */
function tell(words, { quoted = true } = {}) {
  byId("viewer-words").textContent = words;
  byId("viewer-words").classList.toggle("unworded", !quoted);
}

/** Some formats that can be indexed no browser shows (TIFF), and a file may be gone: then the thumbnail does, once. */
function fallBack() {
  const picture = byId("viewer-picture");
  const { thumbnail } = shown[at];
  if (thumbnail && picture.getAttribute("src") !== thumbnail) {
    picture.src = thumbnail;
    return;
  }
  picture.removeAttribute("src");
  tell(NOT_SHOWN, { quoted: false });
}

/** A button over a picture that opens it large. */
export function zoomButton(name, open) {
  const button = element("button", { type: "button", class: "zoom", "aria-label": `Enlarge: ${name}` }, icon("zoom"));
  button.addEventListener("click", open);
  return button;
}

export function setUpViewer() {
  const dialog = byId("viewer");
  byId("viewer-picture").addEventListener("error", fallBack);
  byId("viewer-back").addEventListener("click", () => show(at - 1));
  byId("viewer-on").addEventListener("click", () => show(at + 1));
  byId("viewer-close").addEventListener("click", () => dialog.close());
  byId("viewer-follow").addEventListener("click", () => {
    const { found } = shown[at];
    dialog.close();
    follow("images", found);
  });
  // Beside the picture is outside.
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  dialog.addEventListener("keydown", (event) => {
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    show(at + STEPS[event.key]);
  });
  dialog.addEventListener("close", () => {
    byId("viewer-picture").removeAttribute("src");
    shown[at]?.opener?.focus();
  });
}
