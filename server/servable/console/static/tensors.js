// Tensors as nested lists: an example of a signature's input, an image or a .npy file as an input.

const INTEGERS = /^u?int\d+$/;
const MOST_EXAMPLE_VALUES = 4096;

export const isNumeric = ({ dtype }) => INTEGERS.test(dtype) || ["float", "double"].includes(dtype);

/** A nested list of a shape, filled by a function of the flat index. */
export function build(shape, valueAt) {
  let next = 0;
  const level = (depth) =>
    depth === shape.length ? valueAt(next++) : Array.from({ length: shape[depth] }, () => level(depth + 1));
  return level(0);
}

/** Zeros of an input's shape, one where any extent will do; large ones are cut short, to be replaced by an image. */
export function exampleOf({ dtype, shape }) {
  const value = dtype === "string" ? "" : dtype === "bool" ? false : dtype.startsWith("float") || dtype === "double" ? 0.5 : 1;
  const extents = (shape ?? [1]).map((extent) => (extent < 0 ? 1 : extent));
  const count = extents.reduce((product, extent) => product * extent, 1);
  return count > MOST_EXAMPLE_VALUES ? [] : build(extents, () => value);
}

/** JSON with the innermost lists on one line each. */
export function format(value) {
  const text = JSON.stringify(value, null, 1);
  return text.replace(/\[\s+([^[\]{}]*?)\s+\]/g, (_, inner) => `[${inner.replace(/\s+/g, " ")}]`);
}

/** Height, width and channels (0: none) if an input may be an image; null if it cannot. */
export function imageShapeOf(input) {
  if (!isNumeric(input) || !input.shape) return null;
  const [, height, width, channels = 0] = input.shape;
  const hasRank = input.shape.length === 3 || (input.shape.length === 4 && [1, 3, -1].includes(channels));
  return hasRank && height !== 1 && width !== 1 ? { height, width, channels: channels < 0 ? 3 : channels } : null;
}

/** A drawing as a batch of one image: each pixel is the mean of `factor` by `factor` pixels of the canvas. */
export function readCanvas(canvas, factor, { channels }, most, isInverted, isInteger) {
  const height = canvas.height / factor;
  const width = canvas.width / factor;
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const depth = channels || 1;
  const weights = depth === 3 ? [[1, 0, 0], [0, 1, 0], [0, 0, 1]] : [[0.299, 0.587, 0.114]];
  const mean = (row, column, [red, green, blue]) => {
    let sum = 0;
    for (let y = row * factor; y < (row + 1) * factor; y += 1) {
      for (let x = column * factor; x < (column + 1) * factor; x += 1) {
        const at = 4 * (y * canvas.width + x);
        sum += red * pixels[at] + green * pixels[at + 1] + blue * pixels[at + 2];
      }
    }
    return sum / factor ** 2;
  };
  const scale = (byte) => {
    const value = ((isInverted ? 255 - byte : byte) / 255) * most;
    return isInteger ? Math.round(value) : Math.round(value * 1e4) / 1e4;
  };
  const shape = channels ? [1, height, width, channels] : [1, height, width];
  return build(shape, (index) => {
    const pixel = Math.floor(index / depth);
    return scale(mean(Math.floor(pixel / width), pixel % width, weights[index % depth]));
  });
}

const READERS = {
  f4: [4, "getFloat32"],
  f8: [8, "getFloat64"],
  i1: [1, "getInt8"],
  u1: [1, "getUint8"],
  b1: [1, "getUint8"],
  i2: [2, "getInt16"],
  u2: [2, "getUint16"],
  i4: [4, "getInt32"],
  u4: [4, "getUint32"],
  i8: [8, "getBigInt64"],
  u8: [8, "getBigUint64"],
};

/** The array of a .npy file as nested lists; throws an Error that says what cannot be read. */
export function readNpy(buffer) {
  const view = new DataView(buffer);
  const magic = String.fromCharCode(...new Uint8Array(buffer.slice(0, 6)));
  if (magic !== "\x93NUMPY") throw new Error("This is no .npy file.");
  const isFirst = view.getUint8(6) === 1;
  const start = isFirst ? 10 : 12;
  const length = isFirst ? view.getUint16(8, true) : view.getUint32(8, true);
  const header = new TextDecoder("latin1").decode(buffer.slice(start, start + length));
  const [, order, kind] = /'descr':\s*'([<>|=])(\w+)'/.exec(header) ?? [];
  if (!(kind in READERS)) throw new Error("Arrays of numbers and of truth values can be read from .npy, others cannot.");
  if (/'fortran_order':\s*True/.test(header)) throw new Error("The array is in Fortran order; save a copy in C order.");
  const shape = [.../'shape':\s*\(([^)]*)\)/.exec(header)[1].matchAll(/\d+/g)].map(([digits]) => Number(digits));
  const [size, method] = READERS[kind];
  return build(shape, (index) => {
    const value = view[method](start + length + index * size, order !== ">");
    return kind === "b1" ? value !== 0 : Number(value);
  });
}
