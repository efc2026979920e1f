"""Counts of batches, for metrics to publish. This module does not know how they are published."""

from __future__ import annotations

import enum
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final

# TensorFlow Serving's buckets of batching_session:queuing_latency: 100 us times 1.2 to the nth, 52 of them.
WAIT_BOUNDS_S: Final[Sequence[float]] = tuple(100e-6 * 1.2**n for n in range(52))


class Cut(str, enum.Enum):
    """Why a batch was closed. A str, since a str is hashed in a tenth of the time of an Enum."""

    FULL = "full"
    """It had as many rows as it may have, or the next request did not fit."""
    TIMEOUT = "timeout"
    """Its oldest request had waited for the timeout."""
    FREE = "free"
    """The thread that runs it was free, and there is no timeout to wait for."""


class BatchCounts:
    """Counts of the batches of all models together. Thread-safe; attributes may be read at any time, and only grow.

    Attributes:
        cuts: Batches, by why they were closed.
        requests: Batches, by the number of requests (or of parts of requests) in them.
        request_rows: Requests, by their rows.
        runs: Runs, by their rows, and how many of these only fill up to an allowed size. A batch takes one run, unless
            its requests cannot be merged or are run again in halves.
        waits: Requests, by how long they were queued: one count for each of WAIT_BOUNDS_S, and one for longer waits.
        waited_s: The sum of these waits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.cuts: Counter[Cut] = Counter()
        self.requests: Counter[int] = Counter()
        self.request_rows: Counter[int] = Counter()
        self.runs: Counter[tuple[int, int]] = Counter()
        self.waits = [0] * (len(WAIT_BOUNDS_S) + 1)
        self.waited_s = 0.0

    def note_batch(self, cut: Cut, rows: Sequence[int], waits_s: Sequence[float]) -> None:
        """Count a batch that was taken from its queue, by the rows and the waits of its requests."""
        with self._lock:
            self.cuts[cut] += 1
            self.requests[len(rows)] += 1
            for count in rows:
                self.request_rows[count] += 1
            for wait_s in waits_s:
                self.waits[bisect_left(WAIT_BOUNDS_S, wait_s)] += 1
            self.waited_s += sum(waits_s)

    def note_lone(self, rows: int) -> None:
        """Count a request of so many rows that was run at once and alone: a batch of one that did not wait."""
        with self._lock:
            self.cuts[Cut.FREE] += 1
            self.requests[1] += 1
            self.request_rows[rows] += 1
            self.waits[0] += 1
            self.runs[rows, 0] += 1

    def note_run(self, rows: int, filler: int) -> None:
        """Count a run of so many rows, of which `filler` only fill it up."""
        with self._lock:
            self.runs[rows, filler] += 1
