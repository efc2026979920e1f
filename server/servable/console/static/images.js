// Images as tensors: which inputs take one, and the values of its pixels.

import { nest } from "./values.js";

const CHANNELS = [1, 3, 4];
const INTEGERS = /^u?int/;
// The sides of an image where the input leaves them open.
const OWN_SIDE_AT_MOST = 1024;
const MOST_DRAWN = 64;
const LEAST_SIDE = 4;

/** Ranges that the values of pixels have in practice. */
export const RANGES = [[0, 1], [0, 255], [-1, 1], [0, 16]];

/** How an input holds images: the sizes of its axes by their names, null for an open one; null if it holds none. */
export function imageAxes({ dtype, shape }) {
  if (!shape || dtype === "string" || dtype === "bool") return null;
  return shape.length === 2 ? flatAxes(shape) : deepAxes(shape);
}

/** Whether an image can be drawn by hand for an input. */
export function isDrawable(axes) {
  return Boolean(axes) && [axes.height, axes.width].every((side) => side !== null && side <= MOST_DRAWN);
}

/** The range of pixels that is likely: the digits of UCI, the best known images of 8 x 8, have 0 to 16. */
export function likelyRange({ dtype }, axes) {
  if (axes.height === 8 && axes.width === 8) return RANGES[3];
  return INTEGERS.test(dtype) ? RANGES[1] : RANGES[0];
}

/** The value of an input for the pixels of an image, with one byte for red, green, blue and alpha each. */
export function toTensor({ data, width, height }, tensor, axes, { range: [low, high], isInverted }) {
  const round = INTEGERS.test(tensor.dtype) ? Math.round : (value) => Number(value.toFixed(4));
  const channels = axes.channels ?? 1;
  const valueAt = (row, column, channel) => {
    const share = pixel(data, 4 * (row * width + column), channel, channels) / 255;
    return round(low + (high - low) * (isInverted ? 1 - share : share));
  };
  const sizes = { batch: 1, height, width, channels, pixels: height * width * channels };
  const shape = axes.order.map((axis) => sizes[axis]);
  return nest(shape, (index) => valueAt(...place(index, axes.order, sizes)));
}

/** The pixels of an image file, scaled to an input's sides. As Keras does, it is stretched, and nothing is cut off. */
export async function readImage(file, axes) {
  const image = await createImageBitmap(file).catch(() => {
    throw new Error("This is no image that the browser can read");
  });
  const shrink = Math.min(1, OWN_SIDE_AT_MOST / Math.max(image.width, image.height));
  const width = axes.width ?? Math.max(1, Math.round(image.width * shrink));
  const height = axes.height ?? Math.max(1, Math.round(image.height * shrink));
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function flatAxes([rows, columns]) {
  const side = Math.sqrt(columns ?? 0);
  // A row of a square number of values is an image of one channel, as 784 is of 28 x 28.
  const isFlat = (rows === null || rows === 1) && Number.isInteger(side) && side >= 8;
  if (isFlat) return { order: ["batch", "pixels"], height: side, width: side, channels: 1 };
  const isImage = [rows, columns].every((size) => size !== null && size >= LEAST_SIDE);
  return isImage ? { order: ["height", "width"], height: rows, width: columns, channels: 1 } : null;
}

function deepAxes(shape) {
  const order = deepOrder(shape);
  if (!order) return null;
  const axes = Object.fromEntries(order.map((axis, at) => [axis, shape[at]]));
  const isOne = (axes.batch ?? 1) === 1;
  const hasColours = !("channels" in axes) || axes.channels === null || CHANNELS.includes(axes.channels);
  const isLarge = [axes.height, axes.width].every((side) => side === null || side >= LEAST_SIDE);
  if (!isOne || !hasColours || !isLarge) return null;
  return { order, height: axes.height, width: axes.width, channels: "channels" in axes ? axes.channels ?? 3 : 1 };
}

function deepOrder(shape) {
  const isColourLast = CHANNELS.includes(shape.at(-1));
  if (shape.length === 4) {
    const isColourFirst = !isColourLast && CHANNELS.includes(shape[1]);
    return isColourFirst ? ["batch", "channels", "height", "width"] : ["batch", "height", "width", "channels"];
  }
  if (shape.length !== 3) return null;
  const isOneImage = isColourLast && (shape[0] !== null || shape[1] === null);
  return isOneImage ? ["height", "width", "channels"] : ["batch", "height", "width"];
}

function pixel(data, at, channel, channels) {
  if (channels > 1) return data[at + channel];
  return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
}

/** Row, column and channel of the value at an index. */
function place(index, order, sizes) {
  const found = { height: 0, width: 0, channels: 0 };
  let rest = index;
  for (const axis of [...order].reverse()) {
    if (axis === "pixels") {
      found.width = rest % sizes.width;
      found.height = Math.floor(rest / sizes.width);
    } else {
      found[axis] = rest % sizes[axis];
    }
    rest = Math.floor(rest / sizes[axis]);
  }
  return [found.height, found.width, found.channels];
}
