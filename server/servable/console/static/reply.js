// The reply as people read it: single values large, probabilities as bars, the rest as a table.

import { make, makeSvg, makeTable } from "./elements.js";

const MOST_BARS = 10;
const MOST_CLASSES = 20000;
const MOST_TEXT = 2000;

/** Elements that show the outputs of a reply, by the signature's outputs. */
export function show(reply, outputs) {
  const single = outputs.length === 1;
  const values = outputs.map(({ alias }) => [alias, single ? reply.outputs : reply.outputs?.[alias]]);
  const labels = values.map(([, value]) => firstRow(value)).find(isLabels);
  return values.map(([alias, value]) => make("section", {}, make("h3", {}, alias), showValue(value, labels)));
}

/** The first row of a batch. */
function firstRow(value) {
  return Array.isArray(value) ? value[0] : value;
}

const isLabels = (row) => Array.isArray(row) && row.length > 1 && row.every((item) => typeof item === "string");

/** Whether a row can be probabilities of classes. */
export function isDistribution(row) {
  if (!Array.isArray(row) || row.length < 2 || row.length > MOST_CLASSES) return false;
  if (!row.every((value) => typeof value === "number" && value >= 0 && value <= 1)) return false;
  return Math.abs(row.reduce((sum, value) => sum + value, 0) - 1) < 0.01;
}

function showValue(value, labels) {
  const rows = Array.isArray(value) && Array.isArray(value[0]) ? value : [value];
  if (Array.isArray(value) && value.length === 1 && !Array.isArray(value[0])) return showScalar(value[0]);
  if (!Array.isArray(value)) return showScalar(value);
  if (rows.every(isDistribution)) return make("div", {}, rows.slice(0, 8).map((row) => showBars(row, labels)));
  if (rows.length > 1 && rows.every((row) => !row.some(Array.isArray) && row.length <= 16)) {
    return makeTable(["row", ...rows[0].map((_, index) => String(index))], rows.map((row, index) => [String(index), ...row.map(toText)]));
  }
  return make("pre", {}, cut(JSON.stringify(value)));
}

const showScalar = (value) => make("p", { class: "value" }, toText(value));

function toText(value) {
  return typeof value === "string" ? value : cut(JSON.stringify(value) ?? "");
}

function cut(text) {
  return text.length > MOST_TEXT ? `${text.slice(0, MOST_TEXT)} … (${text.length} characters)` : text;
}

function showBars(row, labels) {
  const order = row.map((value, index) => [value, index]).sort(([a], [b]) => b - a).slice(0, MOST_BARS);
  const cells = order.flatMap(([value, index], place) => [
    make("span", { class: place ? "" : "first" }, labels?.[index] ?? String(index)),
    makeSvg(
      "svg",
      { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      makeSvg("rect", { class: "rail", width: 100, height: 10, rx: 2 }),
      makeSvg("rect", { width: 100 * value, height: 10, rx: 2 }),
    ),
    make("span", {}, `${(100 * value).toFixed(1)} %`),
  ]);
  return make("div", { class: "bars" }, cells);
}
