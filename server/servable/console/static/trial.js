// The form that tries a signature, its reply, and the same request elsewhere.

import { button, choices, element } from "./elements.js";
import { ExamplesField } from "./examples_field.js";
import { InputField } from "./input_field.js";
import { errorOf, showError, showReply } from "./reply.js";
import { infer } from "./server.js";
import { makeSnippets } from "./snippets.js";

// Strings of JSON hold no line ends, so these are between values.
const LINE_ENDS = /\s*\n\s*/g;
const API_NAMES = { predict: "Predict", classify: "Classify", regress: "Regress" };

/** A form for one signature. `target` says which model and version are asked now: they may change while it stands. */
export class Trial {
  constructor(signature, target) {
    this.signature = signature;
    this.target = target;
    [this.api] = signature.apis;
    this.isSending = this.isWaiting = false;
    this.snippet = "curl";
    this.fields = element("div", { class: "fields" });
    this.send = button("Run", () => this.run(), { class: "primary", title: "Ctrl+Enter" });
    this.told = element("span", { class: "muted small", role: "status" });
    this.result = element("div", { class: "result", "aria-live": "polite" }, element("p", { class: "muted" }, "The reply comes here."));
    this.code = element("div", { class: "snippets" });
    this.element = this.api ? this.make() : element("p", { class: "muted" }, "JSON cannot carry the inputs or outputs of this signature. Call it over gRPC.");
    if (this.api) this.showFields();
  }

  make() {
    const apis = this.signature.apis.map((value) => ({ value, text: API_NAMES[value] }));
    this.apiChoice = element("div");
    this.apis = apis;
    const form = element("div", { class: "card form" }, element("h3", {}, "Try it"), this.apiChoice, this.fields, element("div", { class: "send" }, this.send, this.told));
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.run();
    });
    const reply = element("div", { class: "card" }, element("h3", {}, "Reply"), this.result);
    const snippets = element("div", { class: "card wide" }, element("h3", {}, "The same request elsewhere"), this.code);
    return element("div", { class: "trial" }, form, reply, snippets);
  }

  showFields() {
    const onChange = (isComplete) => this.onChange(isComplete);
    this.examples = this.api === "predict" ? null : new ExamplesField(onChange);
    this.inputs = this.examples ? [] : this.signature.inputs.map((tensor) => new InputField(tensor, onChange));
    this.fields.replaceChildren(...(this.examples ? [this.examples] : this.inputs).map((field) => field.element));
    if (this.apis.length > 1) this.apiChoice.replaceChildren(choices("API", this.apis, this.api, (api) => this.choose(api)));
    this.onChange(false);
  }

  choose(api) {
    this.api = api;
    this.showFields();
  }

  onChange(isComplete) {
    clearTimeout(this.showing);
    this.showing = setTimeout(() => this.showSnippets(), 150);
    if (isComplete) this.run();
  }

  /** The request as it stands in the form. Throws if a field holds no JSON. */
  makeRequest() {
    const { model, version, grpcPort } = this.target();
    const signature = this.signature.key;
    const content = this.examples
      ? `"examples": ${this.examples.text()}`
      : `"inputs": {${this.inputs.map((field) => `${JSON.stringify(field.tensor.name)}: ${field.text()}`).join(", ")}}`;
    return {
      model: model.name,
      version,
      grpcPort,
      signature,
      api: this.api,
      url: `${model.url}/versions/${version}:${this.api}`,
      body: `{"signature_name": ${JSON.stringify(signature)}, ${content}}`.replace(LINE_ENDS, ""),
      inputs: this.inputs.map((field) => ({ tensor: field.tensor, value: field.value() })),
      examples: this.examples?.text(),
    };
  }

  /** Send the request. What changes meanwhile is sent when its reply has come, so that there is one at a time. */
  async run() {
    this.isWaiting = true;
    if (this.isSending) return;
    this.isSending = true;
    this.send.disabled = true;
    while (this.isWaiting) {
      this.isWaiting = false;
      await this.runOnce();
    }
    this.isSending = false;
    this.send.disabled = false;
  }

  async runOnce() {
    this.told.textContent = "running…";
    try {
      const request = this.makeRequest();
      const { status, text, milliseconds } = await infer(request.url, request.body);
      this.told.textContent = `version ${request.version}, ${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms`;
      this.result.replaceChildren(...(status === 200 ? showReply(request.api, this.signature, text) : [showError(`HTTP ${status}`, errorOf(text))]));
    } catch (error) {
      this.told.textContent = "";
      this.result.replaceChildren(showError("Not sent", error.message));
    }
  }

  showSnippets() {
    let shown;
    try {
      shown = makeSnippets(this.makeRequest());
    } catch (error) {
      this.code.replaceChildren(element("p", { class: "muted" }, error.message));
      return;
    }
    const titles = Object.keys(shown.made).map((title) => ({ value: title, text: title }));
    const { text, file } = shown.made[this.snippet];
    const choose = (title) => {
      this.snippet = title;
      this.showSnippets();
      this.code.querySelector('[aria-pressed="true"]').focus();
    };
    const copy = button("Copy", async () => {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    });
    const download = file ? button(`Save ${file.name}`, () => save(file)) : null;
    this.code.replaceChildren(
      element("div", { class: "snippet-head" }, choices("Language", titles, this.snippet, choose), copy, download),
      element("pre", { tabindex: 0 }, element("code", {}, text)),
    );
  }
}

function save({ name, content }) {
  const url = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
