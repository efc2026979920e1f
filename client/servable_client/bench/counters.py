"""What workers count and the command reads: latencies in a histogram, statuses, CPU time, in shared memory.

Shared memory has one row for each worker. A row has one writer, so there is nothing to lock; a reader may see a count
that is a moment old.

The histogram has a fixed size: 128 steps for each doubling, so that a value is off by 0.8 % at most. Recording is
integer arithmetic on one counter; reading is NumPy. The idea is Gil Tene's HdrHistogram.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np

from servable_client.errors import Code

_STEP_BITS = 7
_STEPS = 1 << _STEP_BITS
# 73 minutes; whatever took longer counts as that.
_MAX_BITS = 42
MAX_NS = (1 << _MAX_BITS) - 1
BUCKETS = (_MAX_BITS - _STEP_BITS + 1) * _STEPS
_NS_PER_S = 1e9
_CODES = len(Code)
# Counters that are neither latencies nor codes.
_UNSENT, _LAST_NS, _CPU_NS = BUCKETS + _CODES, BUCKETS + _CODES + 1, BUCKETS + _CODES + 2
_ROW = BUCKETS + _CODES + 3


class Counters:
    """Latencies and statuses of all workers."""

    def __init__(self, context: SpawnContext, workers: int) -> None:
        """Reserve the memory."""
        self._memory: Any = context.RawArray("q", workers * _ROW)
        self._workers = workers

    def count_latency(self, worker: int, bucket: int) -> None:
        """Count a call that succeeded."""
        self._memory[worker * _ROW + bucket] += 1

    def count_status(self, worker: int, code: int, now_ns: int) -> None:
        """Count the status of a call that has ended now."""
        self._memory[worker * _ROW + BUCKETS + code] += 1
        self._memory[worker * _ROW + _LAST_NS] = now_ns

    def add_unsent(self, worker: int, count: int) -> None:
        """Count calls that should have been sent, and were not before the end."""
        self._memory[worker * _ROW + _UNSENT] += count

    def set_cpu(self, worker: int, cpu_ns: int) -> None:
        """Note the CPU time that a worker took while it measured."""
        self._memory[worker * _ROW + _CPU_NS] = cpu_ns

    def _sums(self) -> Any:
        return self._table().sum(axis=0)

    def _table(self) -> Any:
        return np.frombuffer(self._memory, np.int64).reshape(self._workers, _ROW)

    def latencies(self) -> Latencies:
        """The latencies of the calls that succeeded."""
        return Latencies(self._sums()[:BUCKETS].copy())

    def statuses(self) -> dict[str, int]:
        """How many calls ended with each status, by its name, OK included."""
        counts = self._sums()[BUCKETS : BUCKETS + _CODES].tolist()
        return {code.name: counts[code] for code in Code if counts[code]}

    def unsent(self) -> int:
        """How many calls were not sent."""
        return int(self._sums()[_UNSENT])

    def last_ns(self) -> int:
        """When the last call ended, in nanoseconds of the monotonic clock; 0 if none did."""
        return int(self._table()[:, _LAST_NS].max())

    def cpu_ns(self) -> int:
        """The CPU time of all workers, in nanoseconds."""
        return int(self._sums()[_CPU_NS])


def bucket_of(latency_ns: int) -> int:
    """The bucket of a latency in nanoseconds."""
    if latency_ns < 0:
        return 0
    latency_ns = min(latency_ns, MAX_NS)
    shift = max(0, latency_ns.bit_length() - _STEP_BITS - 1)
    return (shift << _STEP_BITS) + (latency_ns >> shift)


def _make_upper_edges() -> np.ndarray[Any, np.dtype[np.int64]]:
    index = np.arange(BUCKETS, dtype=np.int64)
    shift = np.maximum(0, (index >> _STEP_BITS) - 1)
    return np.asarray((index - (shift << _STEP_BITS) + 1) << shift)


# Nanoseconds: a bucket holds what is smaller than its own edge and not smaller than the one before.
_UPPER_NS = _make_upper_edges()


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a printed histogram: how many latencies lie between two, in seconds."""

    from_s: float
    to_s: float
    count: int


class Latencies:
    """The counts of all buckets, for reading."""

    def __init__(self, counts: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        """Take counts of shape [BUCKETS]."""
        self._counts = counts
        self.total = int(counts.sum())

    def percentile_s(self, percent: float) -> float:
        """The seconds that so many percent of the calls did not exceed; 0.0 without calls."""
        if not self.total:
            return 0.0
        rank = max(1, int(np.ceil(self.total * percent / 100)))
        return float(_UPPER_NS[np.searchsorted(np.cumsum(self._counts), rank)] / _NS_PER_S)

    def mean_s(self) -> float:
        """The mean in seconds; 0.0 without calls."""
        if not self.total:
            return 0.0
        middle_ns = (_UPPER_NS + np.concatenate(([0], _UPPER_NS[:-1]))) / 2
        return float((middle_ns * self._counts).sum() / self.total / _NS_PER_S)

    def rows(self, count: int = 12) -> list[Row]:
        """The histogram in so many rows of equal width on a logarithmic scale; empty without calls."""
        used = np.flatnonzero(self._counts)
        if not len(used):
            return []
        low = float(_UPPER_NS[used[0] - 1]) if used[0] else 1.0
        edges = np.geomspace(low, float(_UPPER_NS[used[-1]]), count + 1)
        # A bucket belongs to the row that its upper edge lies in.
        row = np.clip(np.searchsorted(edges, _UPPER_NS[used], side="left") - 1, 0, count - 1)
        sums = np.bincount(row, weights=self._counts[used], minlength=count).astype(int)
        seconds = edges / _NS_PER_S
        return [Row(float(seconds[i]), float(seconds[i + 1]), int(sums[i])) for i in range(count)]
