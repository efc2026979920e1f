"""What the charts of the page show: what the server does now, from the difference of two readings of what it counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from servable.observability import process_usage
from servable.observability.families import Family
from servable.observability.histograms import Histogram

_REQUESTS: Final = "servable_requests"
_LATENCY: Final = "servable_request_seconds"
_BATCHES: Final = "servable_batch_rows"
_OK: Final = "OK"
# Nobody looked for so long: the rates since then would be means of the past.
_LONGEST_INTERVAL_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Reading:
    """The counts at one moment."""

    at_s: float
    requests: float
    errors: float
    latency_s: Histogram | None
    batch_rows: Histogram | None
    cpu_s: float


class Snapshots:
    """Makes snapshots. To be used by one thread at a time."""

    def __init__(
        self,
        read_families: Callable[[], Iterable[Family]],
        revision: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing has been read yet.

        Args:
            read_families: What the server counts, as observability.metrics has it.
            revision: Another number whenever models have changed.
            clock: Seconds since any moment.
        """
        self._read_families, self._revision, self._clock = read_families, revision, clock
        self._last: _Reading | None = None

    def take(self) -> dict[str, Any]:
        """What has happened since the last snapshot, by names that say their units; rates are None in the first.

        Quantiles are estimated within buckets of a histogram, each 1.8 times as wide as the one before.
        """
        last, now = self._last, self._read()
        self._last = now
        memory_bytes = process_usage.resident_bytes()
        snapshot = {"revision": self._revision(), "requests": now.requests, "memory_bytes": memory_bytes or None}
        if last is None or not 0 < now.at_s - last.at_s < _LONGEST_INTERVAL_S:
            return snapshot
        seconds = now.at_s - last.at_s
        latency_s, batch_rows = _since(now.latency_s, last.latency_s), _since(now.batch_rows, last.batch_rows)
        return snapshot | {
            "requests_per_s": (now.requests - last.requests) / seconds,
            "errors_per_s": (now.errors - last.errors) / seconds,
            "p50_ms": _milliseconds(quantile(latency_s, 0.5)),
            "p99_ms": _milliseconds(quantile(latency_s, 0.99)),
            "mean_batch_rows": _mean(batch_rows),
            "p99_batch_rows": quantile(batch_rows, 0.99),
            "cpu_cores": (now.cpu_s - last.cpu_s) / seconds,
        }

    def _read(self) -> _Reading:
        families = {family.name: family for family in self._read_families()}
        counts = _counts_by_status(families.get(_REQUESTS))
        return _Reading(
            self._clock(),
            sum(counts.values()),
            sum(count for status, count in counts.items() if status != _OK),
            _merge(families.get(_LATENCY)),
            _merge(families.get(_BATCHES)),
            process_usage.cpu_seconds(),
        )


def quantile(values: Histogram | None, share: float) -> float | None:
    """The value below which a share of all values lies, as if they lay evenly in their buckets; None for no values.

    What lies above the last limit counts as that.
    """
    count = 0 if values is None else values.count
    if values is None or not count:
        return None
    wanted, before, low = share * count, 0, 0.0
    for high, up_to in values.cumulative():
        if up_to >= wanted and up_to > before:
            return low if high == float("inf") else low + (high - low) * (wanted - before) / (up_to - before)
        before, low = up_to, high
    return low


def _counts_by_status(family: Family | None) -> Mapping[str, float]:
    counts: dict[str, float] = {}
    if family is not None:
        status_at = family.label_names.index("status")
        for labels, value in family.values.items():
            if not isinstance(value, Histogram):
                counts[labels[status_at]] = counts.get(labels[status_at], 0) + value
    return counts


def _merge(family: Family | None) -> Histogram | None:
    found = [] if family is None else [value for value in family.values.values() if isinstance(value, Histogram)]
    return Histogram(found[0].buckets).merge(found) if found else None


def _since(now: Histogram | None, last: Histogram | None) -> Histogram | None:
    if now is None or last is None:
        return now
    added = Histogram(now.buckets)
    added.counts = [new - old for new, old in zip(now.counts, last.counts, strict=True)]
    added.sum = now.sum - last.sum
    return added


def _mean(values: Histogram | None) -> float | None:
    count = 0 if values is None else values.count
    return values.sum / count if values is not None and count else None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
