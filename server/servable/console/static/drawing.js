// A canvas to draw on with mouse, finger, pen or keys. It keeps strokes, so that they can be drawn anew at any size.

import { button, element } from "./elements.js";

const SIDE = 224;
// Each pixel of the image is the mean of so many squared.
const FINE = 8;
const STEP = 1 / 24;
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
const HELP = "Draw here. With the keyboard: the arrow keys move the pen, the space bar puts it down and lifts it, Escape clears.";

/** A drawing of an image of some sides. `onChange` is called with its pixels at each change, and whether a stroke is complete. */
export class Drawing {
  constructor({ height, width }, onChange) {
    this.sides = [width, height];
    this.onChange = onChange;
    this.strokes = [];
    this.pen = { at: [0.5, 0.2], isDown: false, isShown: false };
    this.canvas = element("canvas", { class: "drawing", width: SIDE, height: SIDE, tabindex: 0, role: "application", "aria-label": HELP });
    this.preview = element("canvas", { class: "preview", width, height, role: "img", "aria-label": "What the model gets" });
    this.element = element(
      "div",
      { class: "drawing-board" },
      this.canvas,
      element("div", { class: "drawing-side" }, element("span", { class: "muted small" }, `the model gets ${width} × ${height}`), this.preview, button("Clear", () => this.clear())),
    );
    this.listen();
    this.show();
  }

  clear() {
    this.strokes = [];
    this.pen.isDown = false;
    this.show();
    this.onChange(null, true);
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.pen.isShown = false;
      this.begin(this.placeOf(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!canvas.hasPointerCapture(event.pointerId)) return;
      // A mouse moves more often than the screen is drawn.
      for (const each of event.getCoalescedEvents?.() ?? [event]) this.strokes.at(-1).push(this.placeOf(each));
      this.change(false);
    });
    canvas.addEventListener("pointerup", () => this.change(true));
    canvas.addEventListener("pointercancel", () => this.change(true));
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    canvas.addEventListener("focus", () => this.showPen(canvas.matches(":focus-visible")));
    canvas.addEventListener("blur", () => this.showPen(false));
  }

  onKey(event) {
    const step = ARROWS[event.key];
    if (step) this.movePen(step);
    else if (event.key === " ") this.togglePen();
    else if (event.key === "Escape") this.clear();
    else return;
    event.preventDefault();
  }

  movePen(step) {
    this.pen.at = this.pen.at.map((place, axis) => Math.min(1, Math.max(0, place + step[axis])));
    this.pen.isShown = true;
    if (this.pen.isDown) {
      this.strokes.at(-1).push(this.pen.at);
      this.change(false);
    } else {
      this.show();
    }
  }

  togglePen() {
    this.pen.isDown = !this.pen.isDown;
    this.pen.isShown = true;
    if (this.pen.isDown) this.begin(this.pen.at);
    else this.change(true);
  }

  showPen(isShown) {
    this.pen.isShown = isShown;
    if (!isShown) this.pen.isDown = false;
    this.show();
  }

  begin(place) {
    this.strokes.push([place]);
    this.change(false);
  }

  change(isComplete) {
    this.show();
    this.onChange(this.pixels(), isComplete);
  }

  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  /** Show the strokes, as large as they were drawn, and what the model gets. */
  show() {
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, SIDE, SIDE);
    const style = getComputedStyle(this.canvas);
    trace(context, this.strokes, ([x, y]) => [x * SIDE, y * SIDE], SIDE / 14, style.color);
    if (this.pen.isShown) {
      const [x, y] = this.pen.at;
      context.beginPath();
      context.arc(x * SIDE, y * SIDE, SIDE / 28, 0, 2 * Math.PI);
      context.lineWidth = 2;
      context.strokeStyle = style.accentColor === "auto" ? style.color : style.accentColor;
      context.stroke();
    }
    this.preview.getContext("2d").putImageData(this.pixels(), 0, 0);
  }

  /** White strokes on black: centred and as large as the image lets them be, as in the data sets that models learn from. */
  pixels() {
    const [width, height] = this.sides;
    const fine = new OffscreenCanvas(width * FINE, height * FINE).getContext("2d", { willReadFrequently: true });
    fine.fillStyle = "black";
    fine.fillRect(0, 0, width * FINE, height * FINE);
    const penWidth = 1 + Math.min(width, height) / 20;
    const fit = fitting(this.strokes.flat(), this.sides, penWidth);
    trace(fine, this.strokes, (point) => fit(point).map((place) => place * FINE), penWidth * FINE, "white");
    return shrink(fine.getImageData(0, 0, width * FINE, height * FINE), width, height);
  }
}

function trace(context, strokes, place, lineWidth, colour) {
  Object.assign(context, { lineWidth, lineCap: "round", lineJoin: "round", strokeStyle: colour });
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(...place(stroke[0]));
    // A stroke of one point is a dot.
    for (const point of stroke.length > 1 ? stroke.slice(1) : stroke) context.lineTo(...place(point));
    context.stroke();
  }
}

/** Moves points of the unit square to the middle of an image, with the margin that its size usually has. */
function fitting(points, sides, penWidth) {
  const lows = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis])));
  const highs = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis])));
  const rooms = sides.map((side) => side - penWidth - (side < 16 ? 0 : (2 * side) / 7));
  const sizes = highs.map((high, axis) => Math.max(high - lows[axis], 0.15));
  const scale = Math.min(...rooms.map((room, axis) => room / sizes[axis]));
  return (point) => point.map((place, axis) => sides[axis] / 2 + (place - (lows[axis] + highs[axis]) / 2) * scale);
}

function shrink(fine, width, height) {
  const small = new ImageData(width, height);
  for (let at = 0; at < width * height; at += 1) {
    const [left, top] = [(at % width) * FINE, Math.floor(at / width) * FINE];
    let sum = 0;
    for (let row = 0; row < FINE; row += 1) {
      for (let column = 0; column < FINE; column += 1) sum += fine.data[4 * ((top + row) * fine.width + left + column)];
    }
    small.data.set([sum / FINE ** 2, sum / FINE ** 2, sum / FINE ** 2, 255], 4 * at);
  }
  return small;
}
