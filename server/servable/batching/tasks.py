"""Tasks: requests that have been begun and wait for their runs, whole or in parts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from servable.batching import timed_runs
from servable.batching.merging import Array
from servable.errors import HIDE_ERROR_TEXT, Cancelled, DeadlineExceeded, Internal, ServingError
from servable.methods import Reply, reply_with_error
from servable.observability.request_counts import Mark
from servable.requests import Fetched, Request
from servable.servables import Runner

_log = logging.getLogger(__name__)


class Member(Protocol):
    """What batches are made of: a task, or a part of one.

    Attributes:
        runner: Runs it.
        arrays: One array for each feed.
        rows: The size of dimension 0 of each array.
        kind: Members of equal kinds can be merged; see merging.kind.
        size_bytes: The size by which its run is estimated; see requests.Request.
        ends_at_s: When its caller stops waiting (time.monotonic); None: never.
        queued_s: When it was queued (time.monotonic).
        begun_s: When its batch was begun.
    """

    runner: Runner
    arrays: Sequence[Array]
    rows: int
    kind: object
    size_bytes: int
    ends_at_s: float | None
    queued_s: float
    begun_s: float

    @property
    def mark(self) -> Mark | None:
        """What the request is counted in, if it is."""

    def is_wanted(self) -> bool:
        """Whether its caller still waits."""

    def finish(self, results: Sequence[Array]) -> None:
        """Answer with the results of its run. Raises nothing."""

    def fail(self, error: ServingError) -> None:
        """Answer with an error, if it is not answered yet. Raises nothing."""


@dataclass(slots=True, eq=False)
class QueuedCall:
    """A call that waits for a thread, and is answered once. Used by one thread at a time.

    Attributes:
        reply: Where the answer goes.
        ends_at_s: When its caller stops waiting (time.monotonic); None: never.
        mark: What the request is counted in, if it is.
        queued_s: When it was queued (time.monotonic).
    """

    reply: Reply
    ends_at_s: float | None
    mark: Mark | None = field(default=None, init=False)
    queued_s: float = field(default=0.0, init=False)
    _is_over: bool = field(default=False, init=False)

    def is_wanted(self) -> bool:
        """Whether the caller still waits for the answer."""
        # Not by the reply alone: an AwaitedReply does not know the deadline.
        in_time = self.ends_at_s is None or time.monotonic() < self.ends_at_s
        return in_time and not self._is_over and self.reply.is_active()

    def time_left_s(self) -> float | None:
        """Seconds until its caller stops waiting; None if that never happens."""
        return None if self.ends_at_s is None else self.ends_at_s - time.monotonic()

    def run(self) -> None:
        """Do the work of the call on the thread that took it. Raises a ServingError if that is the answer."""
        raise NotImplementedError

    def fail(self, error: ServingError) -> None:
        """See Member."""
        if not self._is_over:
            self._is_over = True
            self._count_failure(error)
            self._release()
            reply_with_error(self.reply, error, "a request")

    def fail_late(self) -> None:
        """Answer a call whose caller no longer waits."""
        # With a deadline the call counts as late, even if `ends_at_s` is yet to come: the reply uses another clock, by
        # which the deadline may pass a moment sooner. A caller that cancelled does not see the answer.
        has_deadline = self.ends_at_s is not None
        self.fail(DeadlineExceeded("Timed out waiting for notification") if has_deadline else Cancelled("CANCELLED"))

    def _count_failure(self, error: ServingError) -> None:
        """Count the call among those that failed. Called before `_release`."""
        if self.mark is not None:
            self.mark[0].note_failure(error.code)

    def _release(self) -> None:
        """Drop all references to the request, since it holds its version."""


@dataclass(slots=True, eq=False)
class RunnerPreparation(QueuedCall):
    """The first request for a runner: it prepares the runner, which may take seconds.

    Attributes:
        request: The request; None once it is answered.
        on_ready: Takes the task that the request is once it has a runner. What it raises is the answer.
    """

    request: Request | None
    on_ready: Callable[[Task], None]

    def run(self) -> None:
        """Prepare the runner and go on. Raises a ServingError if that is the answer."""
        request, self.request = self.request, None
        if request is not None:
            target = request.target
            runner = target.servable.runner(target.feeds, target.fetches)
            task = Task.of(request, runner, self.reply, self.ends_at_s)
            task.mark, task.queued_s = self.mark, self.queued_s
            self.on_ready(task)

    def _release(self) -> None:
        self.request = None


@dataclass(slots=True, eq=False)
class Task(QueuedCall):
    """A request and its runner; see Member.

    Attributes:
        request: The request; None once it is answered.
    """

    request: Request | None
    runner: Runner
    arrays: Sequence[Array]
    size_bytes: int
    rows: int = 0
    kind: object = None
    begun_s: float = 0.0

    @classmethod
    def of(cls, request: Request, runner: Runner, reply: Reply, ends_at_s: float | None) -> Task:
        """The task of a request."""
        return cls(reply, ends_at_s, request, runner, request.arrays, request.size_bytes)

    def run(self) -> None:
        """Run the request by itself, and answer. Raises a ServingError if that is the answer."""
        self.begun_s = time.monotonic()
        cost = self.runner.costs.of(self.size_bytes)
        results, _, _ = timed_runs.run(self.runner, self.arrays, cost, self.time_left_s())
        self.finish(results)

    def finish(self, results: Sequence[Array]) -> None:
        """See Member."""
        request = self.request
        if self._is_over or request is None:
            return
        ended_s = time.monotonic()
        try:
            message = request.finish(Fetched(results, self.runner.fetch_dtypes))
        except ServingError as error:
            self.fail(error)
        except Exception:
            self.fail(log_and_make_internal_error())
        else:
            self._is_over = True
            if self.mark is not None:
                self.mark[0].note(self.mark, self.queued_s, self.begun_s, ended_s, len(message))
            self._release()
            del request
            send(self.reply, message)

    def _release(self) -> None:
        self.request = None

    def split(self, sizes: Sequence[int]) -> Iterator[Part]:
        """Split the task into parts of so many rows each, which get one answer together."""
        whole, start = _SplitTask(self, len(sizes)), 0
        for index, size in enumerate(sizes):
            arrays = [array[start : start + size] for array in self.arrays]
            size_bytes = self.size_bytes * size // self.rows
            yield Part(whole, index, self.runner, arrays, size, self.kind, size_bytes, self.ends_at_s)
            start += size


class _SplitTask:
    """A task whose parts run in several batches, maybe at the same time. Thread-safe."""

    def __init__(self, task: Task, parts: int) -> None:
        self.task = task
        self._lock = threading.Lock()
        self._results: list[Sequence[Array]] = [()] * parts
        self._missing, self._has_failed = parts, False

    def finish(self, index: int, results: Sequence[Array]) -> None:
        with self._lock:
            self._results[index] = results
            self._missing -= 1
            is_last = not self._missing
        if not is_last:
            return
        try:
            joined = [np.concatenate(column) for column in zip(*self._results, strict=True)]
        except ValueError as error:  # The parts were padded to different shapes.
            self.task.fail(Internal(f"Tensor concat operation failed: {error}"))
        else:
            self.task.finish(joined)

    def fail(self, error: ServingError) -> None:
        # The part that failed stays missing, so `finish` never answers.
        with self._lock:
            is_first, self._has_failed = not self._has_failed, True
        if is_first:
            self.task.fail(error)


@dataclass(slots=True, eq=False)
class Part:
    """Some rows of a task; see Member."""

    _whole: _SplitTask
    _index: int
    runner: Runner
    arrays: Sequence[Array]
    rows: int
    kind: object
    size_bytes: int
    ends_at_s: float | None
    queued_s: float = 0.0

    @property
    def begun_s(self) -> float:
        """See Member. The part that is begun last counts for the whole."""
        return self._whole.task.begun_s

    @begun_s.setter
    def begun_s(self, seconds: float) -> None:
        self._whole.task.begun_s = seconds

    @property
    def mark(self) -> Mark | None:
        """See Member."""
        return self._whole.task.mark

    def is_wanted(self) -> bool:
        """See Member."""
        return self._whole.task.is_wanted()

    def finish(self, results: Sequence[Array]) -> None:
        """See Member."""
        self._whole.finish(self._index, results)

    def fail(self, error: ServingError) -> None:
        """See Member."""
        self._whole.fail(error)


def send(reply: Reply, message: bytes) -> None:
    """Answer with a message. Raises nothing, since other members of the batch wait for their answers."""
    try:
        reply.send(message)
    except Exception:
        _log.exception("a reply could not be sent", extra=HIDE_ERROR_TEXT)


def log_and_make_internal_error() -> Internal:
    """The error for a caller whose request failed by a fault of ours. Logs the exception that is being handled."""
    _log.exception("a request failed in an unforeseen way", extra=HIDE_ERROR_TEXT)
    return Internal("Internal error")
