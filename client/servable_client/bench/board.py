"""The counters that workers write and the command reads, in shared memory: one row of each kind for each worker.

A row has one writer, so there is nothing to lock; a reader may see a count that is a moment old.
"""

from __future__ import annotations

from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np

from servable_client.bench.histogram import BUCKETS, Latencies
from servable_client.errors import Code

_CODES = len(Code)
# Counters that are neither latencies nor codes.
_UNSENT, _LAST_NS, _CPU_NS = BUCKETS + _CODES, BUCKETS + _CODES + 1, BUCKETS + _CODES + 2
_ROW = BUCKETS + _CODES + 3


class Board:
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
