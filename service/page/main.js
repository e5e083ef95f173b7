// The page's composition root: what the person does becomes a step, a step becomes one call, its answer becomes results.
// A search enters the history only once it has been answered, so a failed one leaves everything where it was.

import { within } from "./about.js";
import * as api from "./api.js";
import { count, nameOf, recall, remember, shorten } from "./catalogue.js";
import { explainCloseness } from "./closeness.js";
import { createComposer } from "./composer.js";
import { byId, element } from "./dom.js";
import { START, enter, fromItem, leavePlace, onReturn, placeNow, stepOf, trailNow, urlOf } from "./history.js";
import { listenForFiles } from "./intake.js";
import { listenOnFocus } from "./listen.js";
import { explain, NOT_KEPT, NOWHERE, TOO_LARGE } from "./messages.js";
import { silence } from "./player.js";
import { renderItem, renderOwn } from "./query.js";
import { renderFoot, renderHits } from "./results.js";
import { answerTo, keep, kept } from "./searches.js";
import { setUpShare } from "./share.js";
import { fillStart } from "./start.js";
import { setUpViewer } from "./viewer.js";
import { picture, squeeze } from "./waveform.js";
import { setUpWhereabouts } from "./whereabouts.js";

const TITLE = document.title;
// What holds until the service has said what does. How long it listens (max_seconds) nobody knows until then.
const limits = { max_body_bytes: Infinity, max_k: Infinity, max_page: 50 };
let ongoing = null;
let welcomed = false;

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

function searchWith(file, told) {
  if (file.size > limits.max_body_bytes) {
    composer.complain(TOO_LARGE(file, limits.max_body_bytes));
    return;
  }
  const own = keep(file, told);
  const asked = document.querySelector("input[name=want]:checked").value;
  const natural = own.modality === "image" ? "captions" : "images";
  go({ kind: "mine", number: own.number, find: asked === "auto" ? within(natural) : asked }, { trail: [] });
}

function follow(collection, found) {
  leavePlace();
  remember(collection, [found]);
  go(fromItem(collection, found.id));
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
  if (step.kind === "nowhere" || (step.kind === "mine" && !kept(step.number))) {
    enter(START, [], { replace: true });
    showStart();
    composer.complain(step.kind === "nowhere" ? NOWHERE : NOT_KEPT);
    return;
  }
  const mark = new AbortController();
  ongoing = mark;
  composer.mode("searching");
  const patience = setTimeout(announce, 800, "Searching.");
  try {
    const result = await answerTo(step, { maxHits: limits.max_k, again: entry !== "push", signal: mark.signal });
    if (ongoing !== mark) return;
    composer.mode("idle");
    const stop = { step, label: labelOf(step) };
    // Already there: the trail ends with this stop, unless a link from elsewhere led here and there is none yet.
    const steps = entry === "push" ? [...trail, stop] : [...trail.slice(0, -1), stop];
    enter(step, steps, { replace: entry !== "push" });
    showResults(stop, result, steps, { place, keepFocus: entry === "replace" });
  } catch (error) {
    if (ongoing !== mark) return;
    composer.mode("idle");
    checkShow(stepOf(location.search));
    if (byId("results").hidden) view("start"); // an address that leads nowhere
    if (error.name === "AbortError") {
      announce("Search cancelled.");
      return;
    }
    composer.complain(explain(error), () => {
      if (!welcomed) welcome();
      go(step, { trail, entry, place });
    });
  } finally {
    clearTimeout(patience);
  }
}

function labelOf(step) {
  return step.kind === "mine" ? kept(step.number).name : shorten(nameOf(step.collection, recall(step.collection, step.id)));
}

function view(name) {
  document.body.dataset.view = name;
  byId("start").hidden = name !== "start" || !welcomed;
  byId("query").hidden = name !== "results";
  byId("results").hidden = name !== "results";
}

function showStart(place) {
  composer.mode("idle");
  view("start");
  document.title = TITLE;
  if (!welcomed) welcome();
  settle(place, byId("main"));
}

function showResults({ step, label }, { answer, elapsedMs, measured, own, item }, trail, { place, keepFocus }) {
  const { target, hits } = answer;
  const found = count(hits.length, target);
  if (own) renderOwn(byId("query"), own, answer.query, limits.max_seconds);
  else renderItem(byId("query"), step.collection, item);
  byId("results-title").textContent = hits.length ? `${found}, closest first` : `There are ${found} in this index`;
  const hint = target === "images" ? "Choose one to hear its captions." : "Play them, or choose one to see its pictures.";
  byId("results-hint").textContent = hits.length ? hint : "";
  checkShow(step);
  renderHits(byId("hits"), answer, measured, follow);
  byId("measure").replaceChildren(...explainCloseness(measured, answer.query.modality, target));
  byId("measure-open").hidden = hits.length === 0;
  byId("listen-choice").hidden = target !== "captions" || hits.length === 0;
  share.show(step);
  whereabouts.show(step, answer);
  renderFoot(byId("foot"), answer, elapsedMs);
  renderTrail(trail);
  view("results");
  document.title = `${label}: ${found} · SaySee`;
  announce(`${found} found.`);
  if (!keepFocus) settle(place, byId("results-title"));
}

/** Puts view and focus where they belong: back where the person was, else at the top of what is new. */
function settle(place, fallback) {
  window.scrollTo(0, place?.scroll ?? 0);
  const target = (place?.focus && byId(place.focus)) || fallback;
  target.focus({ preventScroll: true });
}

function checkShow({ find }) {
  for (const radio of document.querySelectorAll("input[name=show]")) radio.checked = radio.value === find;
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
    whereabouts.offer(await fillStart(follow, Math.min(100, limits.max_page)));
    welcomed = true;
    byId("start").hidden = document.body.dataset.view !== "start";
  } catch (error) {
    const told = explain(error);
    composer.complain(told.needsKey ? told : { retryAfterSeconds: 3, ...told, retry: true }, enterAnew);
  }
}

/** What could not be shown when the page was opened is asked for again, the step in its address included. */
function enterAnew() {
  welcome();
  const step = stepOf(location.search);
  if (step.kind !== "start" && document.body.dataset.view === "start") go(step, { entry: "none", place: placeNow() });
}

byId("home").addEventListener("click", (event) => travel(event, START, []));
for (const radio of document.querySelectorAll("input[name=show]")) {
  radio.addEventListener("change", () => go({ ...stepOf(location.search), find: radio.value }, { entry: "replace" }));
}
const share = setUpShare(announce);
const whereabouts = setUpWhereabouts(follow, (error) => composer.complain(explain(error)));
setUpViewer();
listenOnFocus(byId("hits"));
listenForFiles((file) => searchWith(file));
onReturn((step) => go(step, { entry: "none", place: placeNow() }));

const first = stepOf(location.search);
document.body.dataset.view = first.kind === "start" ? "start" : "results";
welcome();
if (first.kind !== "start") go(first, { entry: "none", place: placeNow() });
