"""What the server counts, under the names of the original's metrics.

One instance a server. It must not know what it counts. Names in the original have slashes; in Prometheus, colons.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Metric

_T = TypeVar("_T")
_NOT_OF_A_NAME: Final = re.compile("[^a-zA-Z0-9_]")
_LOAD_ATTEMPTS: Final = "/tensorflow/cc/saved_model/load_attempt_count"


class Metrics:
    """The counters of one server. Thread-safe."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._load_attempts = Counter(
            _to_prometheus(_LOAD_ATTEMPTS),
            "Loads of SavedModels that were tried.",
            ("model_path", "status"),
            registry=self._registry,
        )

    def counting_loads(self, load: Callable[[Path], _T]) -> Callable[[Path], _T]:
        """A loader that counts its attempts, by path and outcome (TensorFlow: cc/saved_model/loader.cc)."""

        def counted(path: Path) -> _T:
            status = "fail"
            try:
                loaded = load(path)
                status = "success"
            finally:
                self._load_attempts.labels(str(path), status).inc()
            return loaded

        return counted

    def read(self, names: Iterable[str]) -> dict[str, int]:
        """The values of counters by their names in the original (`/tensorflow/serving/request_count`).

        Of a counter with labels only the first cell is read, in the order of the labels' values (TensorFlow Serving:
        model_service_impl.cc). What is not known is 0.
        """
        wanted = {name: _to_prometheus(name) for name in names}
        # Collecting goes through every cell, of which each model path has one; most reloads ask for nothing.
        first = {metric.name: _first_cell(metric) for metric in self._registry.collect()} if wanted else {}
        return {name: first.get(prometheus_name, 0) for name, prometheus_name in wanted.items()}


def _first_cell(metric: Metric) -> int:
    counts = [sample for sample in metric.samples if sample.name.endswith("_total")]
    return int(min(counts, key=lambda sample: tuple(sample.labels.values())).value) if counts else 0


def _to_prometheus(name: str) -> str:
    """The original's own way to a Prometheus name (prometheus_exporter.cc)."""
    return _NOT_OF_A_NAME.sub(":", name)
