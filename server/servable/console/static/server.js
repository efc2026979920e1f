// What the page asks of the server: what there is, what it does, and an inference, by the public REST API.

const RETRY_MS = 5000;

/** The models; see console/models.py. */
export const fetchModels = () => fetchJson("console/models");

/** The signatures of a version; null if it is not loaded (any more). */
export async function fetchSignatures(model, version) {
  const found = await fetchJson(`console/signatures?model=${model.id}&version=${version}`, { missing: null });
  return found && found.signatures;
}

/**
 * Call `onSnapshot` each second, and `onConnection` with whether the server can be reached, when that changes.
 *
 * Only while the page can be seen: a browser has six connections to a server, and each stream takes one, even that of a
 * page that was left and may be gone back to.
 */
export function follow(onSnapshot, onConnection) {
  let events = null;
  let retry = null;
  const close = () => {
    clearTimeout(retry);
    events?.close();
    events = null;
  };
  const open = () => {
    close();
    events = new EventSource("console/events");
    events.addEventListener("open", () => onConnection(true));
    events.addEventListener("message", (event) => onSnapshot(JSON.parse(event.data)));
    events.addEventListener("error", () => {
      onConnection(false);
      // After a refusal a browser does not try again by itself.
      if (events?.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    });
  };
  const openIfSeen = () => (document.visibilityState === "visible" ? open() : close());
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && openIfSeen());
  document.addEventListener("visibilitychange", openIfSeen);
  openIfSeen();
}

/** Send an inference. Gives the status, the text of the reply, and how long it took. */
export async function infer(url, body) {
  const began = performance.now();
  const reply = await fetch(url, { method: "POST", body, headers: { "content-type": "application/json" } });
  const text = await reply.text();
  return { status: reply.status, text, milliseconds: performance.now() - began };
}

async function fetchJson(url, { missing } = {}) {
  const reply = await fetch(url);
  if (reply.status === 404 && missing !== undefined) return missing;
  const value = await reply.json();
  if (!reply.ok) throw new Error(value.error);
  return value;
}
