"""Histograms: counts of values by limits, in the original's way and in Prometheus's.

TensorFlow's limits are exclusive: a value that equals a limit belongs to the next bucket, although the page says `le`.
Prometheus's are inclusive. Not thread-safe.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

# Below so many values NumPy is slower than a loop.
_FEW: Final = 24


@dataclass(frozen=True, eq=False)
class Buckets:
    """The upper limits of a histogram's buckets, ascending; one more bucket takes what is above all of them.

    Attributes:
        limits: The limits.
        are_exclusive: Whether a value that equals a limit belongs to the next bucket.
    """

    limits: Sequence[float]
    are_exclusive: bool = True

    def index(self, value: float) -> int:
        """The bucket of a value."""
        return bisect_right(self.limits, value) if self.are_exclusive else bisect_left(self.limits, value)

    def count(self, values: np.ndarray[Any, Any]) -> Sequence[int]:
        """How many of some values belong to each bucket."""
        side: Any = "right" if self.are_exclusive else "left"
        indices = np.searchsorted(np.asarray(self.limits), values, side)
        counts: list[int] = np.bincount(indices, minlength=len(self.limits) + 1).tolist()
        return counts


MICROSECONDS: Final = Buckets(tuple(10 * 1.8**exponent for exponent in range(33)))
"""The original's limits of latencies, in us (TensorFlow Serving: servables/tensorflow/util.cc)."""
_IN_SECONDS: Final = slice(bisect_left(MICROSECONDS.limits, 100.0), bisect_right(MICROSECONDS.limits, 1e7))
SECONDS: Final = Buckets(tuple(float(f"{limit:.6g}") * 1e-6 for limit in MICROSECONDS.limits[_IN_SECONDS]))
"""The same in seconds, without the limits below 0.1 ms and above 10 s."""
QUEUE_MICROSECONDS: Final = Buckets(tuple(100 * 1.2**exponent for exponent in range(52)))
"""The original's limits of waits for a batch, in us (TensorFlow: kernels/batching_util/batching_session.cc)."""
BATCH_ROWS: Final = Buckets(tuple(2.0**exponent for exponent in range(14)))
"""The original's limits of batch sizes: 1 to 8192."""
EXAMPLES: Final = Buckets(tuple(2.0**exponent for exponent in range(15)))
"""The original's limits of the examples of a request: 1 to 16384."""
ROWS: Final = Buckets(tuple(2.0**exponent for exponent in range(14)), are_exclusive=False)
"""Ours for the rows of batches."""


class Histogram:
    """Counts of values by bucket, and their sum.

    Attributes:
        buckets: The limits.
        counts: For each bucket, and for what is above the last limit.
        sum: Of all values.
    """

    __slots__ = ("buckets", "counts", "sum")

    def __init__(self, buckets: Buckets) -> None:
        """Without values."""
        self.buckets = buckets
        self.counts = [0] * (len(buckets.limits) + 1)
        self.sum = 0.0

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts)

    def add(self, value: float, times: int = 1) -> None:
        """Add a value, so many times."""
        self.counts[self.buckets.index(value)] += times
        self.sum += value * times

    def add_all(self, values: np.ndarray[Any, Any]) -> None:
        """Add values, shape [number of values]."""
        if len(values) < _FEW:
            for value in values.tolist():
                self.add(value)
            return
        self.counts = [old + new for old, new in zip(self.counts, self.buckets.count(values), strict=True)]
        self.sum += float(values.sum())

    def merge(self, others: Iterable[Histogram]) -> Histogram:
        """Add the values of others of the same buckets; itself."""
        for other in others:
            self.counts = [own + more for own, more in zip(self.counts, other.counts, strict=True)]
            self.sum += other.sum
        return self

    def in_seconds(self) -> Histogram:
        """Values of the buckets MICROSECONDS as seconds, in the buckets SECONDS."""
        low, high = _IN_SECONDS.start, _IN_SECONDS.stop
        converted = Histogram(SECONDS)
        converted.counts = [sum(self.counts[: low + 1]), *self.counts[low + 1 : high], sum(self.counts[high:])]
        converted.sum = self.sum * 1e-6
        return converted

    def copy(self) -> Histogram:
        """One with the same values."""
        return Histogram(self.buckets).merge([self])

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """For each limit, and infinity, how many values belong to its bucket or one before."""
        total = 0
        for limit, count in zip((*self.buckets.limits, float("inf")), self.counts, strict=True):
            total += count
            yield limit, total
