// Where a query lies among everything else: a glance at the map beside the results, which opens the map itself.

import { aboutIndex } from "./about.js";
import { byId } from "./dom.js";
import { drawMap, loadMap, standOf, WHOLE } from "./map.js";
import { openMap, setUpMap } from "./mapview.js";

export function setUpWhereabouts(follow, onTrouble) {
  const canvas = byId("glance-canvas");
  let now = {}; // {map, stand} of what is shown
  let generation;

  function draw() {
    if (now.map && now.stand) drawMap(canvas, now.map, WHOLE, { stand: now.stand, small: true });
  }

  async function open(loading, stand) {
    try {
      const map = await loading;
      if (map) openMap(map, stand, follow);
    } catch (error) {
      onTrouble(error);
    }
  }

  byId("glance").addEventListener("click", () => open(now.map, now.stand));
  byId("map-open").addEventListener("click", () => {
    const results = document.body.dataset.view === "results" && now.map;
    open(results ? now.map : loadMap(generation), results ? now.stand : undefined);
  });
  new ResizeObserver(draw).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  setUpMap();

  /** Offers the map where the index that is served has one. */
  function offer(about) {
    generation = about.generation;
    byId("map-open").hidden = !about.map;
  }

  /** The map of what is served, if there is one: it is asked for only where the index says so. */
  async function mapBeside(answer) {
    const about = await aboutIndex(answer.generation);
    offer(about);
    return about.map ? loadMap(generation) : null;
  }

  return {
    offer,
    /** The query of these results among everything; without a map, or with no hit on it, nothing. */
    async show(step, answer) {
      const mine = (now = {});
      const box = byId("whereabouts");
      const map = await mapBeside(answer).catch(() => null); // an addition: results stand without it
      if (now !== mine) return;
      const stand = map ? standOf(map, step, answer) : undefined;
      now = stand ? { map, stand } : {};
      box.hidden = !stand;
      draw();
    },
  };
}
