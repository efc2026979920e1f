"""Tables of the figures in Markdown. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import machine
from figures import BASE_TIMES, IDLE_SHARE, REFERENCE_TIMES, WORST_MS, Cell, Figures, Miss
from neighbours import NEIGHBOURS
from report import digits, table
from servers import REFERENCE
from victims import VICTIMS


def whole(figures: Figures) -> str:
    """All figures, the baselines, and the bounds that are missed."""
    misses = figures.find_misses(REFERENCE)
    settings, servers = figures.settings, figures.servers
    baseline = f", baseline {settings['baseline']}" if settings.get("baseline") else ""
    lines = [
        f"{machine.as_line(figures.machine)}{baseline}; {settings['rounds']} rounds of {settings['seconds']:g} s, "
        f"{settings.get('minutes', 0):g} minutes.",
        *(f"Left out: {name}: {reason}." for name, reason in figures.left_out.items()),
        *(
            f"{servers[name]['title']} is not compared with `--grpc_lanes=0`, which was not measured."
            for name in figures.judged
            if not servers[name]["base"]
        ),
        "",
        "p50 / p99 / worst of the victim's calls in ms, from when they were due. **Bold**: a bound is missed; *: the "
        f"CPU was the limit (less than {IDLE_SHARE:.0%} of all CPUs idle), so that the worst is not held to its bound.",
        "",
        *table(["beside", "victim", *(server["title"] for server in servers.values())], _rows(figures, misses), left=2),
        "",
        "Share of the CPUs that was idle, lowest to highest of the victims, and the outcomes of the neighbour's calls, "
        "a second of the last round:",
        "",
        *table(["beside", "CPU", *(server["title"] for server in servers.values())], _idle_rows(figures), left=2),
        "",
        f"Bounds: worst at most {WORST_MS:g} ms where the CPU is not the limit; p99 at most {BASE_TIMES:g} times that "
        f"with `--grpc_lanes=0` and at most {REFERENCE_TIMES:g} times the C++ reference's, as the median of the "
        "rounds' ratios. They hold for the modes with lanes; the others are their baselines. "
        f"{len(misses)} are missed{':' if misses else '.'}",
        *_list_misses(figures, misses),
    ]
    if figures.faults:
        lines += [
            "",
            f"**{len(figures.faults)} failures**:",
            "",
            *(f"- {' '.join(each.split())[:300]}" for each in figures.faults),
        ]
    return "\n".join(lines)


def _describe_miss(figures: Figures, miss: Miss) -> str:
    """A miss in one line."""
    cell = miss.cell
    return (
        f"{VICTIMS[cell.victim].title} beside {NEIGHBOURS[cell.neighbour].title}, "
        f"{figures.servers[cell.server]['title']}: {miss.text}"
    )


def _list_misses(figures: Figures, misses: Sequence[Miss]) -> list[str]:
    return ["", *(f"- {_describe_miss(figures, miss)}" for miss in misses)] if misses else []


def _rows(figures: Figures, misses: Sequence[Miss]) -> list[list[str]]:
    missed = {id(miss.cell) for miss in misses}

    def show(cell: Cell | None) -> str:
        if cell is None:
            return ""
        text = " / ".join(digits(value) for value in (cell.p50_ms, cell.p99_ms, cell.worst_ms))
        text += "\\*" if cell.is_cpu_limited else ""
        return f"**{text}**" if id(cell) in missed else text

    return [
        [
            NEIGHBOURS[neighbour].title,
            VICTIMS[victim].title,
            *(show(figures.find(server, neighbour, victim)) for server in figures.servers),
        ]
        for neighbour in figures.names("neighbour")
        for victim in figures.names("victim")
    ]


def _idle_rows(figures: Figures) -> list[list[str]]:
    rows = []
    for neighbour in figures.names("neighbour"):
        cells = {
            server: [cell for cell in figures.cells if (cell.server, cell.neighbour) == (server, neighbour)]
            for server in figures.servers
        }
        judged = [cell.idle for server in figures.judged for cell in cells.get(server, [])]
        limit = "" if not judged else "the limit" if statistics.median(judged) < IDLE_SHARE else "not the limit"
        shown = [_show_idle(figures, server, neighbour, of_server) for server, of_server in cells.items()]
        rows.append([NEIGHBOURS[neighbour].title, limit, *shown])
    return rows


def _show_idle(figures: Figures, server: str, neighbour: str, cells: Sequence[Cell]) -> str:
    if not cells:
        return ""
    idle = [cell.idle for cell in cells]
    rates = figures.outcomes.get(server, {}).get(neighbour, {})
    outcomes = ", ".join(f"{digits(rate)} {name}" for name, rate in rates.items() if not name.startswith("fault"))
    return f"{min(idle):.0%} to {max(idle):.0%}{'; ' if outcomes else ''}{outcomes}"
