// Scores as people understand them. A cosine of 0.3 says nothing; what says something is how it compares with pairs drawn
// at random and with the nearest there usually is, both measured by the build on this very index.

import { element } from "./dom.js";

const LEVELS = ["far", "close", "very close"];

/** {level: 0, 1 or 2, share: 0 to 1 of the bar, whose thirds are the levels}; undefined where nothing was measured. */
export function closenessOf(score, measured) {
  if (!measured) return undefined;
  const { chance_median: median, chance_p99: p99, nearest_p25: p25, nearest_p95: p95 } = measured;
  // In a small index chance may reach as far as the nearest: then there is no "close" between.
  const marks = [median, Math.min(p99, p25), p25, Math.max(p95, p25)];
  const level = score >= marks[2] ? 2 : score >= marks[1] ? 1 : 0;
  const width = marks[level + 1] - marks[level];
  const within = width > 0 ? (score - marks[level]) / width : 1;
  return { level, share: (level + Math.min(1, Math.max(0, within))) / 3 };
}

/** A bar of three parts and a word; the figure alone where nothing was measured. */
export function closenessMark(score, measured, { largest = 1 } = {}) {
  const found = closenessOf(score, measured);
  const share = found?.share ?? Math.min(1, Math.max(0, score / largest));
  const bar = element("span", { class: found ? "closeness-bar thirds" : "closeness-bar", "aria-hidden": "true" });
  bar.style.setProperty("--share", share.toFixed(3));
  const figure = score.toFixed(2);
  return element("p", { class: "closeness", title: found ? `${sentence(found.level)} Score ${figure}.` : `Score ${figure}: higher is closer.` },
    bar, element("span", { class: "closeness-word" }, found ? LEVELS[found.level] : figure));
}

const sentence = (level) => [
  "Far: no closer than pairs drawn at random may be.",
  "Close: closer than 99 of 100 pairs drawn at random.",
  "Very close: as close as most things here are to their nearest.",
][level];

/** What the words mean here, as paragraphs; asked: "image" or "speech", what the query was. */
export function explainCloseness(measured, asked, target) {
  const what = asked === "image" ? "pictures" : "spoken captions";
  const nearest = target === "images" ? "picture" : "spoken caption";
  if (!measured) return [element("p", {}, "The figure is the score that the model gave: higher is closer. This index was built without a measure of what that means.")];
  const say = (word, score, meaning) => element("p", {}, element("b", {}, word), ` (score ${score}): ${meaning}`);
  return [
    say("Very close", `${measured.nearest_p25.toFixed(2)} or more`, `as close as three in four indexed ${what} are to their nearest ${nearest}.`),
    say("Close", `${measured.chance_p99.toFixed(2)} or more`, "closer than 99 of 100 pairs drawn at random from this index."),
    element("p", {}, element("b", {}, "Far"), " (less): it may be the nearest there is, but chance alone gets that close."),
    element("p", { class: "fine" }, `Measured on this index when it was built, with ${measured.sample} of its ${what} as queries. It says how sure the model is, not whether it is right.`),
  ];
}
