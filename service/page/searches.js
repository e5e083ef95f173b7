// Searches and their answers: by something the person said or showed, or by an item of the index. What was answered once
// is kept, so Back shows at once what was seen; it was one generation's answer then and says so at its foot. Of what was
// said or shown only so much is held: the rest is as gone as after a reload.

import { aboutIndex } from "./about.js";
import * as api from "./api.js";
import { recall, remember } from "./catalogue.js";
import { urlOf } from "./history.js";
import { guessModality } from "./intake.js";
import { peaksOf, picture } from "./waveform.js";

const HITS = 12;
const KEPT = 20;
const mine = new Map(); // what was looked at last comes last
const answers = new Map();
let taken = 0;

/** Takes a recording ({recorded, seconds, wave} known) or a file; gives {number, file, modality, name, url, ...}. */
export function keep(file, { recorded = false, seconds, wave } = {}) {
  taken += 1;
  const own = { number: taken, file, modality: guessModality(file), recorded, seconds, wave,
    name: recorded ? "Your recording" : file.name || "Pasted picture", url: URL.createObjectURL(file) };
  if (own.modality === "speech" && !wave) own.heard = peaksOf(file);
  mine.set(own.number, own);
  if (mine.size > KEPT) forget(mine.values().next().value);
  return own;
}

function forget(own) {
  URL.revokeObjectURL(own.url);
  mine.delete(own.number);
  for (const [url, result] of answers) if (result.own === own) answers.delete(url);
}

/** So that what is on the page is never the next to go. */
function putLast(own) {
  mine.delete(own.number);
  mine.set(own.number, own);
}

export const kept = (number) => mine.get(number);

/**
 * Answers a step, from what was answered before if `again`. Gives {answer, elapsedMs, measured?, own?, item?}; measured is
 * what scores of such a query mean here.
 */
export async function answerTo(step, { maxHits, again, signal }) {
  const url = urlOf(step);
  if (step.kind === "mine") putLast(mine.get(step.number));
  if (again && answers.has(url)) return answers.get(url);
  const began = performance.now();
  const k = Math.min(HITS, maxHits);
  const found = step.kind === "mine" ? await byOwn(step, k, signal) : await byItem(step, k, signal);
  const elapsedMs = performance.now() - began;
  const about = await aboutIndex(found.answer.generation).catch(() => undefined);
  const { target, query } = found.answer;
  const result = { ...found, elapsedMs, measured: about?.collections[target]?.closeness?.[query.modality] };
  remember(result.answer.target, result.answer.hits);
  answers.set(url, result);
  return result;
}

async function byOwn(step, k, signal) {
  const own = mine.get(step.number);
  // Its waveform is drawn while the service is at work.
  const [answer, heard] = await Promise.all([api.search(step.find, own.file, k, signal), own.heard]);
  if (heard) Object.assign(own, { wave: picture(heard.peaks), seconds: heard.seconds });
  // The content decides, not the name: a nameless picture is shown as the picture the service found it to be.
  own.modality = answer.query.modality;
  return { own, answer };
}

async function byItem({ collection, id, find }, k, signal) {
  const item = recall(collection, id) ?? (await api.item(collection, id, signal));
  remember(collection, [item]);
  return { item, answer: await api.neighbours(collection, id, find, k, signal) };
}
