// The reply to an inference, as tables, and as bars where it holds probabilities or scores of classes.

import { element } from "./elements.js";
import { flatten, parse, shapeOf } from "./values.js";

const MOST_ROWS = 20;
const MOST_COLUMNS = 16;
const MOST_BARS = 12;
const MOST_TEXT = 20000;
const CLASS_NAMES = ["classes", "class", "labels", "label", "class_names"];

/** The elements that show a reply of status 200. */
export function showReply(api, signature, text) {
  const reply = parse(text);
  if (api === "classify") return reply.results.map(showClasses);
  if (api === "regress") return [output("results", reply.results)];
  const { outputs } = reply;
  const names = signature.outputs.map((tensor) => tensor.name);
  const values = names.length === 1 ? { [names[0]]: outputs } : outputs;
  return inOrder(names, values).map((name) => showOutput(name, values[name], values));
}

/** What went wrong, in the words of the server. */
export function showError(title, message) {
  return element("div", { class: "error", role: "alert" }, element("strong", {}, title), element("p", {}, message));
}

/** The text of an error's reply. */
export function errorOf(text) {
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return text.slice(0, MOST_TEXT);
  }
}

/** Single values come first: they are the answer, the rest is why. */
function inOrder(names, values) {
  const sizes = Object.fromEntries(names.map((name) => [name, flatten(values[name]).length]));
  return [...names].sort((one, other) => (sizes[one] > 1) - (sizes[other] > 1));
}

function showOutput(name, value, values) {
  const rows = asRows(value);
  if (!rows || !rows.every(isProbabilities)) return output(name, value);
  const labels = asRows(CLASS_NAMES.map((each) => values[each]).find((each) => each !== undefined && each !== value));
  const shown = rows.slice(0, MOST_ROWS).map((row, at) => bars(row.map((share, index) => [labelOf(labels, at, row, index), share])));
  return titled(name, value, ...shown, ...more(rows.length - shown.length, "rows"));
}

function labelOf(labels, at, row, index) {
  const own = labels?.[at] ?? labels?.[0];
  return String(own?.length === row.length ? own[index] : index);
}

/** The rows of a matrix, or a vector as the only row; null for any other shape. */
function asRows(value) {
  const { length } = shapeOf(value);
  return { 1: () => [value], 2: () => value }[length]?.() ?? null;
}

function isProbabilities(row) {
  const isShares = row.length > 1 && row.every((share) => typeof share === "number" && share >= 0 && share <= 1);
  return isShares && Math.abs(row.reduce((sum, share) => sum + share, 0) - 1) < 0.01;
}

function showClasses(pairs) {
  const scores = pairs.map(([, score]) => score);
  if (!scores.every((score) => score >= 0 && score <= 1)) return output("results", pairs);
  return titled("classes", null, bars(pairs.map(([label, score], index) => [label || String(index), score])));
}

/** The largest shares as bars, in their own order if all are shown. */
function bars(pairs) {
  const largest = [...pairs].sort((one, other) => other[1] - one[1]).slice(0, MOST_BARS);
  const shown = pairs.length <= MOST_BARS ? pairs : largest;
  const list = element("ol", { class: "bars" }, ...shown.map((pair) => bar(pair, pair === largest[0])));
  return element("div", {}, list, ...more(pairs.length - shown.length, "classes"));
}

function bar([label, share], isLargest) {
  const filled = element("span", { class: "filled" });
  // A style attribute in markup would break the page's policy; this does not.
  filled.style.width = `${100 * share}%`;
  const percent = `${(100 * share).toFixed(1)} %`;
  return element("li", { class: isLargest ? "is-largest" : null }, element("span", { class: "label" }, label), element("span", { class: "track" }, filled), element("span", { class: "share" }, percent));
}

function output(name, value) {
  if (flatten(value).length === 1) return titled(name, value, element("p", { class: "single" }, textOf(flatten(value)[0])));
  const rows = asRows(value);
  return titled(name, value, rows ? table(rows, shapeOf(value).length === 1) : element("pre", {}, JSON.stringify(value).slice(0, MOST_TEXT)));
}

function table(rows, isVector) {
  // A vector is read from the top down.
  const cells = isVector ? rows[0].map((each) => [each]) : rows;
  const shown = cells.slice(0, MOST_ROWS).map((row, index) => {
    const columns = row.slice(0, MOST_COLUMNS).map((each) => element("td", {}, textOf(each)));
    return element("tr", {}, element("th", { scope: "row" }, String(index)), ...columns, row.length > MOST_COLUMNS ? element("td", {}, "…") : null);
  });
  const body = element("table", { class: "numbers" }, element("tbody", {}, ...shown));
  return element("div", { class: "scrolls" }, body, ...more(cells.length - shown.length, "rows"));
}

function titled(name, value, ...children) {
  const shape = value === null ? "" : `[${shapeOf(value).join(", ")}]`;
  return element("section", { class: "output", "data-output": name }, element("h4", {}, name, " ", element("code", { class: "muted" }, shape)), ...children);
}

const more = (count, what) => (count > 0 ? [element("p", { class: "muted small" }, `and ${count} more ${what}`)] : []);

function textOf(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return String(Number(value.toPrecision(7)));
  return typeof value === "string" ? value : JSON.stringify(value);
}
