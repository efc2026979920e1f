"""Calls that wait for a thread, one queue for each model, or for each runner whose requests are batched.

Stepped: no thread, no clock, not thread-safe. The scheduler calls all but `run` and `refuse` under its lock.

Source of the behaviour of batches: TensorFlow, kernels/batching_util/shared_batch_scheduler.h. What differs: a request
without rows does not wait for others.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any, Final, Protocol, TypeVar

from servable.batching.batch_sizes import BatchSizer
from servable.batching.counts import BatchCounts, Cut
from servable.batching.running import Batch, run_batch
from servable.batching.tasks import Task, Waiting
from servable.config.batching import QueueLimits
from servable.errors import ServingError, Unavailable
from servable.run_costs import RunCost

JobT = TypeVar("JobT")

# Of a batch: what is merged and answered beside it is worth a second core.
_LONG_S: Final = 0.02
# Callers who got their answers come again a moment later. If the next batch began at once it would be small, and they
# would wait for all of it. So after a batch that took a while as many rows are waited for, for this share of its time.
_WORTH_WAITING_S: Final = 0.005
_SHARE_TO_WAIT: Final = 0.05


class Queue(Protocol[JobT]):
    """Calls that wait, and come out as jobs one after the other.

    Attributes:
        in_flight: How many jobs run now; the scheduler counts.
        max_in_flight: How many may run at the same time.
    """

    in_flight: int
    max_in_flight: int

    def add(self, task: Any, now_s: float) -> bool:
        """Queue a call; what it raises is for its caller, and nothing is queued then.

        Returns:
            Whether to wait would not make the next job larger.
        """

    def due_s(self) -> float | None:
        """From when on the next job may run (time.monotonic); None if there is none."""

    def take(self) -> JobT:
        """The next job, which leaves the queue."""

    def run(self, job: JobT) -> float | None:
        """Run a job that was taken, and answer its calls. Not under the lock.

        Returns:
            Seconds that it took; None if that says nothing of other jobs.
        """

    def note_run(self, job: JobT, seconds: float, ended_s: float) -> None:
        """Learn from a job that took so long and has ended now (time.monotonic)."""

    def refuse(self, job: JobT, error: ServingError) -> None:
        """Answer the calls of a job that was taken, those that are not answered yet. Not under the lock."""


class FifoQueue:
    """Calls of one model that run each by itself."""

    def __init__(self) -> None:
        self.in_flight, self.max_in_flight = 0, sys.maxsize
        self._tasks: deque[Waiting] = deque()

    def add(self, task: Waiting, now_s: float) -> bool:  # noqa: ARG002  The time is for other queues.
        """See Queue."""
        self._tasks.append(task)
        return True

    def due_s(self) -> float | None:
        """See Queue."""
        return 0.0 if self._tasks else None

    def take(self) -> Waiting:
        """See Queue."""
        return self._tasks.popleft()

    def run(self, job: Waiting) -> None:
        """See Queue."""
        if not job.is_wanted():
            job.fail_late()
            return
        try:
            job.run()
        except ServingError as error:
            job.fail(error)

    def note_run(self, job: Waiting, seconds: float, ended_s: float) -> None:
        """See Queue. Tasks note what they took themselves."""

    def refuse(self, job: Waiting, error: ServingError) -> None:
        """See Queue."""
        job.fail(error)


class BatchQueue:
    """The batches of one runner, the oldest first; the last one is open.

    Attributes:
        waits: Whether a batch that is not full waits for more.
        gathers: Whether a lane may gather requests for a batch that it runs itself, since the latest was short; None
            before the first.
        is_full: Whether the oldest batch has all the rows that it may have, or the next request did not fit.
    """

    def __init__(self, limits: QueueLimits, counts: BatchCounts, gathered_s: float = 0.0) -> None:
        """Queue nothing yet.

        Args:
            limits: What the queue keeps to.
            counts: Where batches are counted.
            gathered_s: How long the run of a batch may take that a lane gathers; 0: lanes gather none.
        """
        self._limits, self._counts, self._gathered_s = limits, counts, gathered_s
        self.waits = bool(limits.timeout_s)
        self.gathers: bool | None = None
        self.is_full = False
        self._at_once = limits.batches_at_once or sys.maxsize
        self.in_flight, self.max_in_flight = 0, self._at_once
        self._batches: deque[Batch] = deque()
        # How many rows a batch may have, if the limits do not say it.
        self._sizer: BatchSizer | None = None
        self._most_rows = limits.max_batch_rows
        if limits.longest_run_s is not None:
            self._sizer = BatchSizer(limits.max_batch_rows, limits.longest_run_s)
            self._most_rows = self._sizer.most_rows
        self._rows = 0
        # The rows of the latest batch, and until when as many are waited for.
        self._latest_rows, self._waits_until_s = 0, 0.0

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, task: Task, now_s: float) -> bool:
        """Queue a request of at most max_task_rows.

        Returns:
            Whether the oldest batch is full now.

        Raises:
            Unavailable: if the queue is full. Nothing of it is queued then.
        """
        task.queued_s = now_s
        if self._limits.splits:
            self._add_in_parts(task)
        else:
            self._add_whole(task)
        self._look_whether_full()
        return self.is_full

    def _add_whole(self, task: Task) -> None:
        limits, batches = self._limits, self._batches
        if not batches or batches[-1].rows + task.rows > self._most_rows:
            if len(batches) >= limits.max_batches and self._is_full(task.rows):
                raise Unavailable(
                    "The batch scheduling queue to which this task was submitted is full; currently "
                    f"{len(batches)} batches enqueued and max_enqueued_batches is {limits.max_batches}"
                )
            batches.append(Batch(task.queued_s))
        batches[-1].add(task)
        self._rows += task.rows

    def _is_full(self, rows: int) -> bool:
        """Whether there is no room for more rows where there are as many batches as there may be."""
        limits = self._limits
        return limits.longest_run_s is None or self._rows + rows > limits.max_batches * limits.max_batch_rows

    def _add_in_parts(self, task: Task) -> None:
        self._check_capacity(task.rows)
        room, most = self._room(), self._limits.max_batch_rows
        self._rows += task.rows
        if self._batches and task.rows <= room:
            self._batches[-1].add(task)
            return
        sizes = [room] if room else []
        left = task.rows - room
        sizes += [most] * (left // most) + ([left % most] if left % most else [])
        for member in task.cut(sizes) if len(sizes) > 1 else [task]:
            member.queued_s = task.queued_s
            if not self._room():
                self._batches.append(Batch(task.queued_s))
            self._batches[-1].add(member)

    def _room(self) -> int:
        """The rows that the open batch still takes; 0 if there is none."""
        return self._limits.max_batch_rows - self._batches[-1].rows if self._batches else 0

    def _check_capacity(self, rows: int) -> None:
        limits, queued = self._limits, len(self._batches)
        capacity = (limits.max_batches - queued) * limits.max_batch_rows + self._room()
        if rows > capacity:
            # The original keeps an open batch where we have none.
            raise Unavailable(
                "The batch scheduling queue to which this task was submitted is full; "
                f"task size is {rows} but scheduling capacity is only {capacity} "
                f"(num_enqueued_batches={max(queued, 1)}, max_enqueued_batches={limits.max_batches}, "
                f"open_batch_size={self._batches[-1].rows if queued else 0}, "
                f"max_execution_batch_size={limits.max_batch_rows})"
            )

    def _look_whether_full(self) -> None:
        batches = self._batches
        self.is_full = len(batches) > 1 or (bool(batches) and batches[0].rows >= self._most_rows)

    def due_s(self) -> float | None:
        """From when on `take` may be called; None if nothing is queued."""
        if not self._batches:
            return None
        begun_s, timeout_s = self._batches[0].begun_s, self._limits.timeout_s
        if self.is_full:
            return begun_s
        if self._rows < self._latest_rows:
            return max(begun_s + timeout_s, self._waits_until_s)
        return begun_s + timeout_s

    def take(self) -> Batch:
        """The oldest batch."""
        if not self.is_full:
            self._batches[0].cut = Cut.TIMEOUT if self._limits.timeout_s else Cut.FREE
        batch = self._batches.popleft()
        self._rows -= batch.rows
        self._look_whether_full()
        return batch

    def cost_of_next(self) -> RunCost | None:
        """The estimate for the oldest batch; None if there is none."""
        return _cost_of(self._batches[0]) if self._batches else None

    def takes_lone(self, rows: int) -> bool:
        """Whether a request of so many rows that finds nobody else there may as well run at once.

        So it is if there is nothing to wait for, nothing to fill up and nothing to split.
        """
        return not self.waits and not self._limits.allowed_rows and rows <= self._limits.max_batch_rows

    def run(self, job: Batch) -> float | None:
        """See Queue."""
        began_s = time.monotonic()
        is_complete = run_batch(job, self._limits, self._counts)
        return time.monotonic() - began_s if is_complete else None

    def note_run(self, job: Batch, seconds: float, ended_s: float) -> None:
        """See Queue."""
        self.gathers = not self.waits and _cost_of(job).run_s <= self._gathered_s
        if self._sizer is not None:
            self._sizer.note(job.rows, seconds)
            if seconds > _WORTH_WAITING_S:
                self._latest_rows = job.rows
                self._waits_until_s = ended_s + _SHARE_TO_WAIT * seconds
            self._most_rows = self._sizer.most_rows
            self._look_whether_full()
            # One long run leaves cores idle while its requests are merged and answered; many short ones fill no batch.
            self.max_in_flight = sys.maxsize if seconds > _LONG_S else self._at_once

    def refuse(self, job: Batch, error: ServingError) -> None:
        """See Queue."""
        for member in job.members:
            member.fail(error)


def _cost_of(batch: Batch) -> RunCost:
    return batch.members[0].runner.costs.of(batch.size_bytes)
