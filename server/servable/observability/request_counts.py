"""What is counted of requests, at a cost of well under 0.5 us for each.

A request that succeeds leaves the times at which it went on, in a list of its cell; the lists are folded into
histograms once a second and before anybody reads. A cell stands for the requests of one signature by one API over one
entrypoint, and hangs on the `requests.Target` that requests of a known form share, so that nothing is looked up for
them. Failures are counted at once: they are off the hot path.

Names of models are made up by callers, so the number of names that no model has is bounded.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import numpy as np

from servable.calls import CallRecord
from servable.errors import Code, ServingError
from servable.observability.histograms import MICROSECONDS, Histogram

MessageT = TypeVar("MessageT")
# Names of models that are no models. Those beyond are counted under the empty name.
_MOST_UNKNOWN_NAMES: Final = 1000
_LONGEST_UNKNOWN_NAME: Final = 200
# A list that has grown so long is folded by who appends to it.
_MOST_TIMINGS: Final = 50_000
_MICROS: Final = 1e6

Timing: TypeAlias = tuple[float, float, float, int, int]
"""Seconds from a request's arrival to its answer, from its dispatch to the end of its run, and from the begin of its
run to that; the bytes of the request and of its reply."""

Mark: TypeAlias = "tuple[RequestCell, float, int, CallRecord | None]"
"""What a request is counted in, when it began (time.monotonic), its bytes, and the record of its call if somebody
follows that. No class, since that takes longer."""


@dataclass(frozen=True, slots=True)
class RequestLabels:
    """What requests are told apart by.

    Attributes:
        api: `Predict`.
        entrypoint: `GRPC` or `REST`.
        model: The name of the model that was asked for; empty if there is none, or if there are too many.
        signature: The signature that ran; empty if that is not known.
    """

    api: str
    entrypoint: str
    model: str = ""
    signature: str = ""


class RequestCell:
    """Counts the requests of one set of labels that succeed. Thread-safe.

    Attributes:
        labels: The labels.
        method: Who made it, and counts in it.
        is_known_form: Whether these requests were read by a template.
        total_us: From the message's arrival to its answer.
        runtime_us: From the request's dispatch to the end of its run, as the original's Session::Run with its batching.
        queue_us: From the request's dispatch to the begin of its run.
        run_us: From the begin to the end of its run.
        request_bytes: The bytes of all requests.
        reply_bytes: The bytes of all replies.
    """

    __slots__ = (
        "_failures",
        "_lock",
        "_timings",
        "is_known_form",
        "labels",
        "method",
        "queue_us",
        "reply_bytes",
        "request_bytes",
        "run_us",
        "runtime_us",
        "total_us",
    )

    def __init__(
        self, labels: RequestLabels, failures: RequestCounts, method: object = None, *, is_known_form: bool = False
    ) -> None:
        """Count nothing yet.

        Args:
            labels: The labels.
            failures: Where failures are counted.
            method: Who makes it.
            is_known_form: Whether these requests are read by a template.
        """
        self.labels, self._failures, self.method, self.is_known_form = labels, failures, method, is_known_form
        self._timings: deque[Timing] = deque()
        self._lock = threading.Lock()
        self.total_us, self.runtime_us = Histogram(MICROSECONDS), Histogram(MICROSECONDS)
        self.queue_us, self.run_us = Histogram(MICROSECONDS), Histogram(MICROSECONDS)
        self.request_bytes = self.reply_bytes = 0

    def note(self, mark: Mark, dispatched_s: float, began_s: float, ended_s: float, reply_bytes: int) -> None:
        """Count a request that has been answered now.

        Args:
            mark: The request's, of this cell.
            dispatched_s: When it was dispatched (time.monotonic).
            began_s: When its run began.
            ended_s: When its run ended.
            reply_bytes: The size of its reply.
        """
        record = mark[3]
        if record is not None:
            record.dispatched_s, record.run_began_s, record.run_ended_s = dispatched_s, began_s, ended_s
        timings = self._timings
        timings.append((time.monotonic() - mark[1], ended_s - dispatched_s, ended_s - began_s, mark[2], reply_bytes))
        if len(timings) > _MOST_TIMINGS:
            self.fold()

    def note_failure(self, code: Code) -> None:
        """Count a request that failed."""
        self._failures.note_failure(self.labels, code)

    def note_without_run(self, seconds: float) -> None:
        """Count a request that needed no run."""
        with self._lock:
            self.total_us.add(seconds * _MICROS)

    def fold(self) -> None:
        """Bring the histograms up to date."""
        timings = self._timings
        if not timings:
            return
        with self._lock:
            # Only under the lock is anything taken out, so there are at least as many as this says.
            count = len(timings)
            numbers = chain.from_iterable([timings.popleft() for _ in range(count)])
            if count:
                self._add(np.fromiter(numbers, np.float64, 5 * count).reshape(count, 5))

    def _add(self, timings: np.ndarray[Any, Any]) -> None:
        total_us, runtime_us, run_us = _MICROS * timings.T[:3]
        self.total_us.add_all(total_us)
        self.runtime_us.add_all(runtime_us)
        self.run_us.add_all(run_us)
        self.queue_us.add_all(runtime_us - run_us)
        request_bytes, reply_bytes = timings[:, 3:].sum(axis=0).tolist()
        self.request_bytes += int(request_bytes)
        self.reply_bytes += int(reply_bytes)


class CountedTarget(Protocol):
    """What `requests.Target` has for this module.

    Attributes:
        model: The name of the model.
        signature: The key of the signature.
        counted: The cell of requests that share the target; None before the first.
    """

    model: str
    signature: str
    counted: Any


class RequestCounts:
    """The counts of all requests of a server. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: list[RequestCell] = []
        self._without_run: dict[RequestLabels, RequestCell] = {}
        self._failures: Counter[tuple[RequestLabels, str]] = Counter()
        self._known_names: set[str] = set()
        self._unknown_names: set[str] = set()

    def add_model(self, name: str) -> None:
        """Learn of a model, so that its name is always a label."""
        with self._lock:
            self._known_names.add(name)

    def add_cell(self, cell: RequestCell) -> None:
        """Take a cell, of a model that there is."""
        with self._lock:
            self._known_names.add(cell.labels.model)
            self._cells.append(cell)

    def cells(self) -> Sequence[RequestCell]:
        """All cells, up to date. Several may have the same labels."""
        with self._lock:
            cells = [*self._cells, *self._without_run.values()]
        for cell in cells:
            cell.fold()
        return cells

    def failures(self) -> Mapping[tuple[RequestLabels, str], int]:
        """How many requests failed, by labels and the name of the code."""
        with self._lock:
            return dict(self._failures)

    def note(self, labels: RequestLabels, code: Code, seconds: float) -> None:
        """Count a request that needed no run, or that failed."""
        if code is not Code.OK:
            self.note_failure(labels, code)
            return
        with self._lock:
            labels = self._bounded(labels)
            cell = self._without_run.get(labels)
            if cell is None:
                cell = self._without_run[labels] = RequestCell(labels, self)
        cell.note_without_run(seconds)

    def note_failure(self, labels: RequestLabels, code: Code) -> None:
        """Count a request that failed."""
        with self._lock:
            self._failures[self._bounded(labels), code.name] += 1

    def _bounded(self, labels: RequestLabels) -> RequestLabels:
        """The labels, without the model's name if too many names have been sent that no model has."""
        name, unknown = labels.model, self._unknown_names
        if name in self._known_names or name in unknown:
            return labels
        if len(unknown) >= _MOST_UNKNOWN_NAMES or len(name) > _LONGEST_UNKNOWN_NAME:
            return RequestLabels(labels.api, labels.entrypoint)
        unknown.add(name)
        return labels


class MethodCounts(Generic[MessageT]):
    """Counts the requests of one API over one entrypoint. Thread-safe."""

    def __init__(
        self, counts: RequestCounts, api: str, entrypoint: str, find_model: Callable[[MessageT], str | None]
    ) -> None:
        """Count nothing yet.

        Args:
            counts: Where the counts are kept.
            api: `Predict`.
            entrypoint: `GRPC` or `REST`.
            find_model: The name of the model that a message asks for; None if the message does not parse. Called for
                requests that failed only.
        """
        self._counts, self._api, self._entrypoint, self._find_model = counts, api, entrypoint, find_model
        self._lock = threading.Lock()
        # By model and signature: the cell of first requests of a form, and that of those which are read by a template.
        self._cells: dict[tuple[str, str], tuple[RequestCell, RequestCell]] = {}

    def mark(self, target: CountedTarget, began_s: float, size_bytes: int, record: CallRecord | None = None) -> Mark:
        """The mark of a request that has been parsed.

        Args:
            target: What it runs.
            began_s: When its message arrived (time.monotonic).
            size_bytes: The bytes of its message.
            record: What is known of its call, if somebody follows that.
        """
        cell: RequestCell | None = target.counted
        if cell is None or cell.method is not self:
            cell = self._find_cell(target)
        return cell, began_s, size_bytes, record

    def _find_cell(self, target: CountedTarget) -> RequestCell:
        """The cell of the first request of a target. The others find theirs on the target."""
        key = target.model, target.signature
        with self._lock:
            cells = self._cells.get(key)
            if cells is None:
                cells = self._cells[key] = self._make_cells(*key)
        first, target.counted = cells
        return first

    def _make_cells(self, model: str, signature: str) -> tuple[RequestCell, RequestCell]:
        labels = RequestLabels(self._api, self._entrypoint, model, signature)
        first = RequestCell(labels, self._counts, self)
        others = RequestCell(labels, self._counts, self, is_known_form=True)
        self._counts.add_cell(first)
        self._counts.add_cell(others)
        return first, others

    def note_failure(self, message: MessageT, error: BaseException, mark: Mark | None = None) -> None:
        """Count a request that failed with what its method raised.

        Args:
            message: The request.
            error: What was raised; what is no ServingError is answered with INTERNAL.
            mark: The request's, if it was parsed.
        """
        code = error.code if isinstance(error, ServingError) else Code.INTERNAL
        if mark is not None:
            mark[0].note_failure(code)
            return
        model = self._find_model(message)
        if model is not None:
            self._counts.note_failure(RequestLabels(self._api, self._entrypoint, model), code)
