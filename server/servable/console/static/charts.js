// Live charts of the last two minutes, each an SVG of its own.

import { drawn, element } from "./elements.js";

const POINTS = 120;
const [WIDTH, HEIGHT] = [240, 56];

const number = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(value ? 2 : 0));
const milliseconds = (value) => (value >= 1000 ? `${number(value / 1000)} s` : `${number(value)} ms`);
export const bytes = (value) => (value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(2)} GB` : `${(value / 2 ** 20).toFixed(value < 10 * 2 ** 20 ? 1 : 0)} MB`);

const CHARTS = [
  { title: "Requests/s", format: number, least: 1, series: [{ key: "requests_per_s" }] },
  { title: "Latency", format: milliseconds, least: 1, series: [{ key: "p50_ms", name: "p50" }, { key: "p99_ms", name: "p99" }] },
  { title: "Errors/s", format: number, least: 1, series: [{ key: "errors_per_s", tone: "bad" }] },
  { title: "Batch rows", format: number, least: 2, series: [{ key: "mean_batch_rows", name: "mean" }, { key: "p99_batch_rows", name: "p99" }] },
  { title: "CPU cores", format: number, least: 1, series: [{ key: "cpu_cores" }] },
  { title: "Memory", format: bytes, least: 2 ** 20, series: [{ key: "memory_bytes" }] },
];

/** All charts, in an element. */
export class Charts {
  constructor(parent) {
    this.charts = CHARTS.map((about) => new Chart(about));
    parent.replaceChildren(...this.charts.map((chart) => chart.element));
  }

  /** Forget all values. */
  clear() {
    for (const chart of this.charts) chart.values = chart.values.map(() => []);
  }

  /** Show one more snapshot. What it lacks is a gap. */
  add(snapshot) {
    for (const chart of this.charts) chart.add(snapshot);
  }
}

class Chart {
  constructor(about) {
    this.about = about;
    // Values by series, the newest last.
    this.values = about.series.map(() => []);
    this.pointed = null;
    this.numbers = about.series.map(({ name }, at) => element("span", { class: `number series-${at}`, title: name }, "–"));
    this.top = element("span", { class: "top-value muted" });
    this.areas = about.series.map(({ tone }, at) => drawn("path", { class: `area series-${at} ${tone ?? ""}` }));
    this.lines = about.series.map(({ tone }, at) => drawn("path", { class: `line series-${at} ${tone ?? ""}` }));
    this.cursor = drawn("path", { class: "cursor" });
    this.plot = drawn(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", pointermove: (event) => this.point(event), pointerleave: () => this.point(null) },
      drawn("path", { class: "base", d: `M0 ${HEIGHT - 0.5}H${WIDTH}` }),
      this.areas[0],
      ...this.lines.reverse(),
      this.cursor,
    );
    this.lines.reverse();
    const names = about.series.map(({ name }, at) => (name ? element("span", { class: `key series-${at}` }, name) : null));
    this.element = element(
      "figure",
      { class: "chart" },
      element("figcaption", {}, about.title, ...names),
      element("div", { class: "numbers-now" }, ...this.numbers),
      element("div", { class: "plot" }, this.plot, this.top),
    );
  }

  add(snapshot) {
    this.about.series.forEach(({ key }, at) => {
      this.values[at].push(snapshot[key] ?? null);
      if (this.values[at].length > POINTS) this.values[at].shift();
    });
    this.show();
  }

  point(event) {
    const box = this.plot.getBoundingClientRect();
    this.pointed = event && Math.round(((event.clientX - box.left) / box.width) * (POINTS - 1));
    this.show();
  }

  show() {
    const { format, least, title, series } = this.about;
    const known = this.values.flat().filter((value) => value !== null);
    const highest = Math.max(least, ...known);
    this.top.textContent = known.length ? `max ${format(Math.max(...known))}` : "";
    const length = this.values[0].length;
    const at = this.pointed === null ? length - 1 : this.pointed - (POINTS - length);
    this.values.forEach((values, index) => {
      const value = values[at] ?? null;
      this.numbers[index].textContent = value === null ? "–" : format(value);
      this.lines[index].setAttribute("d", this.trace(values, highest, false));
      if (index === 0) this.areas[0].setAttribute("d", this.trace(values, highest, true));
    });
    const x = (this.pointed ?? 0) * (WIDTH / (POINTS - 1));
    this.cursor.setAttribute("d", this.pointed === null ? "" : `M${x} 0V${HEIGHT}`);
    this.plot.setAttribute("aria-label", `${title}: ${this.numbers.map((shown, index) => `${series[index].name ?? ""} ${shown.textContent}`.trim()).join(", ")}`);
  }

  /** A path through values; each run of known ones stands alone. */
  trace(values, highest, isArea) {
    const offset = POINTS - values.length;
    const point = (value, at) => `${((offset + at) * (WIDTH / (POINTS - 1))).toFixed(1)} ${(HEIGHT - 1 - (value / highest) * (HEIGHT - 2)).toFixed(1)}`;
    const runs = [];
    values.forEach((value, at) => {
      if (value === null) return;
      if (at === 0 || values[at - 1] === null) runs.push([]);
      runs.at(-1).push([value, at]);
    });
    return runs
      .map((run) => {
        const [, from] = run[0];
        const [, to] = run.at(-1);
        // A point alone would not be seen.
        const points = run.map(([value, at]) => point(value, at)).join("L");
        return isArea ? `M${point(0, from)}L${points}L${point(0, to)}Z` : `M${points}h0.8`;
      })
      .join("");
  }
}
