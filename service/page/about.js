// What the service says of its index: which collections there are, and what their scores mean. Asked once a generation.

import * as api from "./api.js";
import { count } from "./catalogue.js";

let known;

/** What is served: as known already where `generation` is the one known, else asked anew. */
export async function aboutIndex(generation) {
  if (!known || known.generation !== generation) known = await api.index();
  return known;
}

/** True until it is known otherwise: then the service has the word. */
export const holds = (collection) => !known || collection in known.collections;

export const other = (collection) => (collection === "images" ? "captions" : "images");

/** Where to look for what goes with a query: in the wanted collection, or in the one there is. */
export const within = (wanted) => (holds(wanted) ? wanted : other(wanted));

/** "512 pictures · 2,560 spoken captions". */
export function holdings(about) {
  return ["images", "captions"].filter((one) => one in about.collections)
    .map((one) => count(about.collections[one].count, one)).join(" · ");
}
