"""Tables of the results in Markdown: the whole ones, and the small one of README.md. Pure, but for `insert`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import machine
import side_figures
from models import FIXED_RATE
from results import Cell, Results, median
from servers import BATCHING, DEFAULT, NAIVE, REFERENCE

_NAMES_OF_LOADS = {FIXED_RATE: "fixed rate"}
# The columns of the small table: title, server, and whether at 1x1 or at what comes closest to 8x8.
_SMALL_COLUMNS = (
    ("one call at a time", DEFAULT, False),
    ("64 at a time", DEFAULT, True),
    ("64, `--enable_batching`", BATCHING, True),
)


def insert(path: Path, text: str, name: str = "comparison") -> None:
    """Replace what stands between the marks `<!-- name:begin -->` and `<!-- name:end -->` of a file.

    Raises:
        ValueError: if the marks are not there, each once and in this order.
    """
    opening, closing = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, begin, rest = path.read_text().partition(opening)
    _, end, after = rest.partition(closing)
    if not begin or not end or opening in after or closing in after:
        raise ValueError(f"{path} needs the lines {opening} and {closing}, once")
    path.write_text(f"{before}{opening}\n{text}\n{closing}{after}")


def small(results: Results, plots: str) -> str:
    """Shares of the reference's requests/s at 1x1 and 8x8, with their spread over the rounds."""
    columns = [column for column in _SMALL_COLUMNS if column[1] in results.servers]
    rows = [
        [_small_title(results, name), *(_small_cell(results, name, server, busy) for _, server, busy in columns)]
        for name in results.models
        if results.find(name, REFERENCE, "1x1")
    ]
    return "\n".join(
        [
            *table(["", *(title for title, _, _ in columns)], rows),
            "",
            f"Median of {results.settings['rounds']} rounds and, in brackets, the lowest and the highest, "
            f"on one machine; 64 at a time: eight connections with eight calls each.{_naive_shares(results)} "
            f"[Plot]({plots}throughput.png). {machine.as_line(results.machine)}.",
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
        lines += _by_server(results, closed, lambda cell: digits(median(cell.cpu_us)))
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
        lines += _by_server(results, fixed, lambda cell: digits(median(cell.cpu_us)))
    if results.peak_mb:
        lines += ["", "Most resident memory, MB:", "", *_memory(results)]
    lines += side_figures.describe(results.side)
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
    return table(["", "load", *results.servers.values()], rows, left=2)


def _memory(results: Results) -> list[str]:
    rows = [
        [
            results.models[model]["title"],
            *(f"{peaks[server]:.0f}" if server in peaks else "" for server in results.servers),
        ]
        for model, peaks in results.peak_mb.items()
    ]
    return table(["", *results.servers.values()], rows)


def _unless_failed(cell: Cell, show: Callable[[Cell], str]) -> str:
    return show(cell) if all(cell.requests_s) else "**failed**"


def _rate_and_ratio(results: Results, cell: Cell) -> str:
    ratio = results.ratio(cell, REFERENCE)
    rate = digits(median(cell.requests_s))
    return f"({rate})" if ratio is None else f"{ratio:.2f} ({rate})"


def _latencies(cell: Cell) -> str:
    return f"{digits(cell.p50_ms)} / {digits(cell.p99_ms)}"


def _small_title(results: Results, name: str) -> str:
    described = results.models[name]
    connections, streams = map(int, described["common"].split("x"))
    stands_in = "" if described["common"] == "8x8" else f", {connections * streams} for 64"
    return f"{described['title']}{stands_in}"


def _small_cell(results: Results, name: str, server: str, busy: bool) -> str:
    cell = results.find(name, server, _small_load(results, name, busy))
    if cell is None:
        return ""

    def show(cell: Cell) -> str:
        ratios = results.ratios(cell, REFERENCE)
        return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else ""

    return _unless_failed(cell, show)


def _small_load(results: Results, name: str, busy: bool) -> str:
    return str(results.models[name]["common"]) if busy else "1x1"


def _naive_shares(results: Results) -> str:
    """One sentence on the naive server at the same loads; empty without it."""
    cells = (
        results.find(name, NAIVE, _small_load(results, name, busy)) for name in results.models for busy in (False, True)
    )
    shares = [share for cell in cells if cell and (share := results.ratio(cell, REFERENCE)) is not None]
    if not shares:
        return ""
    return f" The Python server that most people write has {min(shares):.2f} to {max(shares):.2f}."


def _faults(results: Results) -> list[str]:
    if not results.faults:
        return []
    return [
        "",
        f"**{len(results.faults)} failures**:",
        "",
        *(f"- {' '.join(fault.split())[:300]}" for fault in results.faults),
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    """Lines of a Markdown table, with so many columns of text before those of numbers."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return [f"| {' | '.join(row)} |" for row in (head, rule, *rows)]


def digits(value: float) -> str:
    """Three digits, or all of those before the point."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
