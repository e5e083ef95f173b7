// The page's composition root: what the person does becomes a step, a step becomes one call, its answer becomes results.
// A search enters the history only once it has been answered, so a failed one leaves everything where it was.

import * as api from "./api.js";
import { count, nameOf, recall, remember, shorten } from "./catalogue.js";
import { createComposer } from "./composer.js";
import { byId, element, icon } from "./dom.js";
import { START, enter, fromItem, leavePlace, onReturn, placeNow, stepOf, trailNow, urlOf } from "./history.js";
import { guessModality, listenForFiles } from "./intake.js";
import { explain, NOT_KEPT, TOO_LARGE } from "./messages.js";
import { silence } from "./player.js";
import { renderItem, renderOwn } from "./query.js";
import { renderFoot, renderHits } from "./results.js";
import { fillStart } from "./start.js";
import { peaksOf, picture, squeeze } from "./waveform.js";

const HITS = 12;
// What holds until the service has said what does.
const limits = { max_seconds: 8, max_body_bytes: Infinity, max_k: Infinity, max_page: 50 };
const mine = new Map();
const answers = new Map();
let ongoing = null;

const composer = createComposer({
  maxSeconds: () => limits.max_seconds,
  onStart() {
    ongoing?.abort();
    ongoing = null;
    silence();
  },
  onRecording: ({ file, seconds, levels }) => searchWith(file, { recorded: true, seconds, wave: picture(squeeze(levels)) }),
  onTrouble: (error) => composer.complain(explain(error)),
  onCancel: () => ongoing?.abort(),
  announce,
});

function announce(text) {
  byId("status").textContent = text;
}

/** A file or recording becomes the newest of the person's own, then a search with it. */
async function searchWith(file, { recorded = false, seconds, wave } = {}) {
  if (file.size > limits.max_body_bytes) {
    composer.complain(TOO_LARGE(file, limits.max_body_bytes));
    return;
  }
  const own = { number: mine.size + 1, file, modality: guessModality(file), recorded, seconds, wave,
    name: recorded ? "Your recording" : file.name || "Pasted picture", url: URL.createObjectURL(file) };
  mine.set(own.number, own);
  if (own.modality === "speech" && !own.wave) {
    const heard = await peaksOf(file);
    if (heard) Object.assign(own, { wave: picture(heard.peaks), seconds: heard.seconds });
  }
  const asked = document.querySelector("input[name=want]:checked").value;
  const natural = own.modality === "image" ? "captions" : "images";
  go({ kind: "mine", number: own.number, find: asked === "auto" ? natural : asked }, { trail: [] });
}

const follow = (collection, found) => {
  leavePlace();
  remember(collection, [found]);
  go(fromItem(collection, found.id), { trail: trailNow() });
};

/** Answers a step: from what was answered before, or from the service. Gives {answer, elapsedMs, own?, item?}. */
async function answerTo(step, signal) {
  const url = urlOf(step);
  if (answers.has(url)) return answers.get(url);
  const began = performance.now();
  const k = Math.min(HITS, limits.max_k);
  const result = {};
  if (step.kind === "mine") {
    result.own = mine.get(step.number);
    result.answer = await api.search(step.find, result.own.file, k, signal);
    // The content decides, not the name: a nameless picture is shown as the picture the service found it to be.
    result.own.modality = result.answer.query?.modality ?? result.own.modality;
  } else {
    result.item = recall(step.collection, step.id) ?? (await api.item(step.collection, step.id, signal));
    remember(step.collection, [result.item]);
    result.answer = await api.neighbours(step.collection, step.id, step.find, k, signal);
  }
  result.elapsedMs = performance.now() - began;
  remember(result.answer.target, result.answer.hits);
  answers.set(url, result);
  return result;
}

/** Goes to a step. entry: "push" for a new one, "replace" for the same one shown otherwise, "none" when already there. */
async function go(step, { trail = trailNow(), entry = "push", place } = {}) {
  ongoing?.abort();
  composer.discard();
  composer.clear();
  silence();
  if (step.kind === "start") {
    if (entry !== "none") enter(step, []);
    showStart(place);
    return;
  }
  if (step.kind === "mine" && !mine.has(step.number)) {
    enter(START, [], { replace: true });
    showStart();
    composer.complain(NOT_KEPT);
    return;
  }
  const mark = new AbortController();
  ongoing = mark;
  composer.mode("searching");
  try {
    const result = await answerTo(step, mark.signal);
    if (ongoing !== mark) return;
    const steps = entry === "none" ? trail : [...(entry === "replace" ? trail.slice(0, -1) : trail), { step, label: labelOf(step) }];
    if (entry !== "none") enter(step, steps, { replace: entry === "replace" });
    composer.mode("idle");
    showResults(step, result, steps.length ? steps : [{ step, label: labelOf(step) }], { place, keepFocus: entry === "replace" });
  } catch (error) {
    if (ongoing !== mark) return;
    composer.mode("idle");
    if (error.name === "AbortError") {
      announce("Search cancelled.");
      return;
    }
    if (document.body.dataset.view === "start") byId("start").hidden = false;
    window.scrollTo(0, 0);
    composer.complain(explain(error), () => go(step, { trail, entry, place }));
    checkShow();
  }
}

function labelOf(step) {
  if (step.kind === "mine") return mine.get(step.number).name;
  return shorten(nameOf(step.collection, recall(step.collection, step.id)));
}

function view(name) {
  document.body.dataset.view = name;
  byId("start").hidden = name !== "start";
  byId("query").hidden = name !== "results";
  byId("results").hidden = name !== "results";
}

function showStart(place) {
  composer.mode("idle");
  view("start");
  document.title = "SaySee: say it, see it; show it, hear it";
  settle(place, byId("main"));
}

function showResults(step, { answer, elapsedMs, own, item }, trail, { place, keepFocus }) {
  const { target, hits } = answer;
  if (own) renderOwn(byId("query"), own, answer.query, limits.max_seconds);
  else renderItem(byId("query"), step.collection, item);
  renderHits(byId("hits"), answer, follow);
  renderFoot(byId("foot"), answer, elapsedMs);
  renderTrail(trail);
  const found = count(hits.length, target);
  byId("results-title").textContent = `${found[0].toUpperCase()}${found.slice(1)}, closest first`;
  checkShow(step.find);
  view("results");
  document.title = `${labelOf(step)}: ${found} · SaySee`;
  announce(`${found} found.`);
  if (!keepFocus) settle(place, byId("results-title"));
}

/** Puts view and focus where they belong: back where the person was, else at the top of what is new. */
function settle(place, fallback) {
  window.scrollTo(0, place?.scroll ?? 0);
  const target = (place?.focus && byId(place.focus)) || fallback;
  target.focus({ preventScroll: true });
}

function checkShow(find) {
  const step = find ?? stepOf(location.search).find;
  for (const radio of document.querySelectorAll("input[name=show]")) radio.checked = radio.value === step;
}

function renderTrail(trail) {
  const home = element("a", { href: "/" }, "Start");
  home.addEventListener("click", (event) => travel(event, START, []));
  const stops = trail.map(({ step, label }, at) => {
    if (at === trail.length - 1) return element("li", { "aria-current": "page" }, label);
    const link = element("a", { href: urlOf(step) }, label);
    link.addEventListener("click", (event) => travel(event, step, trail.slice(0, at)));
    return element("li", {}, link);
  });
  byId("trail").replaceChildren(element("ol", {}, element("li", {}, home), ...stops));
}

function travel(event, step, trail) {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  leavePlace();
  go(step, { trail });
}

/** The start's contents and the limits. A service still starting is waited for, and said to be. */
async function welcome() {
  try {
    Object.assign(limits, await api.limits());
    composer.mode(byId("composer").dataset.mode);
    await fillStart(follow, Math.min(100, limits.max_page));
    byId("start").hidden = document.body.dataset.view !== "start";
  } catch (error) {
    composer.complain({ retryAfterSeconds: 3, ...explain(error), retry: true }, welcome);
  }
}

byId("home").addEventListener("click", (event) => travel(event, START, []));
for (const radio of document.querySelectorAll("input[name=show]")) {
  radio.addEventListener("change", () => go({ ...stepOf(location.search), find: radio.value }, { entry: "replace" }));
}
listenForFiles((file) => searchWith(file));
onReturn((step) => go(step, { entry: "none", place: placeNow() }));

welcome();
const first = stepOf(location.search);
if (first.kind !== "start") go(first, { entry: "none", place: placeNow() });
