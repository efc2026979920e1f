// A canvas to draw on, and a place to drop files: both fill one input of the request.

import { make } from "./elements.js";
import { readCanvas, readNpy } from "./tensors.js";

const LARGEST = 512;
const UNKNOWN = 224;
// Small images are drawn large, and made small by means, as scanners do it.
const LEAST_DRAWN = 256;
const PEN_SHARE = 0.11;

/**
 * Elements by which an image becomes an input.
 *
 * `onValue` gets the tensor as nested lists, `onError` a text.
 */
export function makeImageField(input, shape, onValue, onError) {
  const height = shape.height < 0 ? UNKNOWN : shape.height;
  const width = shape.width < 0 ? UNKNOWN : shape.width;
  const isInteger = !/float|double/.test(input.dtype);
  if (height > LARGEST || width > LARGEST) return make("p", { class: "quiet" }, "Images of this size are not drawn here.");
  const factor = Math.max(Math.ceil(LEAST_DRAWN / Math.max(height, width)), 1);
  const canvas = make("canvas", { width: width * factor, height: height * factor, tabindex: 0, role: "img", "aria-label": `Drawing for ${input.alias}: arrow keys move, space draws` });
  const most = make("input", { type: "number", ".value": isInteger ? 255 : 1, step: "any", id: `most-${input.alias}` });
  const inverted = make("input", { type: "checkbox" });
  const read = () => onValue(readCanvas(canvas, factor, shape, Number(most.value), inverted.checked, isInteger));
  const clear = () => {
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    read();
  };
  most.addEventListener("input", read);
  inverted.addEventListener("change", read);
  new Pen(canvas, read);
  clear();
  return make(
    "div",
    { class: "image" },
    canvas,
    make(
      "div",
      { class: "drop" },
      makeDropZone(input, canvas, read, onValue, onError),
      make("div", { class: "row end" }, make("label", { title: "What a white pixel is to the model: often 1 or 255" }, "White is ", most), make("label", {}, inverted, " inverted")),
      make("div", { class: "row end" }, make("button", { type: "button", class: "button", onclick: clear }, "Clear the drawing")),
    ),
  );
}

/** Draws white lines with the mouse, a finger or the keyboard. */
class Pen {
  #context;
  #last = null;

  constructor(canvas, onChange) {
    this.canvas = canvas;
    this.onChange = onChange;
    this.cursor = { x: canvas.width / 2, y: canvas.height / 2 };
    this.#context = canvas.getContext("2d", { willReadFrequently: true });
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#last && this.#draw(this.#place(event)));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.#end());
    canvas.addEventListener("keydown", (event) => this.#press(event));
  }

  #begin(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this.#last = this.#place(event);
    this.#draw(this.#last);
  }

  #end() {
    if (this.#last) this.onChange();
    this.#last = null;
  }

  #place(event) {
    const box = this.canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * this.canvas.width,
      y: ((event.clientY - box.top) / box.height) * this.canvas.height,
    };
  }

  #draw(to) {
    const from = this.#last ?? to;
    this.#context.strokeStyle = "#fff";
    this.#context.lineCap = this.#context.lineJoin = "round";
    this.#context.lineWidth = Math.max(PEN_SHARE * Math.max(this.canvas.width, this.canvas.height), 1);
    this.#context.beginPath();
    this.#context.moveTo(from.x, from.y);
    this.#context.lineTo(to.x + 0.01, to.y);
    this.#context.stroke();
    this.#last = this.#last && to;
  }

  #press(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.key !== " " && !step) return;
    event.preventDefault();
    if (step) {
      const size = Math.max(this.canvas.width / 16, 1);
      this.cursor.x = Math.min(Math.max(this.cursor.x + step[0] * size, 0), this.canvas.width);
      this.cursor.y = Math.min(Math.max(this.cursor.y + step[1] * size, 0), this.canvas.height);
    } else {
      this.#draw(this.cursor);
      this.onChange();
    }
  }
}

function makeDropZone(input, canvas, onDrawn, onValue, onError) {
  const take = async (file) => {
    if (!file) return;
    try {
      if (file.name.endsWith(".npy")) return onValue(readNpy(await file.arrayBuffer()));
      const bitmap = await createImageBitmap(file);
      canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      onDrawn();
    } catch (error) {
      onError(`${file.name}: ${error.message || "The browser cannot read this image."}`);
    }
  };
  const chooser = make("input", { type: "file", accept: "image/*,.npy", onchange: () => take(chooser.files[0]) });
  const zone = make(
    "div",
    {
      ondragover: (event) => {
        event.preventDefault();
        zone.parentElement.classList.add("over");
      },
      ondragleave: () => zone.parentElement.classList.remove("over"),
      ondrop: (event) => {
        event.preventDefault();
        zone.parentElement.classList.remove("over");
        take(event.dataTransfer.files[0]);
      },
    },
    make("p", {}, `Draw ${input.alias} here, or drop an image or a .npy file:`),
    make("div", { class: "row end" }, chooser),
  );
  return zone;
}
