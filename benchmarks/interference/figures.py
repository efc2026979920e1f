"""The figures of a run, and the bounds that they miss. It measures nothing."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from results import percentiles_ms

WORST_MS: Final = 50.0
BASE_TIMES: Final = 2.0
REFERENCE_TIMES: Final = 1.2
# Where less of the machine was idle, a caller waits for a CPU whatever the server does.
IDLE_SHARE: Final = 0.1


@dataclass(frozen=True)
class Sample:
    """One victim's calls in one visit, and the share of the machine's CPUs that was idle meanwhile."""

    calls: int
    p50_ms: float
    p99_ms: float
    worst_ms: float
    idle: float

    @classmethod
    def of(cls, latencies_ms: Sequence[float], idle: float) -> Sample:
        """The percentiles of calls."""
        p50_ms, p99_ms = percentiles_ms(latencies_ms)
        rounded = [round(float(value), 3) for value in (p50_ms, p99_ms, np.max(latencies_ms))]
        return cls(len(latencies_ms), *rounded, round(idle, 3))


@dataclass
class Cell:
    """One victim beside one neighbour in one arrangement, by round."""

    server: str
    neighbour: str
    victim: str
    samples: list[Sample] = field(default_factory=list)

    @property
    def p50_ms(self) -> float:
        """The median of the rounds'."""
        return statistics.median(sample.p50_ms for sample in self.samples)

    @property
    def p99_ms(self) -> float:
        """The median of the rounds'."""
        return statistics.median(sample.p99_ms for sample in self.samples)

    @property
    def worst_ms(self) -> float:
        """Of all rounds."""
        return max(sample.worst_ms for sample in self.samples)

    @property
    def idle(self) -> float:
        """The median of the rounds'."""
        return statistics.median(sample.idle for sample in self.samples)

    @property
    def is_cpu_limited(self) -> bool:
        """Whether the CPU was the limit."""
        return self.idle < IDLE_SHARE

    def times(self, other: Cell) -> float:
        """The p99 in terms of another's: the median over rounds, each with its own."""
        pairs = zip(self.samples, other.samples, strict=False)
        return statistics.median(ours.p99_ms / theirs.p99_ms for ours, theirs in pairs)


@dataclass(frozen=True)
class Miss:
    """A bound that a cell misses."""

    cell: Cell
    text: str


@dataclass
class Figures:
    """A run.

    Attributes:
        machine: Of `machine.describe`.
        settings: Rounds, seconds and checkouts.
        servers: What is known of each arrangement by name, in the order of the tables: `title`, and `base`, the
            arrangement whose p99 is its baseline, if any.
        judged: The arrangements that have to keep to the bounds.
        left_out: Why a server is not there, by name.
        cells: By what `Cell` says.
        outcomes: How each neighbour's calls ended, a second, by arrangement, neighbour and outcome.
        faults: Every call or start that failed.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    servers: dict[str, dict[str, str]]
    judged: list[str]
    left_out: dict[str, str]
    cells: list[Cell] = field(default_factory=list)
    outcomes: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Keep them as JSON."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Figures:
        """Those of an earlier run."""
        document = json.loads(path.read_text())
        for cell in document["cells"]:
            cell["samples"] = [Sample(**sample) for sample in cell["samples"]]
        document["cells"] = [Cell(**cell) for cell in document["cells"]]
        return cls(**document)

    def add(self, server: str, neighbour: str, victim: str, sample: Sample) -> None:
        """Record a visit."""
        cell = self.find(server, neighbour, victim)
        if cell is None:
            cell = Cell(server, neighbour, victim)
            self.cells.append(cell)
        cell.samples.append(sample)

    def note_outcomes(self, server: str, neighbour: str, outcomes: Counter[str], seconds: float) -> None:
        """Record the outcomes of a neighbour's calls in its last visit."""
        rates = {name: round(count / seconds, 1) for name, count in outcomes.items()}
        self.outcomes.setdefault(server, {})[neighbour] = rates

    def find(self, server: str, neighbour: str, victim: str) -> Cell | None:
        """The cell, if it was measured."""
        wanted = (server, neighbour, victim)
        return next((cell for cell in self.cells if (cell.server, cell.neighbour, cell.victim) == wanted), None)

    def names(self, attribute: str) -> list[str]:
        """The neighbours or victims that were measured, in their order."""
        return list(dict.fromkeys(getattr(cell, attribute) for cell in self.cells))

    def find_misses(self, reference: str) -> list[Miss]:
        """The bounds that are missed by those that have to keep to them."""
        return [
            Miss(cell, text)
            for cell in self.cells
            if cell.server in self.judged
            for text in self._misses_of(cell, reference)
        ]

    def _misses_of(self, cell: Cell, reference: str) -> Iterator[str]:
        if cell.worst_ms > WORST_MS and not cell.is_cpu_limited:
            yield f"worst {cell.worst_ms:.1f} ms (bound: {WORST_MS:g} ms; {cell.idle:.0%} of the CPUs were idle)"
        bounds: Mapping[str, float] = {
            self.servers[cell.server].get("base", ""): BASE_TIMES,
            reference: REFERENCE_TIMES,
        }
        for name, bound in bounds.items():
            other = self.find(name, cell.neighbour, cell.victim)
            if other is not None and cell.times(other) > bound:
                title = self.servers[name]["title"]
                yield f"p99 {cell.p99_ms:.2f} ms is {cell.times(other):.2f} times that of {title} (bound: {bound:g})"
