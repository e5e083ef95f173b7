// The map in its dialog: moved by dragging, magnified by wheel, pinch or buttons, walked with arrow keys. Pointing at an
// item shows it, choosing it searches by it. The list of results stays the way that needs no map.

import * as api from "./api.js";
import { nameOf, recall, remember, wordsOf } from "./catalogue.js";
import { byId, element } from "./dom.js";
import { createAtlas } from "./atlas.js";
import { drawMap, lens, WHOLE } from "./map.js";

const LARGEST = 60;
const REACH_PX = 14;
const ARROWS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

let map;
let stand;
let chosen;
let view = WHOLE;
let follow;
let due = 0;
let atlas;
let asking;

/** Opens it; stand: where the present query is, if there is one. */
export function openMap(loaded, standing, onFollow) {
  if (map !== loaded) atlas = createAtlas(loaded, redraw);
  map = loaded;
  stand = standing;
  follow = onFollow;
  choose(undefined);
  const { images = 0, captions = 0 } = map.counts;
  const all = map.total.images === images && map.total.captions === captions;
  byId("map-about").textContent = `${all ? "Every item" : `A sample of ${(images + captions).toLocaleString("en")} items`} of this index: what means alike lies close together.`
    + (stand ? stand.exact ? " Ringed: what you searched with." : " Ringed: your query, placed at the mean of its hits, the closest counting most." : "");
  byId("map-key-query").hidden = !stand;
  for (const [id, there] of [["map-images", images], ["map-captions", captions]]) byId(id).closest("label").hidden = !there;
  byId("map-canvas").setAttribute("aria-label", `Map of ${images} pictures and ${captions} spoken captions. Arrow keys go from item to item, Enter searches by it, plus and minus magnify.`);
  byId("map").showModal();
  go(stand ? { scale: 2.2, x: stand.x, y: stand.y } : WHOLE);
}

const size = () => byId("map-canvas").getBoundingClientRect();
const shown = () => ({ images: byId("map-images").checked, captions: byId("map-captions").checked });
const now = () => lens(view, size().width, size().height);

function redraw() {
  due ||= requestAnimationFrame(() => {
    due = 0;
    if (!byId("map").open) return;
    const to = now();
    drawMap(byId("map-canvas"), map, view, { shown: shown(), stand, chosen, thumbs: shown().images ? atlas(view, to, size(), stand?.hits) : undefined });
    placeCard(to);
  });
}

/** Shows this part; no further out than the whole, and never away from it. */
function go({ scale, x, y }) {
  const far = Math.min(LARGEST, Math.max(1, scale));
  const to = lens({ scale: far, x: 0, y: 0 }, size().width, size().height);
  const inside = (value, half) => Math.min(Math.max(0, 1.08 - half), Math.max(Math.min(0, half - 1.08), value));
  view = { scale: far, x: inside(x, to.x(size().width)), y: inside(y, to.y(0)) };
  redraw();
}

/** Magnifies so that what is under the pointer stays there. */
function magnify(factor, left = size().width / 2, top = size().height / 2) {
  const [x, y] = [now().x(left), now().y(top)];
  const scale = Math.min(LARGEST, Math.max(1, view.scale * factor));
  const share = view.scale / scale;
  go({ scale, x: x + (view.x - x) * share, y: y + (view.y - y) * share });
}

function nearest(left, top) {
  const to = now();
  let [best, least] = [undefined, REACH_PX];
  for (const point of map.points) {
    if (!shown()[point.collection]) continue;
    const away = Math.hypot(to.left(point.x) - left, to.top(point.y) - top) - (point.collection === "images" ? 3 : 0);
    if (away < least) [best, least] = [point, away];
  }
  return best;
}

/** The next item that way: the nearest of those that lie more that way than aside. */
function beyond(from, [dx, dy]) {
  let [best, least] = [undefined, Infinity];
  for (const point of map.points) {
    if (!shown()[point.collection] || point === from) continue;
    const [along, aside] = [(point.x - from.x) * dx + (point.y - from.y) * dy, Math.abs((point.x - from.x) * dy) + Math.abs((point.y - from.y) * dx)];
    if (along <= 0 || aside > along) continue;
    if (along + 2 * aside < least) [best, least] = [point, along + 2 * aside];
  }
  return best;
}

async function choose(point) {
  if (point === chosen) return;
  chosen = point;
  const card = byId("map-card");
  card.hidden = !point;
  byId("map-canvas").dataset.over = String(Boolean(point));
  if (!map) return;
  redraw();
  if (!point) return;
  asking?.abort();
  asking = new AbortController();
  const { collection, id } = point;
  const thumb = element("img", { src: api.thumbnailUrl(collection, recall(collection, id) ?? { id }), alt: "", class: collection });
  const words = element("p", { class: "map-words" }, words1(collection, recall(collection, id) ?? { id }));
  card.replaceChildren(thumb, words);
  if (recall(collection, id)) return;
  try {
    const [found] = remember(collection, [await api.item(collection, id, asking.signal)]);
    words.textContent = words1(collection, found);
  } catch {
    // Its name will do.
  }
}

const words1 = (collection, found) => wordsOf(collection, found) ?? nameOf(collection, found);

function placeCard(to) {
  const card = byId("map-card");
  if (!chosen) return;
  const { width, height } = size();
  const [left, top] = [to.left(chosen.x), to.top(chosen.y)];
  const right = left > width / 2;
  const below = top < height / 2;
  card.style.left = right ? "" : `${left + 14}px`;
  card.style.right = right ? `${width - left + 14}px` : "";
  card.style.top = below ? `${top + 14}px` : "";
  card.style.bottom = below ? "" : `${height - top + 14}px`;
}

function search(point) {
  byId("map").close();
  follow(point.collection, recall(point.collection, point.id) ?? { id: point.id });
}

export function setUpMap() {
  const dialog = byId("map");
  const canvas = byId("map-canvas");
  const pointers = new Map();
  let moved = 0;
  const within = (event) => [event.clientX - size().left, event.clientY - size().top];
  const middle = () => [...pointers.values()].reduce(([x, y], [px, py]) => [x + px / pointers.size, y + py / pointers.size], [0, 0]);
  const apart = () => (pointers.size < 2 ? 0 : Math.hypot(...[0, 1].map((axis) => [...pointers.values()][0][axis] - [...pointers.values()][1][axis])));

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, within(event));
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId)) {
      choose(nearest(...within(event)));
      return;
    }
    const [before, wide] = [middle(), apart()];
    pointers.set(event.pointerId, within(event));
    const after = middle();
    moved += Math.hypot(after[0] - before[0], after[1] - before[1]) + Math.abs(apart() - wide);
    if (moved < 5) return;
    const to = now();
    go({ ...view, x: view.x - (after[0] - before[0]) / to.wide, y: view.y + (after[1] - before[1]) / to.unit });
    if (wide && apart()) magnify(apart() / wide, ...after);
  });
  canvas.addEventListener("pointerup", (event) => {
    const alone = pointers.size === 1;
    pointers.delete(event.pointerId);
    if (!alone || moved >= 5) return;
    const point = nearest(...within(event));
    // A finger cannot point without pressing: its first press shows, its second one searches.
    const pointed = point && (event.pointerType === "mouse" || point === chosen);
    if (pointed) search(point);
    else choose(point);
  });
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => pointers.size || choose(undefined));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    magnify(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0018)), ...within(event));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    if (event.key in ARROWS) {
      const from = chosen ?? stand?.own ?? stand?.hits[0] ?? { x: view.x, y: view.y };
      const next = chosen ? beyond(from, ARROWS[event.key]) : from.id ? from : beyond(from, ARROWS[event.key]);
      if (next) {
        go({ ...view, scale: Math.max(view.scale, 2.2), x: next.x, y: next.y });
        choose(next);
      }
    } else if (event.key === "Enter" && chosen) search(chosen);
    else if (event.key === "+" || event.key === "=") magnify(1.5);
    else if (event.key === "-") magnify(1 / 1.5);
    else return;
    event.preventDefault();
  });
  byId("map-plus").addEventListener("click", () => magnify(1.6));
  byId("map-minus").addEventListener("click", () => magnify(1 / 1.6));
  byId("map-whole").addEventListener("click", () => go(WHOLE));
  byId("map-close").addEventListener("click", () => dialog.close());
  for (const id of ["map-images", "map-captions"]) byId(id).addEventListener("change", redraw);
  dialog.addEventListener("close", () => choose(undefined));
  new ResizeObserver(redraw).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
