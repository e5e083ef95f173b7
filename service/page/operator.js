// The operator's page: the generations there are, which one serves, and the two calls that change it, each after a
// question. The key lives in this module alone: no cookie, no storage, so no other page and no later visitor has it.

import * as api from "./api.js";
import { count } from "./catalogue.js";
import { byId, element } from "./dom.js";
import { explain } from "./messages.js";

let key = "";
let list;

const when = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const megabytes = (bytes) => `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;

function say(text) {
  byId("status").textContent = text;
}

/** In the service's own words where it has some: those of the search page are about searching. */
function complain(error) {
  const { title, detail } = error instanceof api.Problem && error.title ? { title: error.title, detail: error.message } : explain(error);
  byId("trouble").replaceChildren(element("b", {}, title), detail);
}

/** Does what it is given and shows the list anew, whether that succeeded or not: what failed is part of it. */
async function attempt(work) {
  byId("trouble").replaceChildren();
  for (const button of document.querySelectorAll(".desk button")) button.disabled = true;
  let failed;
  try {
    await work?.();
  } catch (error) {
    failed = error;
  }
  try {
    list = await api.generations(key);
    render();
  } catch (error) {
    failed ??= error;
    for (const button of document.querySelectorAll(".desk button")) button.disabled = false;
  }
  if (failed) complain(failed);
  return !failed;
}

function render() {
  const { generations, serving, rollback, degraded } = list;
  byId("door").hidden = true;
  byId("desk").hidden = false;
  byId("desk-title").textContent = generations.length === 1 ? "One generation" : `${generations.length} generations, newest first`;
  byId("refresh").disabled = false;
  byId("rollback").disabled = !rollback;
  byId("rollback").title = rollback ? `Back to ${rollback}` : "Nothing sound was promoted before";
  byId("degraded").replaceChildren(...Object.values(degraded).map((sentence) => element("li", {}, sentence)));
  byId("generations").replaceChildren(...generations.map((one) => row(one, serving, rollback)));
}

function row(one, serving, rollback) {
  const badges = [
    one.serving ? element("span", { class: "badge now" }, "Serves now") : null,
    one.current && !one.serving ? element("span", { class: "badge" }, "Promoted, but not served") : null,
    one.id === rollback ? element("span", { class: "badge" }, "A rollback returns to it") : null,
  ];
  const holds = Object.entries(one.counts).map(([name, number]) => count(number, name)).join(" and ");
  const left = Object.values(one.skipped).reduce((sum, number) => sum + number, 0);
  const facts = one.created ? [
    element("b", {}, holds),
    element("span", {}, `${one.name} `, element("code", {}, one.model)),
    element("span", {}, "built ", element("time", { dateTime: one.created }, when.format(new Date(one.created)))),
    element("span", {}, megabytes(one.bytes)),
    element("span", {}, one.map ? "with a map" : "no map"),
    left ? element("span", {}, `${left.toLocaleString("en")} files left out`) : null,
  ] : [];
  const promote = one.serving ? null : element("button", { type: "button", class: "button", "aria-label": `Promote ${one.id}` }, "Promote");
  promote?.addEventListener("click", () => ask(`Serve ${one.id}?`, one.problem,
    `It holds ${holds || "what its damaged manifest does not say"} and takes the place of ${serving}. It is loaded, verified and tried aside first; if it fails, nothing changes.`,
    "Promote it", `${one.id} serves now.`, () => api.promote(one.id, key)));
  return element("li", { class: one.serving ? "generation serving" : "generation" },
    element("h3", {}, one.id, ...badges), element("p", { class: "facts" }, ...facts),
    one.problem ? element("p", { class: "problem" }, one.problem) : null, promote);
}

/** Asks, and does it on yes. Esc and the other button are no. problem: what is wrong with what would serve, if anything. */
function ask(title, problem, words, yes, done, work) {
  byId("confirm-title").textContent = title;
  byId("confirm-problem").textContent = problem ?? "";
  byId("confirm-words").textContent = words;
  byId("confirm-yes").textContent = yes;
  const dialog = byId("confirm");
  dialog.returnValue = "";
  dialog.showModal();
  byId("confirm-no").focus();
  dialog.addEventListener("close", async () => {
    if (dialog.returnValue !== "yes") return;
    say("Loading it aside.");
    const well = await attempt(work);
    say(well ? done : "Nothing was changed.");
    byId("desk-title").focus();
  }, { once: true });
}

byId("confirm-yes").addEventListener("click", () => byId("confirm").close("yes"));
byId("confirm-no").addEventListener("click", () => byId("confirm").close());
byId("refresh").addEventListener("click", async () => {
  if (await attempt()) say("Up to date.");
});
byId("rollback").addEventListener("click", () => ask(`Roll back to ${list.rollback}?`, null,
  `It served before ${list.serving}, model and index together, and takes its place again.`,
  "Roll back", `${list.rollback} serves again.`, () => api.rollback(key)));
byId("door").addEventListener("submit", async (event) => {
  event.preventDefault();
  key = byId("operator-key").value.trim();
  if (!(await attempt())) return;
  byId("operator-key").value = "";
  byId("desk-title").focus();
});
