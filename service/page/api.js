// The service's HTTP surface as functions. Every failure leaves here as one of two errors: Problem (the service
// answered, and said in problem+json what is wrong) or Unreachable (nothing answered).

export class Problem extends Error {
  constructor(status, body, retryAfterSeconds) {
    super(body.detail || body.title || `The service answered ${status}.`);
    this.name = "Problem";
    this.status = status;
    this.title = body.title;
    this.type = body.type || "about:blank";
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export class Unreachable extends Error {
  constructor() {
    super("The service did not answer.");
    this.name = "Unreachable";
  }
}

async function call(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
  // A proxy in front may answer in HTML: such a body says nothing a person could use, the status does.
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body, Number(response.headers.get("Retry-After")) || undefined);
  return body;
}

const itemPath = (collection, id) => `/v1/items/${collection}/${encodeURIComponent(id)}`;

export const limits = () => call("/v1/limits");

export const index = () => call("/v1/index");

const asOperator = (key) => ({ headers: { Accept: "application/json", Authorization: `Bearer ${key}` } });

export const generations = (key) => call("/v1/index/generations", asOperator(key));

export const promote = (id, key) => call(`/v1/index/promote?generation=${encodeURIComponent(id)}`, { method: "POST", ...asOperator(key) });

export const rollback = (key) => call("/v1/index/rollback", { method: "POST", ...asOperator(key) });

export const map = () => call("/v1/map");

export const items = (collection, limit) => call(`/v1/items/${collection}?limit=${limit}`);

export const item = (collection, id, signal) => call(itemPath(collection, id), { signal });

export function search(target, file, k, signal) {
  const form = new FormData();
  form.append("file", file, file.name || "upload");
  return call(`/v1/search/${target}?k=${k}`, { method: "POST", body: form, signal });
}

export function neighbours(collection, id, target, k, signal) {
  return call(`${itemPath(collection, id)}/neighbours?target=${target}&k=${k}`, { signal });
}

/** Where an item's sound or picture is, as the service says it. */
export const mediaUrl = (collection, found) => found.media_url ?? `${itemPath(collection, found.id)}/media`;

/** Hits name their media alone; the thumbnail stands beside it. */
export const thumbnailUrl = (collection, found) => found.thumbnail_url ?? mediaUrl(collection, found).replace(/\/media(?=\?|$)/, "/thumbnail");
