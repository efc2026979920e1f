// The examples of a Classify or Regress request, typed as JSON: a signature does not say which features they have.

import { element } from "./elements.js";
import { parse } from "./values.js";

const FIRST = '[\n {"feature": [1.0, 2.0]}\n]';

export class ExamplesField {
  constructor(onChange) {
    this.area = element("textarea", { spellcheck: "false", rows: 6, "aria-label": "Examples, as JSON", input: () => onChange(false) });
    this.area.value = FIRST;
    this.element = element(
      "section",
      { class: "field" },
      element("div", { class: "field-head" }, element("strong", {}, "examples"), element("code", { class: "muted" }, "tf.Example")),
      this.area,
      element("p", { class: "note small" }, "The features of each example, by their names. A number with a point is a float, one without is an int64."),
    );
  }

  /** The JSON of the examples. Throws if it is none. */
  text() {
    parse(this.area.value);
    return this.area.value.trim();
  }
}
