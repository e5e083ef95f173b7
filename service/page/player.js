// A player small enough for a list: play button, waveform that fills as it plays, and a real slider over it for seeking.
// One sound at a time in the whole page: starting one stops the other.

import { element } from "./dom.js";
import { icon, redraw } from "./icons.js";

const playing = new WeakMap();
const audio = new Audio();
audio.preload = "none";
let owner = null;

for (const [event, handle] of Object.entries({
  play: () => owner?.show("playing"),
  pause: () => owner?.show("paused"),
  timeupdate: () => owner?.follow(audio.currentTime),
  ended: () => owner?.rewind(),
  error: () => owner?.show("failed"),
})) audio.addEventListener(event, handle);

/** Falls silent, because what was playing is leaving the page. */
export function silence() {
  audio.pause();
  owner?.rewind();
  owner = null;
}

/** Plays what that player is for, unless the browser lets no page sound before it was used. */
export const playIn = (node) => playing.get(node)?.();

export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** url: the sound; name: what it is, for screen readers; wave: url of a waveform picture; seconds: its length where known. */
export function createPlayer({ url, name, wave, seconds }) {
  const face = icon("play");
  const button = element("button", { type: "button", class: "play", "aria-label": `Play: ${name}` }, face);
  const bars = element("span", { class: "bars" });
  const slider = element("input", { type: "range", class: "seek", min: 0, max: seconds ?? 1, step: 0.25, value: 0,
    "aria-label": `Position in: ${name}` });
  const time = element("span", { class: "time", "aria-hidden": "true" }, seconds ? clock(seconds) : "");
  const node = element("div", { class: "player", "data-state": "paused" },
    button, element("span", { class: "wave" }, bars, slider), time);
  if (wave) {
    // Tried first: as a mask, a picture that is missing would hide the bar altogether.
    const probe = element("img", { crossOrigin: "anonymous" });
    probe.addEventListener("load", () => {
      bars.style.setProperty("mask-image", `url("${wave}")`);
      bars.classList.add("masked");
    });
    probe.src = wave;
  }

  // A recording straight from MediaRecorder states no length (Infinity): then only the one we measured is of use.
  const length = () => (Number.isFinite(audio.duration) && owner === self ? audio.duration : seconds ?? 0);

  function mark(at) {
    const total = length();
    bars.style.setProperty("--played", total ? Math.min(1, at / total) : 0);
    if (total) slider.max = total;
    slider.value = at;
    slider.setAttribute("aria-valuetext", `${clock(at)} of ${clock(total)}`);
    time.textContent = total ? clock(at > 0 ? at : total) : "";
  }

  const self = {
    show(state) {
      node.dataset.state = state;
      const playing = state === "playing";
      redraw(face, playing ? "pause" : "play");
      button.setAttribute("aria-label", `${playing ? "Pause" : "Play"}: ${name}`);
      if (state === "failed") time.textContent = "cannot be played";
    },
    follow: mark,
    rewind() {
      self.show("paused");
      mark(0);
    },
  };

  function take() {
    if (owner === self) return;
    silence();
    owner = self;
    audio.src = url;
  }

  const start = () => audio.play().catch((error) => {
    // Interrupted by another sound or by leaving, or not allowed before the page was used: not a failure.
    if (error.name === "NotAllowedError") self.show("paused");
    else if (error.name !== "AbortError" && owner === self) self.show("failed");
  });
  playing.set(node, () => {
    take();
    if (audio.paused) start();
  });

  button.addEventListener("click", () => {
    take();
    if (audio.paused) start();
    else audio.pause();
  });
  slider.addEventListener("input", () => {
    const wanted = Number(slider.value);
    take();
    const seek = () => {
      audio.currentTime = wanted;
      mark(wanted);
    };
    if (audio.readyState > 0) seek();
    else {
      audio.addEventListener("loadedmetadata", seek, { once: true });
      audio.load();
    }
  });
  mark(0);
  return node;
}
