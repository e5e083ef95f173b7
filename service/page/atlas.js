// Which pictures the map shows as pictures: so many as fit side by side, the same ones while it is only moved, more as it
// is magnified. Thumbnails are fetched when they first come into sight.

import { thumbnailUrl } from "./api.js";
import { THUMB } from "./map.js";

const ROOM_PX = THUMB + 14;

/**
 * Gives pick(view, lens, {width, height}, first): a map from points to images that are there already, those of the points
 * in `first` before all others; redraw() is called as they come.
 */
export function createAtlas(map, redraw) {
  const images = new Map();
  const levels = new Map();
  const pictures = map.points.filter(({ collection }) => collection === "images");

  /** The pictures that keep their distance at this magnification, by halves of a step so that they change seldom. */
  function level(scale, wide, unit) {
    const step = Math.floor(2 * Math.log2(scale));
    const key = `${step} ${Math.round(wide / scale)} ${Math.round(unit / scale)}`;
    if (!levels.has(key)) {
      const shrunk = 2 ** (step / 2) / scale;
      const cell = (point) => `${Math.floor((point.x * wide * shrunk) / ROOM_PX)} ${Math.floor((point.y * unit * shrunk) / ROOM_PX)}`;
      const taken = new Map();
      for (const point of pictures) if (!taken.has(cell(point))) taken.set(cell(point), point);
      levels.set(key, apart([...taken.values()], wide * shrunk, unit * shrunk));
    }
    return levels.get(key);
  }

  /** Neighbouring cells may still hold pictures that overlap: the later one goes. */
  function apart(points, wide, unit) {
    const kept = [];
    for (const point of points) {
      const free = kept.every((other) => Math.abs(other.x - point.x) * wide > THUMB + 4 || Math.abs(other.y - point.y) * unit > THUMB + 4);
      if (free) kept.push(point);
    }
    return kept;
  }

  function fetched(point) {
    if (!images.has(point)) {
      const image = new Image();
      images.set(point, image);
      image.addEventListener("load", redraw, { once: true });
      image.src = `${thumbnailUrl("images", point)}?v=${encodeURIComponent(map.generation)}`;
    }
    const image = images.get(point);
    return image.complete && image.naturalWidth > 0 ? image : undefined;
  }

  return ({ scale }, to, { width, height }, first = []) => {
    const found = new Map();
    const wanted = apart(first.filter(({ collection }) => collection === "images"), to.wide, to.unit);
    for (const point of apart([...wanted, ...level(scale, to.wide, to.unit)], to.wide, to.unit)) {
      const [left, top] = [to.left(point.x), to.top(point.y)];
      if (left < -THUMB || left > width + THUMB || top < -THUMB || top > height + THUMB) continue;
      const image = fetched(point);
      if (image) found.set(point, image);
    }
    return found;
  };
}
