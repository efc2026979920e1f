"""Exemplars: for each bucket of a histogram one recent call that fell into it, by the id of its trace."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from servable.observability.families import Labels
from servable.observability.histograms import SECONDS

# Cells that have exemplars: of a server with more signatures some have none.
_MOST_CELLS: Final = 1000


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A call whose trace is recorded.

    Attributes:
        trace_id: 32 hexadecimal digits.
        span_id: 16 of them.
        value: What was measured, in the unit of the histogram.
        at_s: When, in seconds since 1970.
    """

    trace_id: str
    span_id: str
    value: float
    at_s: float


class Exemplars:
    """The newest exemplar of each bucket of histograms whose limits are `histograms.SECONDS`. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: dict[tuple[str, Labels], dict[int, Exemplar]] = {}

    def note(self, family: str, labels: Labels, exemplar: Exemplar) -> None:
        """Keep an exemplar.

        Args:
            family: The name of the histogram.
            labels: The values of its labels.
            exemplar: In place of the last one of its bucket.
        """
        # An exemplar may equal its bucket's limit (OpenMetrics), other than a value of this server's histograms.
        index = bisect_left(SECONDS.limits, exemplar.value)
        with self._lock:
            cell = self._cells.get((family, labels))
            if cell is None:
                if len(self._cells) >= _MOST_CELLS:
                    return
                cell = self._cells[family, labels] = {}
            cell[index] = exemplar

    def of(self, family: str, labels: Labels) -> Mapping[int, Exemplar]:
        """The exemplars of a histogram by the index of their bucket."""
        with self._lock:
            return dict(self._cells.get((family, labels), {}))
