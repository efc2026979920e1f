// Tensors as nested arrays: their shapes, and their JSON as people and the server write it.

// A string, or a number or word that JavaScript would refuse or round.
const ODD = /"(?:[^"\\]|\\.)*"|-?Infinity\b|\bNaN\b|-?\b\d{16,}\b(?![.eE])/g;
const NUMBERS = /"(?:[^"\\]|\\.)*"|-?(?:Infinity|NaN|\d[\d.eE+-]*)/g;
const MOST_TYPED = 2000;

/** A number as it was written: `1.0` is a float for the server, where `1` is none. */
export class Written {
  constructor(text) {
    this.text = text;
  }
}

/** The value of a JSON text. NaN, Infinity and integers of more than 15 digits become strings. */
export function parse(text) {
  try {
    return JSON.parse(text.replace(ODD, (word) => (word.startsWith('"') ? word : JSON.stringify(word))));
  } catch (error) {
    throw new Error(`This is no JSON: ${error.message}`);
  }
}

/** The value of a JSON text, with each number as a Written. */
export function parseWritten(text) {
  const marked = text.replace(NUMBERS, (word) => (word.startsWith('"') ? word : `{"\\u0000": "${word}"}`));
  return JSON.parse(marked, (_key, value) => (typeof value?.["\u0000"] === "string" ? new Written(value["\u0000"]) : value));
}

/** The sizes of nested arrays along their first elements. */
export function shapeOf(value) {
  return Array.isArray(value) ? [value.length, ...(value.length ? shapeOf(value[0]) : [])] : [];
}

/** All values of nested arrays, in order. */
export function flatten(value) {
  return Array.isArray(value) ? value.flat(Infinity) : [value];
}

/** How many values a shape has, with 1 for what is open. */
export function sizeOf(shape) {
  return (shape ?? []).reduce((product, size) => product * (size ?? 1), 1);
}

/** Nested arrays of a shape, of values by their index. */
export function nest(shape, valueAt, offset = 0) {
  if (!shape.length) return valueAt(offset);
  const [size, ...rest] = shape;
  const step = sizeOf(rest);
  return Array.from({ length: size }, (_, index) => nest(rest, valueAt, offset + index * step));
}

/** A first value for an input: zeros, one row of them. */
export function exampleOf(tensor) {
  const zero = { string: "", bool: false }[tensor.dtype] ?? 0;
  return nest((tensor.shape ?? [1]).map((size) => size ?? 1), () => zero);
}

/** Whether a value is short enough to be typed. */
export const isShort = (value) => flatten(value).length <= MOST_TYPED;

/** JSON for people: the innermost arrays on a line each. */
export function format(value, indent = "") {
  if (!Array.isArray(value) || !value.some(Array.isArray)) return JSON.stringify(value).replaceAll(",", ", ");
  const inner = value.map((each) => `${indent} ${format(each, `${indent} `)}`);
  return `[\n${inner.join(",\n")}\n${indent}]`;
}

/** `float [?, 8, 8]` */
export function describe(tensor) {
  const shape = tensor.shape === null ? "[...]" : `[${tensor.shape.map((size) => size ?? "?").join(", ")}]`;
  return `${tensor.dtype} ${shape}`;
}
