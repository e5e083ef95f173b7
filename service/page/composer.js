// The place where one speaks, shows or waits: the record button and its modes, and the message beside it when
// something is wrong. Modes: idle, asking (for the microphone), recording, searching. A press held down records until it
// is let go; a short one until the next.

import { byId, element } from "./dom.js";
import { icon } from "./icons.js";
import { keyField } from "./keyring.js";
import { clock } from "./player.js";
import { startRecording } from "./recorder.js";
import { pushToTalk } from "./talk.js";
import { liveMeter } from "./waveform.js";

const SHORT_PRESS_MS = 450;
const UNTOLD_SECONDS = 8; // long enough for a sentence; a service that listens for less says so in its answer
const TOUCH_ALONE = window.matchMedia("(hover: none)");
const LABELS = { idle: "Press and speak", asking: "Waiting for the microphone", recording: "Stop and search", searching: "Searching" };

/** maxSeconds() is asked at each start, for limits may arrive late; until then it is undefined. Gives {mode, complain, clear, discard}. */
export function createComposer({ maxSeconds, onRecording, onTrouble, onStart, onCancel, announce }) {
  const box = byId("composer");
  const button = byId("record");
  const alert = byId("alert");
  const meter = liveMeter(byId("meter"));
  let session = null;
  let turn = 0;
  let held = false;
  let ending = false; // the press under way ends a recording
  let countdown = 0;

  function mode(name) {
    box.dataset.mode = name;
    label();
    byId("record-note").textContent = name === "idle" ? note() : "";
    byId("live").hidden = name !== "recording";
    byId("searching").hidden = name !== "searching";
    for (const one of [byId("choose"), byId("file")]) one.disabled = name === "recording" || name === "asking";
  }

  function note() {
    const most = maxSeconds() ? `; up to ${maxSeconds()} seconds` : "";
    return `or hold it${TOUCH_ALONE.matches ? "" : ", or the space bar"}${most}`;
  }

  function label() {
    const name = box.dataset.mode;
    byId("record-label").textContent = name === "recording" && held && !ending ? "Let go to search" : LABELS[name];
  }

  function clear() {
    clearInterval(countdown);
    alert.replaceChildren();
  }

  /** Says what is wrong beside the action; `again` is called by Try again, and by itself once retryAfterSeconds are over. */
  function complain({ title, detail, retry, retryAfterSeconds, needsKey }, again) {
    clear();
    const buttons = [];
    const withKey = needsKey && again && keyField(() => {
      clear();
      again();
    });
    if (retry && again) {
      const button = element("button", { type: "button", class: "button" }, "Try again");
      const tryAgain = () => {
        clear();
        again();
      };
      button.addEventListener("click", tryAgain);
      buttons.push(button);
      let left = Math.min(Math.ceil(retryAfterSeconds ?? 0), 60);
      if (left > 0) {
        // Outside the alert's own words: a screen reader would read every second aloud.
        const wait = element("span", { class: "alert-wait", "aria-hidden": "true" }, ` or by itself in ${left} s`);
        buttons.push(wait);
        countdown = setInterval(() => {
          left -= 1;
          wait.textContent = ` or by itself in ${left} s`;
          if (left <= 0) tryAgain();
        }, 1000);
      }
    }
    const dismiss = element("button", { type: "button", class: "dismiss", "aria-label": "Dismiss this message" }, icon("close"));
    dismiss.addEventListener("click", () => {
      clear();
      button.focus();
    });
    alert.replaceChildren(element("div", { class: "alert-box" }, icon("alert"),
      element("p", { class: "alert-title" }, title), dismiss, element("p", { class: "alert-detail" }, detail),
      withKey || (buttons.length ? element("p", { class: "alert-ways" }, ...buttons) : null)));
    alert.scrollIntoView({ block: "nearest" });
  }

  async function record() {
    clear();
    onStart();
    mode("asking");
    const limit = maxSeconds() ?? UNTOLD_SECONDS;
    const mine = (turn += 1);
    try {
      const started = await startRecording({
        maxSeconds: limit,
        onLevel(level, elapsed) {
          button.style.setProperty("--level", level.toFixed(3));
          button.style.setProperty("--spent", (elapsed / limit).toFixed(4));
          byId("elapsed").textContent = `${clock(elapsed)} of ${clock(limit)}`;
          meter.push(level);
        },
        onLimit: () => announce(`Stopped at ${limit} seconds${maxSeconds() ? ", the longest this service listens to" : ""}.`),
      });
      if (mine === turn) {
        session = { ...started, turn: mine, since: performance.now() };
        mode("recording");
      } else started.discard();
      const recording = await started.finished;
      // Something else may have begun meanwhile (a file dropped), and then the mode is its own.
      if (mine === turn || box.dataset.mode === "recording") mode("idle");
      if (recording) onRecording(recording);
      else announce("Recording discarded.");
    } catch (error) {
      if (mine !== turn) return;
      mode("idle");
      onTrouble(error);
    } finally {
      if (session?.turn === mine) session = null;
      meter.clear();
      button.style.setProperty("--level", 0);
      button.style.setProperty("--spent", 0);
    }
  }

  /** Also while the browser still asks about the microphone: what it then gives is let go at once. */
  function discard() {
    if (session || box.dataset.mode === "asking") turn += 1;
    if (box.dataset.mode === "asking") mode("idle");
    session?.discard();
  }

  function cancel() {
    if (session || box.dataset.mode === "asking") discard();
    else if (box.dataset.mode === "searching") onCancel();
  }

  function toggle() {
    if (box.dataset.mode === "recording") session.stop();
    else if (box.dataset.mode !== "asking") record();
  }

  pushToTalk(button, {
    press() {
      held = true;
      ending = box.dataset.mode === "recording";
      if (!ending) toggle();
    },
    release() {
      held = false;
      const ends = ending;
      ending = false;
      // Let go while the browser still asks about the microphone, or at once: it stays on until the next press.
      const long = session && performance.now() - session.since > SHORT_PRESS_MS;
      if (box.dataset.mode === "recording" && (ends || long)) session.stop();
      else label();
    },
    click: toggle,
  });
  byId("cancel").addEventListener("click", () => {
    cancel();
    button.focus();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") cancel();
  });
  mode("idle");
  return { mode, complain, clear, discard };
}
