// Copying the address of a search by an item, which is the same for everybody. What a person said or showed stays theirs,
// so such a search has no address to share.

import { byId } from "./dom.js";
import { urlOf } from "./history.js";

export function setUpShare(announce) {
  const button = byId("share");
  let address = "";
  let back = 0;

  button.addEventListener("click", async () => {
    const words = byId("share-words");
    try {
      await navigator.clipboard.writeText(address);
      words.textContent = "Copied";
      announce("Link copied.");
    } catch {
      words.textContent = "Not allowed: copy it from the address bar";
      announce(words.textContent);
    }
    clearTimeout(back);
    back = setTimeout(() => { words.textContent = "Copy link"; }, 2500);
  });

  return {
    show(step) {
      address = new URL(urlOf(step), location.href).href;
      // Browsers offer the clipboard to secure pages alone; the address bar is there in any case.
      button.hidden = step.kind !== "item" || !navigator.clipboard;
    },
  };
}
