"""What is counted of batches, for metrics to publish. Knows nothing of how."""

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
    """Why a batch was closed. A str, since that hashes in a tenth of an Enum's time."""

    FULL = "full"
    """It had all the rows that it may have, or the next request did not fit."""
    TIMEOUT = "timeout"
    """It had waited for more as long as it should."""
    FREE = "free"
    """Whoever was to run it was free, and it need not wait."""


class BatchCounts:
    """Counts of all batches of a server. Thread-safe; read the attributes at any time, they only grow.

    Attributes:
        cuts: Batches, by why they were closed.
        requests: Batches, by the number of requests (or of parts of such) in them.
        request_rows: Requests, by their rows.
        runs: Runs, by their rows, and how many of these only fill up to an allowed size. A batch takes one run, unless
            its requests cannot be merged or are run again one by one.
        waits: Requests, by how long they were queued: one for each of WAIT_BOUNDS_S, and one for longer waits.
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
        """A batch was taken out of its queue; its requests had so many rows and waited so long."""
        with self._lock:
            self.cuts[cut] += 1
            self.requests[len(rows)] += 1
            for count in rows:
                self.request_rows[count] += 1
            for wait_s in waits_s:
                self.waits[bisect_left(WAIT_BOUNDS_S, wait_s)] += 1
            self.waited_s += sum(waits_s)

    def note_lone(self, rows: int) -> None:
        """A request of so many rows was run at once and alone: a batch that waited for nobody."""
        with self._lock:
            self.cuts[Cut.FREE] += 1
            self.requests[1] += 1
            self.request_rows[rows] += 1
            self.waits[0] += 1
            self.runs[rows, 0] += 1

    def note_run(self, rows: int, filler: int) -> None:
        """A run of so many rows begins, of which some only fill up."""
        with self._lock:
            self.runs[rows, filler] += 1
