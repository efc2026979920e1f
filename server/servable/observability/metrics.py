"""What the server counts: the original's metrics under the original's names, and ours under `servable_`.

One instance a server. It must not know what it counts: others note what happened, or are asked for their counts when
somebody reads (`add_source`). Names in the original have slashes; in Prometheus, colons.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from servable.errors import Code
from servable.observability.exemplars import Exemplars
from servable.observability.families import Family, Kind, Labels, merge
from servable.observability.histograms import EXAMPLES, MICROSECONDS, Histogram
from servable.observability.request_counts import MethodCounts, RequestCounts, RequestLabels
from servable.observability.request_families import request_families

_T = TypeVar("_T")
_MessageT = TypeVar("_MessageT")
Source = Callable[[], Iterable[Family]]
"""The metrics of one part of the server, as they are now. Called on the thread that reads."""

_MICROS: Final = 1e6
_LOAD_LABELS: Final = ("model_path", "status")
# What the original registers and its stock binary never sets, so that a page has the same lines.
_NEVER_SET: Final = (
    Family("/tensorflow/serving/mlmd_map", Kind.GAUGE, ("model_name", "version"), {}),
    Family("/tensorflow/serving/request_log_count", Kind.COUNTER, ("model_name", "status_code"), {}),
)


class Metrics:
    """The metrics of one server. Thread-safe.

    Attributes:
        requests: The counts of its requests.
        exemplars: Calls whose traces are recorded, for the histograms of requests.
    """

    def __init__(self) -> None:
        self.requests, self.exemplars = RequestCounts(), Exemplars()
        self._sources: list[Source] = []
        self._lock = threading.Lock()
        self._load_attempts: Counter[Labels] = Counter()
        self._load_us: Counter[Labels] = Counter()
        self._warmup_records: Counter[Labels] = Counter()
        self._warmup_us: defaultdict[Labels, Histogram] = defaultdict(lambda: Histogram(MICROSECONDS))
        self._examples: defaultdict[Labels, Histogram] = defaultdict(lambda: Histogram(EXAMPLES))

    def add_source(self, source: Source) -> None:
        """Publish what a part of the server counts by itself."""
        self._sources.append(source)

    def method(
        self, api: str, entrypoint: str, find_model: Callable[[_MessageT], str | None]
    ) -> MethodCounts[_MessageT]:
        """What counts the requests of one API over one entrypoint; see MethodCounts."""
        return MethodCounts(self.requests, api, entrypoint, find_model)

    def note_request(self, model_name: str, code: Code, api: str, entrypoint: str, seconds: float) -> None:
        """Count a request that passed no MethodFactory: status, metadata, or one that is malformed.

        Args:
            model_name: Of the model that was asked for; empty if the request names none.
            code: How it ended.
            api: Empty for what the original names so: status, metadata and preflights.
            entrypoint: `GRPC` or `REST`.
            seconds: What it took.
        """
        self.requests.note(RequestLabels(api, entrypoint, model_name), code, seconds)

    def note_warmup(self, model_path: Path, status: str, records: int, seconds: float) -> None:
        """Count a replay of a warm-up file that came to the file's end, or failed to read it.

        Args:
            model_path: The version's directory.
            status: `OK`, or the code and text of the error.
            records: How many were read.
            seconds: What the replay took.
        """
        with self._lock:
            self._warmup_records[str(model_path), status] += records
            self._warmup_us[str(model_path), status].add(int(seconds * _MICROS))

    def note_examples(self, model_name: str, count: int) -> None:
        """Count the examples of a MultiInference request that ran."""
        with self._lock:
            self._examples[model_name,].add(count)

    def counting_loads(self, load: Callable[[Path], _T]) -> Callable[[Path], _T]:
        """A loader that counts its attempts, by path and outcome (TensorFlow: cc/saved_model/loader.cc)."""

        def counted(path: Path) -> _T:
            status, began_s = "fail", time.monotonic()
            try:
                loaded = load(path)
                status = "success"
            finally:
                with self._lock:
                    self._load_attempts[str(path), status] += 1
                    if status == "success":
                        self._load_us[str(path),] += int((time.monotonic() - began_s) * _MICROS)
            return loaded

        return counted

    def families(self) -> list[Family]:
        """All metrics as they are now: the original's in the order of their names, then ours."""
        found = [*self._own_families(), *request_families(self.requests)]
        for source in tuple(self._sources):
            found += source()
        return sorted(merge(found), key=lambda family: family.name)

    def fold(self) -> None:
        """Bring the counts of requests up to date. To be called now and then, if nobody reads."""
        self.requests.cells()

    def read(self, names: Iterable[str]) -> dict[str, int]:
        """The values of counters by their names in the original (`/tensorflow/serving/request_count`).

        Of a counter with labels only the first cell is read, in the order of the labels' values (TensorFlow Serving:
        model_service_impl.cc). What is not known is 0.
        """
        wanted = dict.fromkeys(names, 0)
        # Most reloads ask for nothing.
        for family in self.families() if wanted else ():
            if family.name in wanted:
                wanted[family.name] = _first_cell(family)
        return wanted

    def _own_families(self) -> Iterable[Family]:
        with self._lock:
            attempts, load_us = dict(self._load_attempts), dict(self._load_us)
            records = dict(self._warmup_records)
            warmup_us = {labels: each.copy() for labels, each in self._warmup_us.items()}
            examples = {labels: each.copy() for labels, each in self._examples.items()}
        example_sums: Mapping[Labels, int] = {labels: int(each.sum) for labels, each in examples.items()}
        serving, saved_model = "/tensorflow/serving", "/tensorflow/cc/saved_model"
        return (
            *_NEVER_SET,
            Family(f"{saved_model}/load_attempt_count", Kind.COUNTER, _LOAD_LABELS, attempts, "Loads that were tried."),
            Family(f"{saved_model}/load_latency", Kind.COUNTER, ("model_path",), load_us, "Time of loads, in us."),
            Family(
                f"{serving}/model_warmup_records_read", Kind.COUNTER, _LOAD_LABELS, records, "Warm-up records read."
            ),
            Family(f"{serving}/model_warmup_latency", Kind.HISTOGRAM, _LOAD_LABELS, warmup_us, "Warm-ups, in us."),
            Family(
                f"{serving}/request_example_counts", Kind.HISTOGRAM, ("model",), examples, "Examples a MultiInference."
            ),
            Family(f"{serving}/request_example_count_total", Kind.COUNTER, ("model",), example_sums, "Their examples."),
        )


def _first_cell(family: Family) -> int:
    if family.kind is not Kind.COUNTER or not family.values:
        return 0
    value = family.values[min(family.values)]
    return 0 if isinstance(value, Histogram) else int(value)
