"""What the page's charts are made of: sums since the start, of which the page shows the differences.

The sums are those of the metrics (`observability`), over all models, so the charts and a dashboard say the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final
from weakref import ref

from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import ServableId, VersionState
from servable.observability.families import Family
from servable.observability.histograms import Histogram
from servable.routing import Router

_REQUESTS: Final = "/tensorflow/serving/request_count"
_LATENCY: Final = "servable_request_seconds"
_BATCH_ROWS: Final = "servable_batch_rows"
_BATCHES: Final = "servable_batches"
_OK: Final = "OK"


class Snapshots:
    """Makes snapshots. Thread-safe."""

    def __init__(self, families: Callable[[], Iterable[Family]], router: Router, monitor: StateMonitor) -> None:
        """Make them of metrics.

        Args:
            families: The metrics as they are now; takes milliseconds.
            router: Has what serves, under which labels.
            monitor: Has the states of versions.
        """
        self._families, self._router = families, router
        # Weak: routes hold the handles of their versions.
        self._known_routes = ref(router.routes)
        self._changes = 0
        monitor.listen(self._on_state)

    def take(self) -> dict[str, Any]:
        """A snapshot, as JSON has it."""
        routes = self._router.routes
        if self._known_routes() is not routes:
            self._known_routes = ref(routes)
            self._changes += 1
        families = {family.name: family for family in self._families()}
        return {
            "time_s": time.monotonic(),
            # Whenever this differs, the page asks for the models again.
            "changes": self._changes,
            "requests": _count_requests(families.get(_REQUESTS), only_failed=False),
            "errors": _count_requests(families.get(_REQUESTS), only_failed=True),
            "latency": _merge(families.get(_LATENCY)),
            "batches": _sum(families.get(_BATCHES)),
            "batch_rows": _merge(families.get(_BATCH_ROWS)),
            "cpu_s": time.process_time(),
            "cpus": os.cpu_count() or 1,
            "resident_bytes": _resident_bytes(),
        }

    def _on_state(self, _servable: ServableId, _state: VersionState) -> None:
        self._changes += 1


def _count_requests(family: Family | None, *, only_failed: bool) -> float:
    if family is None:
        return 0
    at = family.label_names.index("status")
    numbers = [(labels, value) for labels, value in family.values.items() if not isinstance(value, Histogram)]
    return sum(value for labels, value in numbers if not (only_failed and labels[at] == _OK))


def _sum(family: Family | None) -> float:
    return 0 if family is None else sum(each for each in family.values.values() if not isinstance(each, Histogram))


def _merge(family: Family | None) -> dict[str, Any]:
    """One histogram of those of all labels: limits, counts (one more than limits) and the sum of all values."""
    histograms = [] if family is None else [each for each in family.values.values() if isinstance(each, Histogram)]
    if not histograms:
        return {"limits": [], "counts": [0], "sum": 0}
    return {
        "limits": list(histograms[0].buckets.limits),
        "counts": [sum(counts) for counts in zip(*(each.counts for each in histograms), strict=True)],
        "sum": sum(each.sum for each in histograms),
    }


def _resident_bytes() -> int:
    """The resident memory of the process; 0 where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
