"""One request that has been begun and waits for its run, whole or in parts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from servable import requests
from servable.batching.merging import Array
from servable.errors import Cancelled, DeadlineExceeded, Internal, ServingError
from servable.methods import Reply
from servable.requests import Fetched, Run, Steps
from servable.routing import Runner

_log = logging.getLogger(__name__)


class Member(Protocol):
    """What batches are made of: a task, or a part of one.

    Attributes:
        runner: What is to run.
        arrays: What is to be fed, one array for each feed.
        rows: The size of dimension 0 of each array.
        kind: What it must have in common with others to be run with them; see merging.kind.
        ends_at_s: When its caller stops waiting (time.monotonic); None: never.
        queued_s: Since when it is queued (time.monotonic).
    """

    runner: Runner
    arrays: Sequence[Array]
    rows: int
    kind: object
    ends_at_s: float | None
    queued_s: float

    def is_wanted(self) -> bool:
        """Whether somebody still waits for it."""

    def finish(self, results: Sequence[Array]) -> None:
        """Answer with what a run gave. Raises nothing."""

    def fail(self, error: ServingError) -> None:
        """Answer with an error, if it is not answered yet. Raises nothing."""


@dataclass(slots=True, eq=False)
class Waiting:
    """A request that is to be answered once. One thread at a time.

    Attributes:
        steps: Goes on with what was fetched, to the reply. It holds the version, so it is closed with the answer.
        reply: Where the answer goes.
        ends_at_s: When its caller stops waiting (time.monotonic); None: never.
    """

    steps: Steps
    reply: Reply
    ends_at_s: float | None
    _is_over: bool = field(default=False, init=False)

    def is_wanted(self) -> bool:
        """Whether somebody still waits for the answer."""
        # A reply need not know the deadline: a thread that waits for its answer cannot tell.
        in_time = self.ends_at_s is None or time.monotonic() < self.ends_at_s
        return in_time and not self._is_over and self.reply.is_active()

    def fail(self, error: ServingError) -> None:
        """See Member."""
        if not self._is_over:
            self._is_over = True
            fail(self.steps, self.reply, error)

    def fail_late(self) -> None:
        """Answer a request that nobody waits for any more."""
        # The reply knows the deadline by another clock, and may be over a moment sooner. Who cancelled hears nothing.
        late = self.ends_at_s is not None
        self.fail(DeadlineExceeded("Timed out waiting for notification") if late else Cancelled("CANCELLED"))


@dataclass(slots=True, eq=False)
class Unprepared(Waiting):
    """The first request for a runner: it makes the runner, which may take seconds.

    Attributes:
        needed: What it needs.
        go_on: Sees to the task that it is then. What it raises is the answer.
    """

    needed: Run
    go_on: Callable[[Task, Run], None]

    def run(self) -> None:
        """Make the runner and go on. Raises a ServingError if that is the answer."""
        run, target = self.needed, self.needed.target
        runner = target.servable.runner(target.feeds, target.fetches)
        self.go_on(Task(self.steps, self.reply, self.ends_at_s, runner, run.arrays), run)


@dataclass(slots=True, eq=False)
class Task(Waiting):
    """A request and its runner; see Member."""

    runner: Runner
    arrays: Sequence[Array]
    rows: int = 0
    kind: object = None
    queued_s: float = 0.0

    def run(self) -> None:
        """Run it with nobody else, and answer. Raises a ServingError if that is the answer."""
        left_s = None if self.ends_at_s is None else self.ends_at_s - time.monotonic()
        self.finish(self.runner.run(self.arrays, left_s))

    def finish(self, results: Sequence[Array]) -> None:
        """See Member."""
        if self._is_over:
            return
        try:
            message = requests.finish(self.steps, Fetched(results, self.runner.fetch_dtypes))
        except ServingError as error:
            self.fail(error)
        except Exception:
            self.fail(unforeseen())
        else:
            self._is_over = True
            send(self.reply, message)

    def cut(self, sizes: Sequence[int]) -> Iterator[Part]:
        """The task in parts of so many rows each, which are answered as one."""
        whole, start = _Whole(self, len(sizes)), 0
        for index, size in enumerate(sizes):
            arrays = [array[start : start + size] for array in self.arrays]
            yield Part(whole, index, self.runner, arrays, size, self.kind, self.ends_at_s)
            start += size


class _Whole:
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
        # What failed stays missing, so nobody finishes.
        with self._lock:
            is_first, self._has_failed = not self._has_failed, True
        if is_first:
            self.task.fail(error)


@dataclass(slots=True, eq=False)
class Part:
    """Some rows of a task; see Member."""

    _whole: _Whole
    _index: int
    runner: Runner
    arrays: Sequence[Array]
    rows: int
    kind: object
    ends_at_s: float | None
    queued_s: float = 0.0

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
    """Answer with a message. Raises nothing: others in the batch wait for their answers."""
    try:
        reply.send(message)
    except Exception:
        _log.exception("a reply could not be sent")


def fail(steps: Steps, reply: Reply, error: ServingError) -> None:
    """Answer with an error. Raises nothing. No version is held through the error, whoever keeps that."""
    try:
        steps.close()
        # Its frames, and those of what it came from, hold what the request held.
        error.__cause__ = error.__context__ = None
        reply.fail(error.with_traceback(None))
    except Exception:
        _log.exception("an error could not be sent")


def unforeseen() -> Internal:
    """What a caller is told of a fault of ours, which the log tells in full. For an exception's handler."""
    _log.exception("a request failed in an unforeseen way")
    return Internal("Internal error")
