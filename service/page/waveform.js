// Sound as a row of bars: live on a canvas while recording, and afterwards as a picture that the players use as a mask
// (so that the theme colours it). Indexed captions bring such a picture from the service; a person's own sound gets it here.

const BARS = 64;

/** Peaks (0 to 1, loudest 1) of an audio file, or undefined where this browser cannot decode it; the service still may. */
export async function peaksOf(file) {
  try {
    const context = new OfflineAudioContext(1, 1, 16_000);
    const buffer = await context.decodeAudioData(await file.arrayBuffer());
    return { peaks: squeeze(buffer.getChannelData(0)), seconds: buffer.duration };
  } catch {
    return undefined;
  }
}

/** Any number of values, in time order, to one bar's height each. */
export function squeeze(values) {
  const heights = Array.from({ length: BARS }, (_, bar) => {
    const from = Math.floor((bar * values.length) / BARS);
    const to = Math.max(from + 1, Math.floor(((bar + 1) * values.length) / BARS));
    let peak = 0;
    for (let at = from; at < to && at < values.length; at += 1) peak = Math.max(peak, Math.abs(values[at]));
    return peak;
  });
  const loudest = Math.max(...heights, 1e-6);
  return heights.map((height) => height / loudest);
}

/** The bars as an SVG in a data: url, 320 x 64 like the service's own. */
export function picture(peaks) {
  const pitch = 320 / BARS;
  const bars = peaks.map((peak, bar) => {
    const half = Math.max(1.5, peak * 30);
    return `M${(bar + 0.5) * pitch} ${32 - half}v${2 * half}`;
  });
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 320 64" preserveAspectRatio="none" width="320" height="64"><path d="${bars.join("")}"`
    + ' stroke="#888" stroke-width="3" stroke-linecap="round"/></svg>';
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

/** The hills of a quiet microphone: the landscape that a voice then pushes aside. */
function hills(bars) {
  return Array.from({ length: bars }, (_, bar) => {
    const x = bar / bars;
    const ridge = 0.42 + 0.24 * Math.sin(2 * Math.PI * (1.15 * x + 0.12)) + 0.16 * Math.sin(2 * Math.PI * (2.7 * x + 0.55));
    return Math.max(0.06, ridge * (0.84 + 0.16 * Math.sin(bar * 2.4)));
  });
}

/** Draws levels as they come, standing on the ground: the newest at the right, the older moving left, hills before them. */
export function liveMeter(canvas) {
  const drawing = canvas.getContext("2d");
  const still = hills(52).map((level) => ({ level, live: false }));
  let shown = [...still];
  let peak = 0;
  let frames = 0;

  function draw() {
    const { width, height } = canvas;
    const pitch = width / shown.length;
    const style = getComputedStyle(canvas);
    drawing.clearRect(0, 0, width, height);
    drawing.lineWidth = pitch * 0.46;
    drawing.lineCap = "round";
    shown.forEach(({ level, live }, at) => {
      drawing.strokeStyle = live ? style.color : style.getPropertyValue("--ground");
      drawing.beginPath();
      drawing.moveTo((at + 0.5) * pitch, height + pitch);
      drawing.lineTo((at + 0.5) * pitch, height - pitch * 0.4 - level * (height - pitch));
      drawing.stroke();
    });
  }

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  draw();
  return {
    clear() {
      shown = [...still];
      draw();
    },
    push(level) {
      // Three frames make a bar: at sixty a second the row would race.
      peak = Math.max(peak, level);
      frames += 1;
      if (frames % 3 !== 0) return;
      shown.shift();
      shown.push({ level: peak, live: true });
      peak = 0;
      draw();
    },
  };
}
