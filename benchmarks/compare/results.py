"""What a run found, as one JSON document, and what is read out of it. It measures nothing."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from closed_loop import Visit

_ENOUGH_FOR_P99 = 100


@dataclass
class Cell:
    """One load of one server with one model.

    Attributes:
        requests_s: Answers a second, by round.
        cpu_us: CPU for an answer, by round.
        calls: How many calls the percentiles are of.
        p50_ms: Half of the calls took no longer.
        p99_ms: 99 of 100 took no longer; the slowest where there were not a hundred.
    """

    model: str
    server: str
    load: str
    requests_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    calls: int = 0
    p50_ms: float = 0.0
    p99_ms: float = 0.0


class CellInProgress:
    """Gathers the visits of a cell."""

    def __init__(self, model: str, server: str, load: str) -> None:
        self._cell = Cell(model, server, load)
        self._latencies_ms: list[np.ndarray[Any, Any]] = []

    def add(self, visit: Visit) -> None:
        """Take a visit in; one that failed counts as no answer at all."""
        self._cell.requests_s.append(0.0 if visit.fault else round(visit.requests_s, 2))
        self._cell.cpu_us.append(0.0 if visit.fault else round(visit.cpu_us, 2))
        self._latencies_ms.append(visit.latencies_ms)

    def finish(self) -> Cell:
        """The cell, with percentiles over all rounds."""
        latencies_ms = np.concatenate(self._latencies_ms or [np.empty(0)])
        self._cell.calls = len(latencies_ms)
        if len(latencies_ms):
            self._cell.p50_ms, self._cell.p99_ms = (round(value, 4) for value in percentiles_ms(latencies_ms))
        return self._cell


def percentiles_ms(latencies_ms: Sequence[float] | np.ndarray[Any, Any]) -> tuple[float, float]:
    """The p50, and the p99 or, of fewer than a hundred calls, the slowest."""
    enough = len(latencies_ms) >= _ENOUGH_FOR_P99
    p50, p99 = np.percentile(latencies_ms, (50, 99 if enough else 100))
    return float(p50), float(p99)


@dataclass
class Results:
    """A run.

    Attributes:
        machine: Of `machine.describe`.
        settings: Rounds and seconds.
        models: Titles, loads and fixed rates, by name and in the order of the tables.
        servers: Titles by name, in the order of the tables.
        left_out: Why a server is not there, by name.
        cells: The figures.
        peak_mb: The most resident memory, by model and server.
        side: The side figures, by name.
        faults: Every call, check or start that failed.
    """

    machine: dict[str, Any]
    settings: dict[str, Any]
    models: dict[str, dict[str, Any]]
    servers: dict[str, str]
    left_out: dict[str, str]
    cells: list[Cell] = field(default_factory=list)
    peak_mb: dict[str, dict[str, float]] = field(default_factory=dict)
    side: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Those of an earlier run."""
        document = json.loads(path.read_text())
        document["cells"] = [Cell(**cell) for cell in document["cells"]]
        return cls(**document)

    def write(self, path: Path) -> None:
        """Keep them."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")

    def find(self, model: str, server: str, load: str) -> Cell | None:
        """The cell, if it was measured."""
        wanted = (model, server, load)
        return next((cell for cell in self.cells if (cell.model, cell.server, cell.load) == wanted), None)

    def loads(self, model: str) -> Iterator[str]:
        """The loads of a model that were measured, in its order."""
        measured = {cell.load for cell in self.cells if cell.model == model}
        return (load for load in self.models[model]["loads"] if load in measured)

    def ratios(self, cell: Cell, base: str) -> list[float]:
        """Answers a second in terms of another server's, by round; empty without it."""
        other = self.find(cell.model, base, cell.load)
        pairs = zip(cell.requests_s, other.requests_s, strict=True) if other else ()
        return [ours / theirs for ours, theirs in pairs if theirs]

    def ratio(self, cell: Cell, base: str) -> float | None:
        """Their median; None without the other server."""
        ratios = self.ratios(cell, base)
        return statistics.median(ratios) if ratios else None


def median(values: Sequence[float]) -> float:
    """Of the rounds in which something was answered; 0 if there was none."""
    answered = [value for value in values if value]
    return statistics.median(answered) if answered else 0.0


def titles(models: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What results keep of the models."""
    return {
        name: {
            "title": model.title,
            "loads": list(model.loads),
            "common": model.busiest_common_load,
            "rate": model.rate,
        }
        for name, model in models.items()
    }
