// What went wrong, in words a person can act on. The service's own sentence (problem+json `detail`) is kept: it knows
// the figures; the title above it says which kind of trouble it is.

import { Problem, Unreachable } from "./api.js";
import { MicrophoneError } from "./recorder.js";

const MICROPHONE = {
  insecure: ["The microphone is out of reach here",
    "Browsers let a page listen only over HTTPS or on this very computer. You can still choose an audio file."],
  unsupported: ["This browser cannot record", "You can still choose an audio file that you recorded elsewhere."],
  denied: ["The microphone is not allowed",
    "Allow it for this page, usually by the icon beside the address, and press again. Or choose an audio file."],
  absent: ["No microphone found", "Plug one in and press again, or choose an audio file."],
  busy: ["The microphone is taken", "Another program seems to hold it. Close that and press again, or choose an audio file."],
  failed: ["The recording broke off", "Nothing was sent. Press again, or choose an audio file."],
};

const TITLES = {
  400: "The service could not follow that", 401: "This service asks for a key", 403: "That is not allowed here",
  404: "That is not in the collection", 410: "Its file is gone", 411: "That is too large", 413: "That is too large",
  415: "Neither a sound nor a picture", 422: "Nothing to search with in there", 429: "A little too fast",
  500: "The service stumbled", 503: "The service is not ready just now",
};

// Only these get better by waiting or asking once more; the others ask for something else.
const WORTH_ANOTHER_TRY = new Set([409, 429, 500, 502, 503, 504]);

const KINDLY = {
  "/problems/unknown-item": { title: "That is not in the collection any more",
    detail: "It may have gone when the index was built again. Start from one of the pictures below, or say what you are looking for." },
  "/problems/no-map": { title: "There is no map of this index", detail: "It was built without one. Searching works as ever." },
};

const KEY_PROBLEMS = new Set(["/problems/key-missing", "/problems/key-refused"]);

/** Gives {title, detail, retry, retryAfterSeconds?, needsKey?}; retry says whether trying the same again makes sense. */
export function explain(error) {
  if (error instanceof MicrophoneError) {
    const [title, detail] = MICROPHONE[error.kind];
    return { title, detail, retry: false };
  }
  if (error instanceof Unreachable) {
    return { title: "The service cannot be reached", retry: true,
      detail: "It may be starting, or the connection is gone. Nothing is lost: try again in a moment." };
  }
  if (error instanceof Problem && KEY_PROBLEMS.has(error.type)) {
    return { title: error.status === 401 ? "This service asks for a key" : "That key is not known here", retry: false, needsKey: true,
      detail: "Whoever runs the service gives out keys. Yours is kept until you close the browser." };
  }
  if (error instanceof Problem && error.type === "/problems/unknown-collection") {
    const missing = / no '?images/.test(error.message) ? "pictures" : "spoken captions";
    return { title: `There are no ${missing} here`, retry: false, detail: `This index was built without ${missing}. Look for the other kind instead.` };
  }
  if (error instanceof Problem && error.type in KINDLY) return { ...KINDLY[error.type], retry: false };
  if (error instanceof Problem) {
    return { title: TITLES[error.status] ?? error.title ?? TITLES[500], detail: error.message,
      retry: WORTH_ANOTHER_TRY.has(error.status), retryAfterSeconds: error.retryAfterSeconds };
  }
  return { title: "Something on this page went wrong", detail: error.message, retry: true };
}

export const TOO_LARGE = (file, maxBytes) => ({
  title: "That is too large",
  detail: `The file has ${megabytes(file.size)}; this service takes ${megabytes(maxBytes)} at most.`,
  retry: false,
});

export const NOT_KEPT = {
  title: "That recording or picture is gone",
  detail: "Only your latest searches are kept, and none when the page is loaded anew. Say it or show it once more.",
  retry: false,
};

export const NOWHERE = {
  title: "This address leads nowhere",
  detail: "It may have been cut short on its way. Start from one of the pictures below, or say what you are looking for.",
  retry: false,
};

const megabytes = (bytes) => `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;
