// The map of the joint space: items as the build placed them, and how a canvas shows them. Points are told apart by shape
// as well as by colour: pictures are squares, spoken captions dots.
// Letters: x and y of an item lie between -1 and 1; a view is {scale, x, y}: magnification, and what is in the middle.

import * as api from "./api.js";

let known; // {generation, map}: a promise, so that two who ask at once ask once

/** {points: [{collection, id, x, y}], generation, ...} of the generation, or null where it has no map. */
export function loadMap(generation) {
  if (known?.generation !== generation) {
    const map = api.map().then(pointsOf).catch((error) => {
      if (error.status === 404) return null;
      known = undefined;
      throw error;
    });
    known = { generation, map };
  }
  return known.map;
}

function pointsOf({ generation, total, places }) {
  const points = [];
  const at = new Map();
  for (const collection of ["captions", "images"]) { // pictures are drawn last, over their captions
    const { ids = [], x = [], y = [] } = places[collection] ?? {};
    ids.forEach((id, one) => {
      at.set(`${collection}/${id}`, points.length);
      points.push({ collection, id, x: x[one], y: y[one] });
    });
  }
  return { generation, total, points, at, counts: Object.fromEntries(Object.entries(places).map(([name, one]) => [name, one.ids.length])) };
}

export const pointOf = (map, collection, id) => map.points[map.at.get(`${collection}/${id}`)];

/**
 * Where a query stands: an indexed item where it is; anything else at the mean of its hits, the closest counting most.
 * {x, y, exact, hits: points of the hits that are on the map}; undefined where none is.
 */
export function standOf(map, step, answer) {
  const own = step.kind === "item" && pointOf(map, step.collection, step.id);
  const scored = answer.hits.map((hit) => ({ score: hit.score, point: pointOf(map, answer.target, hit.id) })).filter(({ point }) => point);
  const hits = scored.map(({ point }) => point);
  if (own) return { x: own.x, y: own.y, exact: true, own, hits };
  if (!hits.length) return undefined;
  const scores = scored.map(({ score }) => score);
  const best = Math.max(...scores);
  const spread = (best - Math.min(...scores)) / 6 || 1;
  const weights = scores.map((score) => Math.exp((score - best) / spread));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const mean = (axis) => scored.reduce((total, { point }, one) => total + weights[one] * point[axis], 0) / sum;
  return { x: mean("x"), y: mean("y"), exact: false, hits };
}

/** The whole map in the middle. */
export const WHOLE = Object.freeze({ scale: 1, x: 0, y: 0 });

/** Pixels from and to places, for a canvas of that size in CSS pixels. */
export function lens({ scale, x, y }, width, height) {
  const margin = Math.min(width, height) / 16;
  const [across, down] = [(width - 2 * margin) / 2, (height - 2 * margin) / 2];
  // The square may be shown wider than high, or higher than wide: places have no unit of their own.
  const wide = scale * Math.min(across, 1.7 * down);
  const unit = scale * Math.min(down, 1.4 * across);
  return {
    left: (px) => width / 2 + (px - x) * wide,
    top: (py) => height / 2 - (py - y) * unit,
    x: (left) => x + (left - width / 2) / wide,
    y: (top) => y - (top - height / 2) / unit,
    wide, unit,
  };
}

/** Draws the map. shown: which collections; stand: a query; chosen: a point under the pointer; thumbs: point -> image, drawn instead. */
export function drawMap(canvas, map, view, { shown = { images: true, captions: true }, stand, chosen, thumbs, small = false } = {}) {
  const { width, height } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  if (!width || !height) return;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const drawing = canvas.getContext("2d");
  drawing.setTransform(ratio, 0, 0, ratio, 0, 0);
  drawing.clearRect(0, 0, width, height);
  const to = lens(view, width, height);
  const style = getComputedStyle(canvas);
  const colour = (name) => style.getPropertyValue(name).trim();
  const visible = ({ x, y }) => to.left(x) > -30 && to.left(x) < width + 30 && to.top(y) > -30 && to.top(y) < height + 30;
  const grown = small ? 0.42 : Math.min(1.8, 1 + Math.log2(Math.max(1, view.scale)) / 6);

  for (const collection of ["captions", "images"]) {
    if (!shown[collection]) continue;
    drawing.fillStyle = colour(collection === "images" ? "--map-picture" : "--map-caption");
    drawing.globalAlpha = stand ? 0.5 : 0.8;
    drawing.beginPath();
    for (const point of map.points) {
      if (point.collection === collection && visible(point)) outline(drawing, point, to, grown);
    }
    drawing.fill();
  }
  drawing.globalAlpha = 1;
  if (stand) hits(drawing, stand, to, colour("--ink"), small);
  for (const [point, image] of thumbs ?? []) {
    const edge = stand?.hits.includes(point) ? "--ink" : "--surface";
    if (visible(point)) thumb(drawing, image, to.left(point.x), to.top(point.y), colour(edge));
  }
  if (stand) query(drawing, to.left(stand.x), to.top(stand.y), colour("--ink"), colour("--surface"), small ? 5 : 7);
  if (chosen) {
    drawing.strokeStyle = colour("--ink");
    drawing.lineWidth = 2;
    drawing.beginPath();
    drawing.arc(to.left(chosen.x), to.top(chosen.y), 9, 0, 7);
    drawing.stroke();
  }
}

function outline(drawing, { collection, x, y }, to, grown) {
  const [left, top] = [to.left(x), to.top(y)];
  if (collection === "images") {
    const side = 6 * grown;
    drawing.rect(left - side / 2, top - side / 2, side, side);
  } else {
    drawing.moveTo(left + 2 * grown, top);
    drawing.arc(left, top, 2 * grown, 0, 7);
  }
}

export const THUMB = 44;

function thumb(drawing, image, left, top, edge) {
  drawing.save();
  drawing.beginPath();
  drawing.roundRect(left - THUMB / 2, top - THUMB / 2, THUMB, THUMB, 8);
  drawing.lineWidth = 3;
  drawing.strokeStyle = edge;
  drawing.stroke();
  drawing.clip();
  const side = Math.min(image.naturalWidth, image.naturalHeight);
  drawing.drawImage(image, (image.naturalWidth - side) / 2, (image.naturalHeight - side) / 2, side, side,
    left - THUMB / 2, top - THUMB / 2, THUMB, THUMB);
  drawing.restore();
}

/** The hits of a query, and a line to each. */
function hits(drawing, stand, to, ink, small) {
  drawing.strokeStyle = ink;
  drawing.fillStyle = ink;
  drawing.globalAlpha = 0.45;
  drawing.lineWidth = 1;
  drawing.beginPath();
  for (const hit of stand.hits) {
    drawing.moveTo(to.left(stand.x), to.top(stand.y));
    drawing.lineTo(to.left(hit.x), to.top(hit.y));
  }
  drawing.stroke();
  drawing.globalAlpha = 1;
  drawing.beginPath();
  for (const hit of stand.hits) outline(drawing, hit, to, small ? 0.8 : 1.5);
  drawing.fill();
}

function query(drawing, left, top, ink, paper, size) {
  const disc = (radius) => {
    drawing.beginPath();
    drawing.arc(left, top, radius, 0, 7);
    drawing.fill();
  };
  for (const [colour, radius] of [[paper, size + 2], [ink, size], [paper, size / 2.6]]) {
    drawing.fillStyle = colour;
    disc(radius);
  }
}
