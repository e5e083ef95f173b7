// Every way a file comes in besides the microphone: chosen, dropped anywhere on the page, or pasted.

import { byId } from "./dom.js";

/** take(file) is called with each file given; of several, the first. */
export function listenForFiles(take) {
  const input = byId("file");
  const veil = byId("veil");
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const [file] = input.files;
    // Emptied, so that choosing the same file again is a change again.
    input.value = "";
    if (file) take(file);
  });

  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (!file) return;
    event.preventDefault();
    take(file);
  });

  // dragenter and dragleave come for every element crossed; only their balance says whether the page was left.
  let depth = 0;
  const carriesFile = (event) => event.dataTransfer?.types.includes("Files");
  const settle = (by) => {
    depth = Math.max(0, depth + by);
    veil.hidden = depth === 0;
  };
  document.addEventListener("dragenter", (event) => carriesFile(event) && settle(1));
  document.addEventListener("dragleave", (event) => carriesFile(event) && settle(-1));
  document.addEventListener("dragover", (event) => carriesFile(event) && event.preventDefault());
  document.addEventListener("drop", (event) => {
    settle(-depth);
    const [file] = event.dataTransfer?.files ?? [];
    if (!file) return;
    event.preventDefault();
    take(file);
  });
}

/** Sound or picture, as far as its name tells; the service looks into the content and has the last word. */
export function guessModality(file) {
  if (file.type.startsWith("image/")) return "image";
  if (file.type) return "speech";
  return /\.(jpe?g|png|webp|gif|tiff?|bmp|avif)$/i.test(file.name) ? "image" : "speech";
}
