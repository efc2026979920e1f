// One model: its versions, the signatures of one of them, and the form that tries a signature.

import { bytes } from "./charts.js";
import { button, choices, element } from "./elements.js";
import { nameOf } from "./model_list.js";
import { fetchSignatures } from "./server.js";
import { Trial } from "./trial.js";
import { describe } from "./values.js";

const DEFAULT = "serving_default";

export class ModelView {
  constructor(parent) {
    this.parent = parent;
    this.head = element("div");
    this.body = element("div");
    parent.replaceChildren(this.head, this.body);
    // A version that was chosen; null follows the latest.
    this.pinned = null;
    this.asked = 0;
  }

  /** Show a model as it is now. What was typed stays, as long as the signature is the same. */
  async update(model, grpcPort) {
    if (model?.id !== this.model?.id) this.forget();
    Object.assign(this, { model, grpcPort });
    if (!model) return this.showNothing();
    const available = model.versions.filter((version) => version.state === "available").map(({ version }) => version);
    if (!available.includes(this.pinned)) this.pinned = null;
    const version = this.pinned ?? available[0] ?? null;
    this.showHead(version, available);
    return version === null ? this.showUnavailable() : this.showVersion(version);
  }

  forget() {
    Object.assign(this, { pinned: null, signature: null, described: null, trial: null, version: null });
    this.body.replaceChildren();
  }

  showNothing() {
    this.head.replaceChildren(element("div", { class: "card empty" }, "No model has been configured yet."));
    this.body.replaceChildren();
  }

  showUnavailable() {
    Object.assign(this, { described: null, version: null });
    this.body.replaceChildren(element("div", { class: "card empty" }, "No version of this model serves now."));
  }

  showHead(version, available) {
    const pin = (number) => {
      this.pinned = number === available[0] ? null : number;
      this.update(this.model, this.grpcPort);
    };
    const chooser = available.length > 1 ? choices("Version to try", available.map((value) => ({ value, text: `version ${value}` })), version, pin) : null;
    const title = element("div", { class: "model-head" }, element("h2", {}, nameOf(this.model)), chooser);
    this.head.replaceChildren(title, this.versionTable(version));
  }

  versionTable(tried) {
    const labels = Object.entries(this.model.labels);
    const rows = this.model.versions.map((version) => {
      const own = labels.filter(([, number]) => String(number) === version.version).map(([label]) => element("span", { class: "tag" }, label));
      const error = version.error ? element("tr", { class: "error-row" }, element("td", { colspan: 5 }, version.error)) : null;
      const seconds = version.load_seconds;
      const cells = [
        element("th", { scope: "row" }, version.version),
        element("td", {}, element("span", { class: `state ${version.state}` }, version.state)),
        element("td", {}, ...own),
        element("td", { class: "amount" }, seconds === null ? "–" : `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`),
        element("td", { class: "amount" }, version.memory_bytes === null ? "–" : bytes(version.memory_bytes)),
      ];
      return [element("tr", { class: version.version === tried ? "is-tried" : null, "data-version": version.version }, ...cells), error];
    });
    const hidden = this.model.version_count - this.model.versions.length;
    const heads = ["version", "state", "labels", "load", "memory"].map((text) => element("th", { scope: "col", class: text === "load" || text === "memory" ? "amount" : null }, text));
    return element(
      "div",
      { class: "card scrolls" },
      element("table", { class: "versions" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows.flat().filter(Boolean))),
      hidden ? element("p", { class: "muted small" }, `and ${hidden} that ended earlier`) : null,
    );
  }

  async showVersion(version) {
    this.asked += 1;
    const { asked, model } = this;
    if (this.version === version && this.described) return;
    const signatures = await fetchSignatures(model, version);
    // Another model, or version, may have been chosen meanwhile.
    if (asked !== this.asked || signatures === null) return;
    this.version = version;
    const described = JSON.stringify(signatures);
    if (described === this.described) this.trial?.showSnippets();
    else this.showSignatures(signatures);
    this.described = described;
  }

  showSignatures(described) {
    // What can be tried comes first; TensorFlow adds signatures of its own.
    const signatures = [...described].sort((one, other) => !one.apis.length - !other.apis.length);
    if (!signatures.length) {
      this.body.replaceChildren(element("div", { class: "card empty" }, "This version has no signatures."));
      return;
    }
    const keys = signatures.map(({ key }) => key);
    if (!keys.includes(this.signature)) this.signature = keys.includes(DEFAULT) ? DEFAULT : keys[0];
    const choose = (key) => {
      this.signature = key;
      this.showSignatures(signatures);
      this.body.querySelector('.signatures [aria-pressed="true"]').focus();
    };
    const signature = signatures.find(({ key }) => key === this.signature);
    this.trial = new Trial(signature, () => ({ model: this.model, version: this.version, grpcPort: this.grpcPort }));
    const form = this.model.url ? this.trial.element : element("p", { class: "card muted" }, "A browser cannot ask the REST API for a model of this name.");
    const chooser = choices("Signature", keys.map((value) => ({ value, text: value })), this.signature, choose);
    chooser.classList.add("signatures");
    const method = element("span", { class: "muted small" }, signature.method);
    this.body.replaceChildren(element("div", { class: "signature-head" }, chooser, method), signatureTable(signature), form);
  }
}

function signatureTable({ inputs, outputs }) {
  const rows = (title, tensors) =>
    tensors.map((tensor, at) =>
      element("tr", {}, element("th", { scope: "row", class: "muted" }, at ? "" : title), element("td", {}, tensor.name), element("td", {}, element("code", {}, describe(tensor)))),
    );
  const body = element("tbody", {}, ...rows("inputs", inputs), ...rows("outputs", outputs));
  return element("div", { class: "card scrolls" }, element("table", { class: "tensors" }, body));
}
