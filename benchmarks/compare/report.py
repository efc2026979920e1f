"""Tables of the results in Markdown: the whole ones, and the small one of README.md. Pure, but for `insert`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import machine
import side_figures
from models import FIXED_RATE
from results import Cell, Results, median
from servers import BATCHING, DEFAULT, NAIVE, REFERENCE

BEGIN, END = "<!-- comparison:begin -->", "<!-- comparison:end -->"
_NAMES_OF_LOADS = {FIXED_RATE: "fixed rate"}
# The columns of the small table: title, server, and whether at 1x1 or at what comes closest to 8x8.
_SMALL_COLUMNS = (
    ("1x1: {reference}", REFERENCE, False),
    ("servable", DEFAULT, False),
    ("naive", NAIVE, False),
    ("8x8: {reference}", REFERENCE, True),
    ("servable", DEFAULT, True),
    ("`--enable_batching`", BATCHING, True),
    ("naive", NAIVE, True),
)


def insert(path: Path, text: str) -> None:
    """Replace what stands between the marks of a file.

    Raises:
        ValueError: if the marks are not there, each once and in this order.
    """
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in after or END in after:
        raise ValueError(f"{path} needs the lines {BEGIN} and {END}, once")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def small(results: Results, plots: str) -> str:
    """Requests/s and CPU a request of the models, at 1x1 and 8x8."""
    columns = [
        (title.format(reference="C++"), server, busy)
        for title, server, busy in _SMALL_COLUMNS
        if server in results.servers
    ]
    rows = [
        [_small_title(results, name), *(_small_cell(results, name, server, busy) for _, server, busy in columns)]
        for name in results.models
    ]
    explained = (
        "Requests/s as a share of the C++ reference's (its own, and those of what it cannot answer, as they are) "
        "and CPU of the server for a request. 1x1: one call at a time; 8x8: eight connections with eight calls each."
    )
    return "\n".join(
        [
            *_table(["", *(title for title, _, _ in columns)], rows),
            "",
            f"{explained} {machine.as_line(results.machine)}.",
            "",
            f"![requests a second]({plots}throughput.png)",
            *_faults(results),
        ]
    )


def whole(results: Results, plots: str) -> str:
    """All figures."""
    settings = results.settings
    taken = f", {settings['minutes']} minutes" if "minutes" in settings else ""
    lines = [
        f"{machine.as_line(results.machine)}; {settings['rounds']} rounds of {settings['seconds']:g} s{taken}. "
        "Loads are connections x streams; all servers of a model are up, and rounds visit them in turn.",
        *(f"Left out: {name}: {reason}." for name, reason in results.left_out.items()),
        *_faults(results),
    ]
    closed = list(_closed_loads(results))
    if closed:
        lines += ["", "Requests/s, in brackets; before it the median of the rounds' ratios to the reference:", ""]
        lines += _by_server(results, closed, lambda cell: _rate_and_ratio(results, cell))
        lines += ["", "CPU of the server for a request, us:", ""]
        lines += _by_server(results, closed, lambda cell: _digits(median(cell.cpu_us)))
        lines += [
            "",
            "p50 / p99 of a call in the closed loop, ms (of fewer than 100 calls, the slowest for the p99):",
            "",
        ]
        lines += _by_server(results, closed, _latencies)
    fixed = [(name, FIXED_RATE) for name in results.models if FIXED_RATE in results.loads(name)]
    if fixed:
        lines += ["", "p50 / p99 at a fixed rate, from when a call was due, ms; sent and timed by grpcio:", ""]
        lines += _by_server(results, fixed, _latencies)
        lines += ["", "CPU of the server for a request at that rate, us:", ""]
        lines += _by_server(results, fixed, lambda cell: _digits(median(cell.cpu_us)))
    if results.peak_mb:
        lines += ["", "Most resident memory, MB:", "", *_memory(results)]
    lines += side_figures.tell(results.side)
    if results.cells:
        lines += ["", *(f"![{name}]({plots}{name}.png)" for name in ("throughput", "latency"))]
    return "\n".join(lines)


def _closed_loads(results: Results) -> Iterator[tuple[str, str]]:
    for name in results.models:
        for load in results.loads(name):
            if load != FIXED_RATE:
                yield name, load


def _by_server(results: Results, loads: Iterable[tuple[str, str]], show: Callable[[Cell], str]) -> list[str]:
    rows = []
    for model, load in loads:
        described = results.models[model]
        rate = f"{described['rate']:g}/s" if load == FIXED_RATE else load
        cells = (results.find(model, server, load) for server in results.servers)
        rows.append([described["title"], rate, *("" if cell is None else _unless_failed(cell, show) for cell in cells)])
    return _table(["", "load", *results.servers.values()], rows, left=2)


def _memory(results: Results) -> list[str]:
    rows = [
        [
            results.models[model]["title"],
            *(f"{peaks[server]:.0f}" if server in peaks else "" for server in results.servers),
        ]
        for model, peaks in results.peak_mb.items()
    ]
    return _table(["", *results.servers.values()], rows)


def _unless_failed(cell: Cell, show: Callable[[Cell], str]) -> str:
    return show(cell) if all(cell.requests_s) else "**failed**"


def _rate_and_ratio(results: Results, cell: Cell) -> str:
    ratio = results.ratio(cell, REFERENCE)
    rate = _digits(median(cell.requests_s))
    return f"({rate})" if ratio is None else f"{ratio:.2f} ({rate})"


def _latencies(cell: Cell) -> str:
    return f"{_digits(cell.p50_ms)} / {_digits(cell.p99_ms)}"


def _small_title(results: Results, name: str) -> str:
    described = results.models[name]
    stands_in = "" if described["common"] == "8x8" else f", {described['common']} for 8x8"
    return f"{described['title']}{stands_in}"


def _small_cell(results: Results, name: str, server: str, busy: bool) -> str:
    cell = results.find(name, server, results.models[name]["common"] if busy else "1x1")
    if cell is None:
        return ""

    def show(cell: Cell) -> str:
        ratio = None if server == REFERENCE else results.ratio(cell, REFERENCE)
        rate = f"{_digits(median(cell.requests_s))}/s" if ratio is None else f"{ratio:.2f}"
        return f"{rate}, {_digits(median(cell.cpu_us))} us"

    return _unless_failed(cell, show)


def _faults(results: Results) -> list[str]:
    if not results.faults:
        return []
    return [
        "",
        f"**{len(results.faults)} failures**:",
        "",
        *(f"- {' '.join(fault.split())[:300]}" for fault in results.faults),
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def _digits(value: float) -> str:
    """Three digits, or all of those before the point."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
