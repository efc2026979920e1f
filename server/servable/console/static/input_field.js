// One input of a request: typed as JSON, drawn, or taken from a file.

import { Drawing } from "./drawing.js";
import { button, choices, element } from "./elements.js";
import { imageAxes, isDrawable, likelyRange, RANGES, readImage, toTensor } from "./images.js";
import { readNpy } from "./npy.js";
import { describe, exampleOf, format, isShort, nest, parse, shapeOf } from "./values.js";

const MOST_FILE_BYTES = 64 * 2 ** 20;

/** The field of an input. `onChange` is called when its value changes, and with whether it should be sent at once. */
export class InputField {
  constructor(tensor, onChange) {
    this.tensor = tensor;
    this.onChange = onChange;
    this.axes = imageAxes(tensor);
    this.pixelOptions = this.axes && { range: likelyRange(tensor, this.axes), isInverted: false };
    // The pixels that the value was made of, if it was.
    this.image = null;
    // A value that is too long to be typed, in place of the text.
    this.long = null;
    this.area = element("textarea", { spellcheck: "false", rows: 3, "aria-label": `${tensor.name}, as JSON`, input: () => this.onType() });
    this.note = element("p", { class: "note small", role: "status" });
    this.element = element("section", { class: "field" }, this.makeHead(), this.makeBoard(), this.makePixelOptions(), this.area, this.note);
    this.watchDrops();
    this.setValue(exampleOf(tensor), "Zeros");
  }

  /** The JSON of the value, as it will be sent. Throws if it is none. */
  text() {
    if (this.long !== null) return JSON.stringify(this.long);
    try {
      parse(this.area.value);
    } catch (error) {
      throw new Error(`${this.tensor.name}: ${error.message}`);
    }
    return this.area.value.trim();
  }

  /** The value. Throws as `text`. */
  value() {
    return this.long ?? parse(this.text());
  }

  makeHead() {
    const file = element("input", { type: "file", class: "hidden-file", change: () => this.takeFile(file.files[0]) });
    const kinds = { string: "a file", [this.axes ? this.tensor.dtype : ""]: "an image or .npy" }[this.tensor.dtype] ?? "a .npy file";
    return element(
      "div",
      { class: "field-head" },
      element("strong", {}, this.tensor.name),
      element("code", { class: "muted" }, describe(this.tensor)),
      element("label", { class: "drop" }, file, `Drop or choose ${kinds}`),
    );
  }

  makeBoard() {
    if (!isDrawable(this.axes)) return null;
    this.drawing = new Drawing(this.axes, (pixels, isComplete) => this.takePixels(pixels, "", isComplete));
    return this.drawing.element;
  }

  makePixelOptions() {
    if (!this.axes) return null;
    const options = this.pixelOptions;
    const ranges = RANGES.map((range) => ({ value: range, text: `${range[0]} to ${range[1]}` }));
    const set = (change) => {
      Object.assign(options, change);
      shown.replaceWith((shown = make()));
      if (this.image) this.takePixels(this.image, this.note.textContent, true);
    };
    const make = () =>
      element(
        "div",
        { class: "pixel-options small" },
        element("span", { class: "muted" }, "pixels from"),
        choices("Values of pixels", ranges, options.range, (range) => set({ range })),
        button("inverted", () => set({ isInverted: !options.isInverted }), { "aria-pressed": String(options.isInverted), class: "toggle" }),
      );
    let shown = make();
    return shown;
  }

  watchDrops() {
    const mark = (isOver) => this.element.classList.toggle("is-over", isOver);
    this.element.addEventListener("dragover", (event) => {
      event.preventDefault();
      mark(true);
    });
    this.element.addEventListener("dragleave", () => mark(false));
    this.element.addEventListener("drop", (event) => {
      event.preventDefault();
      mark(false);
      this.takeFile(event.dataTransfer.files[0]);
    });
  }

  async takeFile(file) {
    if (!file) return;
    try {
      if (file.size > MOST_FILE_BYTES) throw new Error(`This file has more than ${MOST_FILE_BYTES / 2 ** 20} MB`);
      await this.readFile(file);
    } catch (error) {
      this.fail(error.message);
    }
  }

  async readFile(file) {
    if (this.tensor.dtype === "string") {
      this.setValue([{ b64: await toBase64(file) }], `${file.name}, ${file.size} bytes`);
    } else if (file.name.toLowerCase().endsWith(".npy")) {
      const { shape, valueAt } = readNpy(await file.arrayBuffer());
      // A single element of a batch is what people save.
      const isElement = this.tensor.shape?.length === shape.length + 1;
      this.setValue(nest(isElement ? [1, ...shape] : shape, valueAt), `${file.name}, [${shape.join(", ")}]`);
    } else if (this.axes) {
      this.takePixels(await readImage(file, this.axes), file.name, true);
      return;
    } else {
      throw new Error("This input takes a .npy file");
    }
    this.onChange(true);
  }

  takePixels(pixels, about, isComplete) {
    this.image = pixels;
    if (!pixels) this.setValue(exampleOf(this.tensor), "");
    else this.setValue(toTensor(pixels, this.tensor, this.axes, this.pixelOptions), about);
    this.onChange(isComplete && pixels !== null);
  }

  setValue(value, about) {
    this.long = isShort(value) ? null : value;
    this.area.hidden = this.long !== null;
    this.area.value = this.long === null ? format(value) : "";
    this.area.rows = Math.min(10, Math.max(2, this.area.value.split("\n").length));
    this.say(this.long === null ? "" : `${about}${about && ": "}${this.tensor.dtype} [${shapeOf(value).join(", ")}]`);
    if (this.long !== null) this.note.append(" ", button("Type JSON instead", () => this.typeInstead(), { class: "link" }));
  }

  typeInstead() {
    this.long = null;
    this.area.hidden = false;
    this.area.value = "";
    this.area.focus();
    this.say("");
    this.onChange(false);
  }

  onType() {
    this.image = null;
    this.say("");
    this.onChange(false);
  }

  say(text) {
    this.note.classList.remove("is-error");
    this.area.removeAttribute("aria-invalid");
    this.note.replaceChildren(text);
  }

  fail(text) {
    this.say(text);
    this.note.classList.add("is-error");
    this.area.setAttribute("aria-invalid", "true");
  }
}

async function toBase64(file) {
  const reader = new FileReader();
  return new Promise((resolve, reject) => {
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error("This file cannot be read"));
    reader.readAsDataURL(file);
  });
}
