// The list of models, and what is known of the one that is chosen.

import { formatBytes, formatSeconds, make, makeTable } from "./elements.js";
import { makeTrial } from "./trial.js";

/** What a model's dot says: its best version decides. */
export function stateOf(model) {
  if (model.versions.some(({ state }) => state === "AVAILABLE")) return "available";
  if (model.versions.some(({ error }) => error)) return "failed";
  return model.versions.every(({ state }) => state === "END") ? "end" : "loading";
}

export function makeList(models, chosen, choose) {
  return models.map((model) => {
    const state = stateOf(model);
    const serving = model.versions.filter(({ state: of }) => of === "AVAILABLE").map(({ version }) => version);
    return make(
      "li",
      {},
      make(
        "button",
        { type: "button", "aria-current": String(model.name === chosen), onclick: () => choose(model.name) },
        make("span", { class: `dot ${state}`, role: "img", "aria-label": state }),
        make("span", {}, model.name || "(no name)"),
        make("span", {}, serving.length ? `v${serving.join(", ")}` : state),
      ),
    );
  });
}

/** The versions of a model; kept apart from the form, so that a change of versions does not clear what was typed. */
export function makeVersions(model) {
  const rows = model.versions.map((about) => [
    about.version,
    make("span", {}, make("span", { class: `dot ${stateOf({ versions: [about] })}` }), ` ${about.state}`),
    make("span", {}, about.labels.map((label) => make("span", { class: "tag" }, label))),
    formatSeconds(about.load_seconds),
    formatBytes(about.memory_bytes),
    about.error ? make("span", { class: "error" }, about.error) : "",
  ]);
  return make(
    "section",
    { class: "card", "aria-label": "Versions" },
    make("h2", {}, model.name || "(no name)"),
    makeTable(["Version", "State", "Labels", "Load", "Memory", "Error"], rows),
  );
}

/** The signatures of a version, with a form for the one that is chosen. */
export function makeSignatures(model) {
  const loaded = model.versions.filter(({ signatures }) => signatures?.length);
  if (!loaded.length) return make("p", { class: "quiet" }, "No version serves, so there is nothing to try.");
  const version = makeSelect("Version", loaded.map((about) => about.version));
  const signature = makeSelect("Signature", []);
  const tensors = make("div", { class: "pair" });
  const trial = make("div", { class: "trial" });
  const find = () => loaded.find((about) => about.version === version.field.value).signatures;
  const showSignature = () => {
    const chosen = find().find(({ key }) => key === signature.field.value);
    tensors.replaceChildren(showTensors("Inputs", chosen.inputs), showTensors("Outputs", chosen.outputs));
    trial.replaceChildren(...makeTrial(model.name, version.field.value, chosen));
  };
  const showVersion = () => {
    const keys = find().map(({ key }) => key);
    signature.field.replaceChildren(...keys.map((key) => make("option", {}, key)));
    signature.field.value = keys.includes("serving_default") ? "serving_default" : keys[0];
    showSignature();
  };
  version.field.addEventListener("change", showVersion);
  signature.field.addEventListener("change", showSignature);
  showVersion();
  return make(
    "div",
    { class: "signatures" },
    make("section", { class: "card" }, make("div", { class: "row" }, version.label, signature.label), tensors),
    trial,
  );
}

function makeSelect(title, values) {
  const field = make("select", {}, values.map((value) => make("option", {}, value)));
  return { field, label: make("label", {}, `${title} `, field) };
}

function showTensors(title, tensors) {
  const rows = tensors.map(({ alias, dtype, shape }) => [alias, dtype, shape === null ? "any" : `[${shape.map((extent) => (extent < 0 ? "?" : extent)).join(", ")}]`]);
  return make("section", {}, make("h3", {}, title), makeTable(["Name", "dtype", "Shape"], rows));
}
