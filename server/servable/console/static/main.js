// The page: asks for the models at first and whenever a version has changed, and follows the server's events.

import { Charts } from "./charts.js";
import { make } from "./elements.js";
import { makeList, makeSignatures, makeVersions, stateOf } from "./models.js";

const AGAIN_MS = 2000;
const get = (id) => document.getElementById(id);

const page = { models: [], chosen: null, changes: null, shown: null, listed: null };

async function refresh() {
  const response = await fetch("/console/models");
  if (!response.ok) throw new Error(`${response.status}`);
  page.models = await response.json();
  if (!page.models.some(({ name }) => name === page.chosen)) page.chosen = page.models[0]?.name ?? null;
  show();
}

function show() {
  const wanted = get("filter").value.toLowerCase();
  const listed = page.models.filter(({ name }) => name.toLowerCase().includes(wanted));
  showList(listed);
  const serving = page.models.filter((model) => stateOf(model) === "available").length;
  get("summary").textContent = `${serving} of ${page.models.length} ${page.models.length === 1 ? "model serves" : "models serve"}`;
  const model = page.models.find(({ name }) => name === page.chosen);
  if (!model) {
    get("detail").replaceChildren(make("p", { class: "quiet" }, "There are no models."));
    page.shown = null;
    return;
  }
  // The form stays as long as what can be tried is the same, so that what was typed or drawn is not lost.
  const triable = JSON.stringify([model.name, model.versions.map(({ version, signatures }) => [version, signatures])]);
  const versions = makeVersions(model);
  if (page.shown === triable) get("detail").firstElementChild.replaceWith(versions);
  else get("detail").replaceChildren(versions, makeSignatures(model));
  page.shown = triable;
}

/** The list is made anew only if it differs, so that no click meets a button that has just been replaced. */
function showList(listed) {
  const content = JSON.stringify([page.chosen, listed.map((model) => [model.name, stateOf(model), model.versions])]);
  if (page.listed === content) return;
  page.listed = content;
  const list = get("models");
  const place = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(...makeList(listed, page.chosen, choose));
  list.querySelectorAll("button")[place]?.focus();
}

function choose(name) {
  page.chosen = name;
  show();
  get("detail").focus({ preventScroll: true });
}

function tellLink(text) {
  get("link").textContent = text;
  get("link").classList.toggle("lost", text !== "live");
}

/** The stream of events. Only while the page is seen: a browser opens six connections to a host, for all its tabs. */
class Stream {
  #charts;
  #events = null;

  constructor(charts) {
    this.#charts = charts;
    document.addEventListener("visibilitychange", () => this.#update());
    this.#update();
  }

  #update() {
    this.#events?.close();
    this.#events = document.hidden ? null : this.#open();
  }

  #open() {
    const events = new EventSource("/console/events");
    events.addEventListener("open", () => tellLink("live"));
    events.addEventListener("message", ({ data }) => this.#take(JSON.parse(data)));
    events.addEventListener("error", () => {
      tellLink("not connected");
      // The browser tries again by itself unless the server has refused.
      if (events.readyState === EventSource.CLOSED) setTimeout(() => events === this.#events && this.#update(), AGAIN_MS);
    });
    return events;
  }

  #take(snapshot) {
    this.#charts.add(snapshot);
    if (snapshot.changes === page.changes) return;
    refresh().then(
      () => { page.changes = snapshot.changes; },
      () => tellLink("not connected"),
    );
  }
}

get("filter").addEventListener("input", show);
new Stream(new Charts(get("charts")));
refresh().catch(() => tellLink("not connected"));
