// Push to talk: the button or the space bar held down. A short press stays on until the next one, so nobody has to hold.

// A radio that is checked has no use for it: chosen with the mouse it keeps the focus, and the next thing is to speak.
const WANTS_SPACE = "a[href], button, input:not([type='radio']:checked), select, textarea, summary, audio, video, dialog, "
  + "[contenteditable], [tabindex='0']";

/** press() and release() come in turns; click() for whatever presses without holding: Enter, a screen reader. */
export function pushToTalk(button, { press, release, click }) {
  let held = null; // what holds it: "pointer" or "space"

  function down(by) {
    if (held) return;
    held = by;
    press();
  }

  function up(by) {
    if (held !== by) return;
    held = null;
    release();
  }

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    down("pointer");
  });
  for (const name of ["pointerup", "pointercancel"]) button.addEventListener(name, () => up("pointer"));
  // A long press on a phone would open a menu over the recording.
  button.addEventListener("contextmenu", (event) => held && event.preventDefault());
  button.addEventListener("click", (event) => event.detail === 0 && click());

  const free = (event) => event.target === button
    || !(event.target.closest?.(WANTS_SPACE) || document.querySelector("dialog[open], :popover-open"));
  const plain = (event) => event.code === "Space" && !(event.ctrlKey || event.altKey || event.metaKey || event.shiftKey);
  document.addEventListener("keydown", (event) => {
    if (!plain(event) || !free(event)) return;
    event.preventDefault(); // neither scrolls nor clicks
    if (!event.repeat) down("space");
  });
  document.addEventListener("keyup", (event) => {
    if (event.code !== "Space") return;
    if (held === "space") event.preventDefault();
    up("space");
  });
  // Whoever leaves the window lets go elsewhere, where nobody sees it.
  window.addEventListener("blur", () => up("space"));
}
