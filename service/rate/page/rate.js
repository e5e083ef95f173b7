// One pair at a time: shown, judged by button or arrow key, kept by the server before the next one comes.

import { keyField } from "/page/keyring.js";

const byId = (id) => document.getElementById(id);
const views = ["start", "turn", "done"];
const audio = new Audio();
const KEY = "saysee-rater";
const WITHOUT_KEY = {
  "/problems/key-missing": "This page asks for a key. Whoever runs it gives out keys; yours is kept until you close the browser.",
  "/problems/key-refused": "That key is not known here. Whoever runs the page gives out keys.",
};

let rater = "";
let pair = null;
let takeBackAllowed = false;
let busy = false;

function show(view) {
  for (const one of views) byId(one).hidden = one !== view;
  byId("progress").hidden = view === "start";
  byId("who").hidden = view === "start";
}

function fail(sentence) {
  byId("fault").textContent = sentence;
  byId("fault").hidden = false;
}

function askForKey(sentence) {
  fail(sentence);
  byId("key-place").replaceChildren(keyField(() => begin(rater)));
  byId("key").focus();
}

/** Asks the server; gives what it answered, or null after saying what was wrong. */
async function ask(method, path, parameters) {
  try {
    const answer = await fetch(`${path}?${new URLSearchParams({ rater, ...parameters })}`, { method });
    const body = await answer.json();
    if (answer.ok) return body;
    return { refused: answer.status, type: body.type, detail: body.detail };
  } catch {
    return { refused: 0, detail: "The server does not answer. Your answers so far are kept; this one is not. Try again." };
  }
}

async function step(method, path, parameters, said) {
  if (busy) return;
  busy = true;
  let turn = await ask(method, path, parameters);
  byId("fault").hidden = true;
  byId("key-place").replaceChildren();
  if (turn.refused !== undefined) {
    if (turn.type in WITHOUT_KEY) askForKey(WITHOUT_KEY[turn.type]);
    else fail(turn.detail);
    if (turn.refused === 400) leave();
    // Someone else was faster, or this was answered in another tab: go on with what is left.
    if (turn.refused !== 409) { busy = false; return; }
    turn = await ask("POST", "/v1/turn", {});
    if (turn.refused !== undefined) { busy = false; return; }
    said = "";
  }
  render(turn, said);
  busy = false;
}

function render(turn, said) {
  pair = turn.pair;
  takeBackAllowed = turn.can_take_back;
  audio.pause();
  byId("name").textContent = rater;
  byId("bar").max = Math.max(1, turn.of);
  byId("bar").value = turn.rated;
  const all = Math.floor((100 * turn.ratings) / turn.ratings_wanted);
  byId("counts").textContent = `${turn.rated} of ${turn.of} by you · ${all} % of all ratings`;
  byId("back").disabled = byId("back-done").disabled = !takeBackAllowed;
  if (pair === null) {
    show("done");
    byId("done").querySelector("h1").focus();
  } else {
    byId("question").textContent = turn.question;
    byId("text").textContent = pair.text;
    byId("text").hidden = !pair.text;
    byId("image").src = pair.image_url;
    byId("play").hidden = !pair.speech_url;
    const first = byId("turn").hidden;
    show("turn");
    if (first) byId("question").focus();
  }
  byId("status").textContent = [said, pair === null ? "Nothing is left." : pair.text].filter(Boolean).join(" ");
}

const judge = (verdict) => pair && step("POST", "/v1/ratings", { pair: pair.id, verdict }, verdict === "good" ? "Good." : "Not good.");
const takeBack = () => takeBackAllowed && step("POST", "/v1/ratings/withdraw", {}, "Taken back.");

function play() {
  if (!pair?.speech_url) return;
  audio.src = pair.speech_url;
  audio.play().catch((error) => fail(`The caption cannot be played: ${error.message}`));
}

function begin(name) {
  rater = name;
  localStorage.setItem(KEY, rater);
  step("POST", "/v1/turn", {}, "");
}

function leave() {
  localStorage.removeItem(KEY);
  pair = null;
  audio.pause();
  show("start");
  byId("rater").focus();
}

byId("start").addEventListener("submit", (event) => {
  event.preventDefault();
  begin(byId("rater").value);
});
byId("leave").addEventListener("click", leave);
byId("good").addEventListener("click", () => judge("good"));
byId("bad").addEventListener("click", () => judge("bad"));
byId("play").addEventListener("click", play);
byId("back").addEventListener("click", takeBack);
byId("back-done").addEventListener("click", takeBack);

const keys = { ArrowRight: () => judge("good"), ArrowLeft: () => judge("bad"), ArrowDown: play, Backspace: takeBack };
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || !byId("start").hidden) return;
  if (event.target.matches("input")) return;
  const act = keys[event.key];
  if (!act || (event.key === "ArrowDown" && byId("play").hidden)) return;
  event.preventDefault();
  act();
});

const known = localStorage.getItem(KEY);
if (known) begin(known);
else show("start");
