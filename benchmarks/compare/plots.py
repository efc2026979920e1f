"""Two plots of the results: requests a second in closed loops, and latency at a fixed rate. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from models import FIXED_RATE
from results import Results, median

mpl.use("Agg")
from matplotlib import pyplot

# Distinguishable without colours too, by their marks.
_STYLES = {
    "reference": ("black", "D"),
    "tensorflow_model_server": ("grey", "P"),
    "servable": ("tab:blue", "o"),
    "batching": ("tab:green", "^"),
    "lanes2": ("tab:purple", "s"),
    "public": ("tab:cyan", "v"),
    "naive": ("tab:red", "X"),
}
_DPI = 110
_FEW_DECADES = 300


def draw(results: Results, folder: Path) -> None:
    """Write throughput.png and latency.png, if there are figures for them."""
    folder.mkdir(parents=True, exist_ok=True)
    measured = {cell.load for cell in results.cells}
    if measured - {FIXED_RATE}:
        _draw_throughput(results, folder / "throughput.png")
    if FIXED_RATE in measured:
        _draw_latency(results, folder / "latency.png")


def _draw_throughput(results: Results, path: Path) -> None:
    names = list(results.models)
    figure, panels = pyplot.subplots(1, 2, figsize=(10, 0.8 + 0.42 * len(names)), sharey=True)
    for panel, title, load_of in zip(
        panels, ("one call at a time", "8 connections x 8 calls"), (lambda _: "1x1", _common_load(results)), strict=True
    ):
        for server in results.servers:
            points = [
                (median(cell.requests_s), row)
                for row, name in enumerate(names)
                if (cell := results.find(name, server, load_of(name))) and any(cell.requests_s)
            ]
            _mark(panel, results, server, points)
        _label(panel, f"requests/s, {title}", [_title(results, name, load_of(name)) for name in names])
    _finish(figure, panels[0], path)


def _common_load(results: Results) -> Any:
    return lambda name: results.models[name]["common"]


def _title(results: Results, name: str, load: str) -> str:
    described = results.models[name]
    return f"{described['title']} ({load})" if load not in ("1x1", "8x8") else str(described["title"])


def _draw_latency(results: Results, path: Path) -> None:
    names = [name for name in results.models if FIXED_RATE in results.loads(name)]
    figure, panel = pyplot.subplots(figsize=(8, 0.9 + 0.55 * len(names)))
    count = len(results.servers)
    for place, server in enumerate(results.servers):
        # Side by side, since lines from p50 to p99 would cover each other.
        shift = 0.7 * ((place + 0.5) / count - 0.5)
        points = []
        for row, name in enumerate(names):
            cell = results.find(name, server, FIXED_RATE)
            if cell and cell.p50_ms:
                points.append((cell.p50_ms, row + shift))
                panel.plot([cell.p50_ms, cell.p99_ms], [row + shift] * 2, color=_STYLES[server][0], linewidth=1.5)
        _mark(panel, results, server, points)
    titles = [f"{results.models[name]['title']}, {results.models[name]['rate']:g}/s" for name in names]
    _label(panel, "ms from when a call was due: mark at the p50, line to the p99", titles)
    _finish(figure, panel, path)


def _mark(panel: Any, results: Results, server: str, points: Sequence[tuple[float, float]]) -> None:
    color, mark = _STYLES[server]
    across, down = zip(*points, strict=True) if points else ((), ())
    title = results.servers[server].replace("`", "")
    panel.plot(across, down, linestyle="", marker=mark, color=color, label=title, markersize=6, alpha=0.85)


def _label(panel: Any, what: str, rows: Sequence[str]) -> None:
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    low, high = panel.get_xlim()
    # Over many decades the others of each would run into each other.
    panel.xaxis.set_minor_formatter(_name_minor if high < _FEW_DECADES * low else (lambda *_: ""))
    panel.set_xlabel(what)
    panel.set_yticks(range(len(rows)), rows)
    panel.set_ylim(len(rows) - 0.5, -0.5)
    panel.grid(visible=True, axis="x", which="both", linewidth=0.3)
    panel.grid(visible=True, axis="y", linewidth=0.3)


def _name_minor(value: float, _: int | None) -> str:
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _finish(figure: Any, panel: Any, path: Path) -> None:
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    figure.set_layout_engine("constrained")
    figure.savefig(path, dpi=_DPI)
    pyplot.close(figure)
