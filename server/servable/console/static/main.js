// Puts the page together: models come at the start and when a snapshot says that they have changed.

import { Charts } from "./charts.js";
import { ModelList, linkTo, stateOf } from "./model_list.js";
import { ModelView } from "./model_view.js";
import { fetchModels, follow } from "./server.js";

const find = (id) => document.getElementById(id);
const charts = new Charts(find("charts"));
const list = new ModelList(find("models"), find("filter"));
const view = new ModelView(find("model"));
const shown = { models: [], not_shown: 0, grpc_port: null };
let revision = null;
let [isFetching, isStale] = [false, false];

/** The model of the address; the first that serves without one. */
function chosenModel() {
  const { models } = shown;
  return models.find((model) => linkTo(model) === location.hash) ?? models.find((model) => stateOf(model) === "available") ?? models[0] ?? null;
}

function show() {
  const model = chosenModel();
  list.update(shown.models, shown.not_shown, model);
  const serving = shown.models.filter((each) => stateOf(each) === "available").length;
  find("summary").textContent = `${serving} of ${shown.models.length + shown.not_shown} models serve`;
  view.update(model, shown.grpc_port).catch(report);
}

/** Fetch the models, once more if that is asked for meanwhile. */
async function refresh() {
  isStale = true;
  if (isFetching) return;
  isFetching = true;
  try {
    while (isStale) {
      isStale = false;
      Object.assign(shown, await fetchModels());
      show();
    }
  } catch (error) {
    report(error);
  } finally {
    isFetching = false;
  }
}

function onSnapshot(snapshot) {
  charts.add(snapshot);
  if (snapshot.revision === revision) return;
  revision = snapshot.revision;
  refresh();
}

function onConnection(isOpen) {
  // The server may be another one by now, and it sends what is past again.
  revision = null;
  if (isOpen) charts.clear();
  find("connection").textContent = isOpen ? "live" : "no connection";
  find("connection").className = isOpen ? "pill live" : "pill lost";
}

function report(error) {
  find("connection").textContent = error.message;
  find("connection").className = "pill lost";
  // The next snapshot tries again.
  revision = null;
}

addEventListener("hashchange", () => {
  show();
  // On a phone the list is above the model.
  if (location.hash && matchMedia("(max-width: 760px)").matches) find("model").scrollIntoView();
});
refresh();
follow(onSnapshot, onConnection);
