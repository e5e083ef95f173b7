// What is known of items so far, and how they are called in words. Captions that pass by teach the pictures they were
// spoken for their descriptions, so a picture without a text of its own still gets an honest alternative text.

const known = new Map();
const spokenOf = new Map();

const key = (collection, id) => `${collection}/${id}`;

/** Remembers items (hits are items too) and returns them unchanged. */
export function remember(collection, found) {
  for (const one of found) {
    known.set(key(collection, one.id), one);
    const { text, image_id: imageId } = one.metadata ?? {};
    if (collection === "captions" && text && imageId !== undefined && !spokenOf.has(imageId)) spokenOf.set(imageId, text);
  }
  return found;
}

export const recall = (collection, id) => known.get(key(collection, id));

/** The words that go with an item, or undefined where nobody wrote any. */
export function wordsOf(collection, found) {
  const metadata = found.metadata ?? {};
  const own = [metadata.alt, metadata.text, metadata.caption, metadata.description, metadata.title];
  const words = own.find((value) => typeof value === "string" && value.trim());
  return words?.trim() ?? (collection === "images" ? spokenOf.get(found.id) : undefined);
}

/** What to call an item where it needs a name: its words, else its kind and id. */
export function nameOf(collection, found) {
  return wordsOf(collection, found) ?? `${collection === "images" ? "Picture" : "Spoken caption"} ${found.id}`;
}

export function shorten(text, most = 44) {
  if (text.length <= most) return text;
  const cut = text.slice(0, most);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), most / 2)).trimEnd()}…`;
}

/** "12 pictures", "1 spoken caption", "no pictures". */
export function count(number, collection) {
  const noun = collection === "images" ? "picture" : "spoken caption";
  return `${number === 0 ? "no" : number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
