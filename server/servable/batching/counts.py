"""Counts of batches by model, and the metrics that are made of them.

Source of the original's metrics: TensorFlow, kernels/batching_util/batching_session.cc.
"""

from __future__ import annotations

import enum
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from servable.observability.families import Family, Kind, Labels
from servable.observability.histograms import BATCH_ROWS, QUEUE_MICROSECONDS, ROWS, Histogram

_MICROS: Final = 1e6
_ORIGINAL: Final = "/tensorflow/serving/batching_session"
_OF_MODEL: Final = ("model_name",)


class Cut(str, enum.Enum):
    """Why a batch was closed. A str, since a str is hashed in a tenth of the time of an Enum."""

    FULL = "full"
    """It had as many rows as it may have, or the next request did not fit."""
    TIMEOUT = "timeout"
    """Its oldest request had waited for the timeout."""
    FREE = "free"
    """The thread that runs it was free, and there is no timeout to wait for."""


class BatchCounts:
    """Counts of the batches of one model. Thread-safe; attributes may be read at any time, and only grow.

    Attributes:
        cuts: Batches, by why they were closed.
        requests: Batches, by the number of requests (or of parts of requests) in them.
        inputs: Requests, by their rows and the number of their inputs.
        runs: Runs, by their rows, and how many of these only fill up to an allowed size. A batch takes one run, unless
            its requests cannot be merged or are run again in halves.
        waits_us: How long requests were queued.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.cuts: Counter[Cut] = Counter()
        self.requests: Counter[int] = Counter()
        self.inputs: Counter[tuple[int, int]] = Counter()
        self.runs: Counter[tuple[int, int]] = Counter()
        self.waits_us = Histogram(QUEUE_MICROSECONDS)

    def note_batch(self, cut: Cut, inputs: Sequence[tuple[int, int]], waits_s: Sequence[float]) -> None:
        """Count a batch that was taken from its queue.

        Args:
            cut: Why it was closed.
            inputs: The rows of each request, and the number of its inputs.
            waits_s: How long each was queued.
        """
        with self._lock:
            self.cuts[cut] += 1
            self.requests[len(inputs)] += 1
            for each in inputs:
                self.inputs[each] += 1
            for wait_s in waits_s:
                self.waits_us.add(int(wait_s * _MICROS))

    def note_lone(self, rows: int, inputs: int) -> None:
        """Count a request of so many rows and inputs that was run at once and alone: a batch of one, without a wait."""
        with self._lock:
            self.cuts[Cut.FREE] += 1
            self.requests[1] += 1
            self.inputs[rows, inputs] += 1
            self.waits_us.counts[0] += 1
            self.runs[rows, 0] += 1

    def note_run(self, rows: int, filler: int) -> None:
        """Count a run of so many rows, of which `filler` only fill it up."""
        with self._lock:
            self.runs[rows, filler] += 1

    def copy(self) -> BatchCounts:
        """The counts at this moment."""
        copied = BatchCounts()
        with self._lock:
            copied.cuts, copied.requests = self.cuts.copy(), self.requests.copy()
            copied.inputs, copied.runs = self.inputs.copy(), self.runs.copy()
            copied.waits_us = self.waits_us.copy()
        return copied


class BatchCountsByModel:
    """The counts of each model. Thread-safe."""

    def __init__(self) -> None:
        self._by_model: dict[str, BatchCounts] = {}

    def of(self, model: str) -> BatchCounts:
        """Those of one model."""
        counts = self._by_model.get(model)
        return counts if counts is not None else self._by_model.setdefault(model, BatchCounts())

    def families(self) -> list[Family]:
        """The metrics: the original's, which know no models, and ours by model."""
        counts = {model: counts.copy() for model, counts in tuple(self._by_model.items())}
        return [*_of_original(counts.values()), *_of_ours(counts)]


def _of_original(counts: Iterable[BatchCounts]) -> Iterable[Family]:
    waits_us, input_rows, run_rows = Histogram(QUEUE_MICROSECONDS), Histogram(BATCH_ROWS), Histogram(BATCH_ROWS)
    padding: dict[Labels, Histogram] = {}
    for each in counts:
        waits_us.merge([each.waits_us])
        for (rows, inputs), times in each.inputs.items():
            input_rows.add(rows, inputs * times)
        for (rows, filler), times in each.runs.items():
            run_rows.add(rows, times)
            padding.setdefault((str(rows),), Histogram(BATCH_ROWS)).add(filler, times)
    runs = run_rows.count
    waits: Mapping[Labels, Histogram] = {("",): waits_us} if waits_us.count else {}
    return (
        Family(f"{_ORIGINAL}/queuing_latency", Kind.HISTOGRAM, ("thread_pool_name",), waits, "Waits, in us."),
        Family(f"{_ORIGINAL}/wrapped_run_count", Kind.COUNTER, (), {(): runs} if runs else {}, "Runs of batches."),
        Family(
            f"{_ORIGINAL}/input_batch_size", Kind.HISTOGRAM, (), _unless_empty(input_rows), "Rows of each input tensor."
        ),
        Family(
            f"{_ORIGINAL}/processed_batch_size", Kind.HISTOGRAM, (), _unless_empty(run_rows), "Rows of runs, filled up."
        ),
        Family(
            f"{_ORIGINAL}/padding_size", Kind.HISTOGRAM, ("execution_batch_size",), padding, "Rows that fill up a run."
        ),
    )


def _unless_empty(histogram: Histogram) -> Mapping[Labels, Histogram]:
    return {(): histogram} if histogram.count else {}


def _of_ours(counts: Mapping[str, BatchCounts]) -> Iterable[Family]:
    cuts: dict[Labels, int] = {}
    filler: dict[Labels, int] = {}
    rows: dict[Labels, Histogram] = {}
    requests: dict[Labels, Histogram] = {}
    for model, each in counts.items():
        cuts.update({(model, cut.value): each.cuts[cut] for cut in Cut})
        run_rows = rows[model,] = Histogram(ROWS)
        in_batch = requests[model,] = Histogram(ROWS)
        for (size, _), times in each.runs.items():
            run_rows.add(size, times)
        for size, times in each.requests.items():
            in_batch.add(size, times)
        filler[model,] = sum(filled * times for (_, filled), times in each.runs.items())
    return (
        Family("servable_batches", Kind.COUNTER, ("model_name", "cut"), cuts, "Batches, by why they were closed."),
        Family("servable_batch_rows", Kind.HISTOGRAM, _OF_MODEL, rows, "Rows of each run, those that fill it up too."),
        Family("servable_batch_requests", Kind.HISTOGRAM, _OF_MODEL, requests, "Requests in each batch."),
        Family("servable_padding_rows", Kind.COUNTER, _OF_MODEL, filler, "Rows that only fill up a run."),
    )
