// The form that tries a signature: it sends what any client of the REST API may send.

import { formatSeconds, make } from "./elements.js";
import { makeImageField } from "./image.js";
import * as replies from "./reply.js";
import * as snippets from "./snippets.js";
import { exampleOf, format, imageShapeOf } from "./tensors.js";

export function makeTrial(model, version, signature) {
  const path = `/v1/models/${encodeURIComponent(model)}/versions/${version}:predict`;
  const body = { signature_name: signature.key, inputs: {} };
  for (const input of signature.inputs) body.inputs[input.alias] = exampleOf(input);
  const editor = make("textarea", { "aria-label": "Request as JSON", spellcheck: "false", ".value": format(body) });
  const answer = make("div", { role: "status", class: "answer" });
  const send = make("button", { type: "submit", class: "button main" }, "Predict");
  const code = makeCode();

  const describe = () => {
    const read = parse(editor.value);
    code.show(
      read.error
        ? { JSON: read.error }
        : snippets.write({ url: location.origin + path, model, version, signature: signature.key, inputs: signature.inputs, body: read.value }),
    );
  };
  const set = (alias, value) => {
    const read = parse(editor.value);
    const known = read.error ? body : read.value;
    editor.value = format({ ...known, inputs: { ...known.inputs, [alias]: value } });
    describe();
  };
  const fail = (text) => answer.replaceChildren(make("p", { class: "error", role: "alert" }, text));
  const submit = async (event) => {
    event.preventDefault();
    const read = parse(editor.value);
    if (read.error) return fail(read.error);
    send.disabled = true;
    try {
      const started = performance.now();
      const response = await fetch(path, { method: "POST", body: editor.value, headers: { "Content-Type": "application/json" } });
      const text = await response.text();
      const took = make("p", { class: "quiet" }, `${response.status} after ${formatSeconds((performance.now() - started) / 1e3)}`);
      // NaN and infinities are written as such, which is not JSON.
      const told = parse(text.replace(/(?<=[[,:\s])-?(?:NaN|Infinity)(?=[\],}\s])/g, (token) => JSON.stringify(token)));
      if (!response.ok) return fail(`${response.status}: ${told.value?.error ?? text}`);
      answer.replaceChildren(took, ...(told.error ? [make("pre", {}, text)] : replies.show(told.value, signature.outputs)));
    } catch (error) {
      fail(`The server could not be asked: ${error.message}`);
    } finally {
      send.disabled = false;
    }
  };
  const images = signature.inputs.map((input) => [input, imageShapeOf(input)]).filter(([, shape]) => shape);
  const fields = images.map(([input, shape]) => makeImageField(input, shape, (value) => set(input.alias, value), fail));
  editor.addEventListener("input", describe);
  describe();
  return [
    make(
      "form",
      { class: "card", onsubmit: submit },
      make("h3", {}, "Try it"),
      fields,
      editor,
      make("div", { class: "row end" }, send, make("span", { class: "quiet" }, `POST ${path}`)),
    ),
    make("section", { class: "card", "aria-label": "Reply" }, make("h3", {}, "Reply"), answer),
    make("section", { class: "card" }, make("h3", {}, "The same request from elsewhere"), code.element),
  ];
}

function parse(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === "object" ? { value } : { error: "A request is an object in JSON." };
  } catch (error) {
    return { error: error.message };
  }
}

/** Tabs of code, each with a button that copies it. */
function makeCode() {
  const tabs = make("div", { class: "tabs", role: "tablist" });
  const text = make("pre", { tabindex: 0 });
  const copy = make("button", { type: "button", class: "button", onclick: () => navigator.clipboard?.writeText(text.textContent) }, "Copy");
  let chosen = "curl";
  let codes = {};
  const choose = (title) => {
    chosen = title in codes ? title : Object.keys(codes)[0];
    text.textContent = codes[chosen];
    for (const tab of tabs.children) tab.setAttribute("aria-selected", String(tab.textContent === chosen));
  };
  return {
    element: make("div", {}, tabs, text, make("div", { class: "row end" }, copy)),
    show(found) {
      codes = found;
      tabs.replaceChildren(
        ...Object.keys(found).map((title) => make("button", { type: "button", class: "button", role: "tab", onclick: () => choose(title) }, title)),
      );
      choose(chosen);
    },
  };
}
