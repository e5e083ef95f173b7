// The microphone: from a press to a finished recording. Promises that the microphone is released on every way out
// (stop, discard, limit, failure), and that a recording never exceeds maxSeconds.

const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const QUIETEST_DBFS = -55;

/** Why there is no recording. kind: "unsupported" | "insecure" | "denied" | "absent" | "busy" | "failed". */
export class MicrophoneError extends Error {
  constructor(kind) {
    super(`No recording: the microphone is ${kind}.`);
    this.name = "MicrophoneError";
    this.kind = kind;
  }
}

const KINDS = { NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "absent", OverconstrainedError: "absent",
  NotReadableError: "busy", AbortError: "busy" };

async function openMicrophone() {
  if (!window.isSecureContext) throw new MicrophoneError("insecure");
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) throw new MicrophoneError("unsupported");
  try {
    // No echo cancellation: nothing plays while we listen, and it eats the first syllable on some machines.
    return await navigator.mediaDevices.getUserMedia({
      audio: { channelCount: 1, echoCancellation: false, noiseSuppression: true, autoGainControl: true },
    });
  } catch (error) {
    throw new MicrophoneError(KINDS[error.name] ?? "failed");
  }
}

/**
 * Starts recording. onLevel(level, elapsedSeconds) comes once a frame, level 0 (quiet) to 1 (full scale);
 * onLimit() when maxSeconds is reached, after which `finished` resolves by itself.
 * Gives {finished, stop, discard}; finished resolves to {file, seconds, levels} or null where discarded.
 */
export async function startRecording({ maxSeconds, onLevel, onLimit }) {
  const stream = await openMicrophone();
  const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: 96_000 });
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  context.createMediaStreamSource(stream).connect(analyser);
  // Not waited for: a browser that keeps it suspended shows no level, but records all the same.
  context.resume().catch(() => undefined);

  const chunks = [];
  const levels = [];
  const samples = new Float32Array(analyser.fftSize);
  const startedAt = performance.now();
  const elapsed = () => Math.min((performance.now() - startedAt) / 1000, maxSeconds);
  let kept = true;
  let frame = 0;

  function measure() {
    analyser.getFloatTimeDomainData(samples);
    const rms = Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
    const dbfs = 20 * Math.log10(rms + 1e-9);
    const level = Math.min(1, Math.max(0, 1 - dbfs / QUIETEST_DBFS));
    levels.push(level);
    onLevel(level, elapsed());
    frame = requestAnimationFrame(measure);
  }

  // A timer and not the frames decides the limit: frames stop in a tab put aside, and the recording would go on.
  const timer = setTimeout(() => {
    onLimit();
    stop();
  }, maxSeconds * 1000);

  const finished = new Promise((resolve, reject) => {
    let seconds = 0;
    const release = () => {
      cancelAnimationFrame(frame);
      clearTimeout(timer);
      for (const track of stream.getTracks()) track.stop();
      context.close();
    };
    recorder.addEventListener("dataavailable", (event) => chunks.push(event.data));
    recorder.addEventListener("error", () => {
      release();
      reject(new MicrophoneError("failed"));
    });
    recorder.addEventListener("stop", () => {
      seconds = elapsed();
      release();
      const type = recorder.mimeType.split(";")[0];
      const file = new File(chunks, `recording.${type.split("/")[1]}`, { type });
      resolve(kept ? { file, seconds, levels } : null);
    });
  });

  function stop() {
    if (recorder.state !== "inactive") recorder.stop();
  }

  function discard() {
    kept = false;
    stop();
  }

  recorder.start();
  measure();
  return { finished, stop, discard };
}
