// Live charts: differences of the snapshots that the server sends each second, as lines over the last two minutes.

import { formatBytes, formatNumber, formatSeconds, make, makeSvg } from "./elements.js";

const MOST_POINTS = 120;

const CHARTS = [
  { title: "Requests", unit: "/s", lines: [(step) => step.requests], show: formatNumber },
  { title: "p50 · p99", lines: [(step) => step.p50, (step) => step.p99], show: formatSeconds },
  { title: "Errors", unit: "/s", lines: [(step) => step.errors], show: formatNumber },
  { title: "Rows in a batch", lines: [(step) => step.batchRows], show: formatNumber },
  { title: "CPU", unit: " cores", lines: [(step) => step.cpu], show: (value) => value.toFixed(2) },
  { title: "Memory", lines: [(step) => step.memory], show: formatBytes },
];

/** The charts, put into an element; `add` takes a snapshot. */
export class Charts {
  #before = null;
  #steps = [];
  #charts;

  constructor(element) {
    this.#charts = CHARTS.map((chart) => new Chart(chart));
    element.replaceChildren(...this.#charts.map((chart) => chart.element));
  }

  add(snapshot) {
    const before = this.#before;
    this.#before = snapshot;
    // A server that was started anew counts from zero.
    if (!before || snapshot.time_s <= before.time_s || snapshot.requests < before.requests) return;
    this.#steps = [...this.#steps, subtract(snapshot, before)].slice(-MOST_POINTS);
    for (const chart of this.#charts) chart.draw(this.#steps);
  }
}

function subtract(now, before) {
  const seconds = now.time_s - before.time_s;
  const latency = subtractCounts(now.latency, before.latency);
  const rows = subtractCounts(now.batch_rows, before.batch_rows);
  const runs = rows.reduce((sum, count) => sum + count, 0);
  return {
    requests: (now.requests - before.requests) / seconds,
    errors: (now.errors - before.errors) / seconds,
    p50: quantile(now.latency.limits, latency, 0.5),
    p99: quantile(now.latency.limits, latency, 0.99),
    batchRows: runs ? (now.batch_rows.sum - before.batch_rows.sum) / runs : NaN,
    cpu: (now.cpu_s - before.cpu_s) / seconds,
    memory: now.resident_bytes,
  };
}

function subtractCounts(now, before) {
  return now.counts.map((count, index) => count - (before.counts[index] ?? 0));
}

/** A quantile by the buckets of a histogram, in between by a straight line; NaN of none. */
export function quantile(limits, counts, share) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  let left = share * total;
  for (let index = 0; total && index < limits.length; index += 1) {
    const low = index ? limits[index - 1] : 0;
    if (counts[index] >= left) return low + ((limits[index] - low) * left) / counts[index];
    left -= counts[index];
  }
  return total ? limits[limits.length - 1] : NaN;
}

class Chart {
  constructor({ title, unit = "", lines, show }) {
    Object.assign(this, { unit, lines, show });
    this.output = make("output", {}, "–");
    this.peak = make("span", {});
    this.area = makeSvg("path", { class: "area" });
    this.paths = lines.map((_, index) => makeSvg("path", { class: index ? "second" : "first" }));
    const svg = makeSvg("svg", { viewBox: "0 0 120 44", preserveAspectRatio: "none", "aria-hidden": "true" }, this.area, this.paths);
    this.element = make("figure", { class: "chart" }, make("figcaption", {}, title, this.peak), this.output, svg);
  }

  draw(steps) {
    const series = this.lines.map((line) => steps.map(line));
    const most = Math.max(...series.flat().filter(Number.isFinite), 0);
    const latest = series.map((values) => values[values.length - 1]);
    const shown = latest.map((value) => (Number.isFinite(value) ? this.show(value) : "–")).join(" · ");
    this.output.replaceChildren(shown, make("small", {}, this.unit));
    this.peak.textContent = most ? `max ${this.show(most)}` : "";
    series.forEach((values, index) => this.paths[index].setAttribute("d", trace(values, most)));
    this.area.setAttribute("d", close(series[0], most));
  }
}

function points(values, most) {
  const start = MOST_POINTS - values.length;
  return values
    .map((value, index) => [start + index + 1, 43 - (40 * value) / (most || 1)])
    .filter(([, y]) => Number.isFinite(y));
}

function trace(values, most) {
  return points(values, most).map(([x, y], index) => `${index ? "L" : "M"}${x} ${y.toFixed(2)}`).join("");
}

function close(values, most) {
  const found = points(values, most);
  return found.length ? `${trace(values, most)}L${found[found.length - 1][0]} 44L${found[0][0]} 44Z` : "";
}
