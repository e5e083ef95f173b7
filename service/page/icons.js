// The icons that scripts draw. They are fetched once and kept in the page: a <use> of another file asks for that file
// whenever it is made or changed, and shows nothing once the service is gone.

const SVG = "http://www.w3.org/2000/svg";

/** An icon of icons.svg. It says nothing to a screen reader: what it stands beside, or is inside, carries the name. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  redraw(svg, name);
  return svg;
}

/** Makes an icon show another. */
export function redraw(svg, name) {
  svg.firstChild.setAttribute("href", `#icon-${name}`);
}

/** What was drawn before shows as soon as this is done. */
async function keepIcons() {
  const answer = await fetch("/page/icons.svg");
  if (!answer.ok) return;
  const sheet = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
  for (const symbol of sheet.querySelectorAll("symbol")) symbol.id = `icon-${symbol.id}`;
  sheet.setAttribute("hidden", "");
  document.body.append(sheet);
}

keepIcons().catch(() => undefined); // icons are an addition: what they stand beside says it in words
