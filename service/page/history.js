// Where the person is, as steps with addresses, so that Back, Forward, reload and a shared link do what they do elsewhere.
//   /                                  the start
//   /?from=captions/ID&find=images     neighbours of an item (to be shared)
//   /?mine=2&find=captions             results for the second thing said or shown since the page was loaded
// A trail is the list of {step, label} that led here, the present one last; it lives in history.state.

import { other, within } from "./about.js";

export const START = Object.freeze({ kind: "start" });
const NOWHERE = Object.freeze({ kind: "nowhere" });

const COLLECTIONS = ["images", "captions"];

export function urlOf(step) {
  if (step.kind === "item") {
    return `/?from=${step.collection}/${encodeURIComponent(step.id)}&find=${step.find}`;
  }
  return step.kind === "mine" ? `/?mine=${step.number}&find=${step.find}` : "/";
}

/** Reads an address; `nowhere` is one that was mistyped or cut short. */
export function stepOf(search) {
  const query = new URLSearchParams(search);
  const wanted = query.get("find");
  const from = query.get("from");
  if (from !== null) {
    const slash = from.indexOf("/");
    const collection = from.slice(0, slash);
    const id = from.slice(slash + 1);
    if (!COLLECTIONS.includes(collection) || !id) return NOWHERE;
    return { kind: "item", collection, id, find: COLLECTIONS.includes(wanted) ? wanted : other(collection) };
  }
  const number = Number(query.get("mine"));
  if (!query.has("mine")) return START;
  if (!Number.isInteger(number) || number < 1) return NOWHERE;
  return { kind: "mine", number, find: COLLECTIONS.includes(wanted) ? wanted : "images" };
}

/** Neighbours of an item; of the other kind where nothing else is asked for. */
export const fromItem = (collection, id, find = within(other(collection))) => ({ kind: "item", collection, id, find });

export const trailNow = () => history.state?.trail ?? [];

export const placeNow = () => ({ scroll: history.state?.scroll ?? 0, focus: history.state?.focus });

/** Enters a step. replace: the same step shown otherwise, no new entry for Back. */
export function enter(step, trail, { replace = false } = {}) {
  if (replace) history.replaceState({ ...history.state, trail }, "", urlOf(step));
  else history.pushState({ trail }, "", urlOf(step));
}

/** Notes how far down the page the person is, and on which link, for when they come back to this entry. */
export function leavePlace() {
  history.replaceState({ ...history.state, scroll: window.scrollY, focus: document.activeElement?.id || undefined }, "");
}

export function onReturn(handler) {
  history.scrollRestoration = "manual";
  window.addEventListener("popstate", () => handler(stepOf(location.search)));
}
