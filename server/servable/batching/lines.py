"""Work that waits in line for a thread, one line for each model or runner. Not thread-safe: the scheduler locks."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any, Final, Protocol, TypeVar

from servable.batching.counts import BatchCounts
from servable.batching.queues import Batch, BatchQueue
from servable.batching.running import run_batch
from servable.batching.tasks import Task, Unprepared
from servable.config.batching import QueueLimits
from servable.errors import ServingError

JobT = TypeVar("JobT")

# Of a batch: what is merged and answered beside it is worth a second core.
_LONG_S: Final = 0.02


class Line(Protocol[JobT]):
    """Requests that wait, and come out as jobs one after the other.

    Attributes:
        in_flight: How many jobs run now; the scheduler counts.
        max_in_flight: How many may run at the same time.
    """

    in_flight: int
    max_in_flight: int

    def add(self, task: Any, now_s: float) -> bool:
        """Queue a request; what it raises is for its caller, and nothing is queued then.

        Returns:
            Whether to wait would not make the next job larger.
        """

    def due_s(self) -> float | None:
        """From when on the next job may run (time.monotonic); None if there is none."""

    def take(self) -> JobT:
        """The next job, which leaves the line."""

    def run(self, job: JobT) -> None:
        """Run a job that was taken, and answer its requests. Not under the lock."""

    def refuse(self, job: JobT, error: ServingError) -> None:
        """Answer the requests of a job that was taken, those that are not answered yet. Not under the lock."""


class JobLine:
    """Requests of one model that run each by itself."""

    def __init__(self, max_in_flight: int) -> None:
        self.in_flight, self.max_in_flight = 0, max_in_flight
        self._tasks: deque[Task | Unprepared] = deque()

    def add(self, task: Task | Unprepared, now_s: float) -> bool:  # noqa: ARG002  The time is for other lines.
        """See Line."""
        self._tasks.append(task)
        return True

    def due_s(self) -> float | None:
        """See Line."""
        return 0.0 if self._tasks else None

    def take(self) -> Task | Unprepared:
        """See Line."""
        return self._tasks.popleft()

    def run(self, job: Task | Unprepared) -> None:
        """See Line."""
        if not job.is_wanted():
            job.fail_late()
            return
        try:
            job.run()
        except ServingError as error:
            job.fail(error)

    def refuse(self, job: Task | Unprepared, error: ServingError) -> None:
        """See Line."""
        job.fail(error)


class BatchLine(BatchQueue):
    """Requests of one runner that run in batches.

    Attributes:
        waits: Whether a batch that is not full waits for more.
    """

    def __init__(self, limits: QueueLimits, counts: BatchCounts) -> None:
        super().__init__(limits)
        self.waits = bool(limits.timeout_s)
        self._at_once = limits.batches_at_once or sys.maxsize
        self.in_flight, self.max_in_flight = 0, self._at_once
        self._counts = counts

    def takes_lone(self, rows: int) -> bool:
        """Whether a request of so many rows that finds nobody else there may as well run at once.

        So it is if there is nothing to wait for, nothing to fill up and nothing to split.
        """
        return not self.waits and not self._limits.allowed_rows and rows <= self._limits.max_batch_rows

    def run(self, job: Batch) -> None:
        """See Line."""
        began_s = time.monotonic()
        run_batch(job, self._limits, self._counts)
        took_s = time.monotonic() - began_s
        self.note_run(job.rows, took_s)
        if self._limits.longest_run_s is not None:
            # One long run leaves cores idle while its requests are merged and answered; many short ones fill no batch.
            self.max_in_flight = sys.maxsize if took_s > _LONG_S else self._at_once

    def refuse(self, job: Batch, error: ServingError) -> None:
        """See Line."""
        for member in job.members:
            member.fail(error)
