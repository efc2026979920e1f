"""Queues of calls that wait for a thread: one for each model, or for each runner whose requests are batched.

A queue has no thread and is not thread-safe. The scheduler calls all methods but `run` and `refuse` under its lock.

A `BatchQueue` forms batches. How many rows a batch may have is a limit of the config, or chosen by a `BatchSizer` where
the config does not say it. Source of the behaviour: TensorFlow, kernels/batching_util/shared_batch_scheduler.h. What
differs: a request without rows does not wait for others.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any, Final, Protocol, TypeVar

from servable.batching.counts import BatchCounts, Cut
from servable.batching.running import Batch, run_batch
from servable.batching.tasks import QueuedCall, Task
from servable.config.batching import QueueLimits
from servable.errors import ResourceExhausted, ServingError, Unavailable
from servable.run_costs import RunCost

JobT = TypeVar("JobT")

# After a batch that took longer, several batches may run at once: while one runs, another is merged or answered.
_LONG_S: Final = 0.02
# Callers that got their answers call again a moment later. If the next batch began at once it would be small, and they
# would wait for all of it. So after a batch that took longer than the first, the queue waits for as many rows as that
# batch had, for the second, a share of its time.
_WORTH_WAITING_S: Final = 0.005
_SHARE_TO_WAIT: Final = 0.05

# A queue that is full is not empty soon.
_RETRY_AFTER_S: Final = 1.0

# Of BatchSizer.
# The logarithm of the first size.
_FIRST_EXPONENT: Final = 4
# Of the cost of a row in a batch of half the size: a batch is not worth its time if its rows cost more than the first
# share, and surely is if they cost less than the second. Runs of one size differ by some per cent.
_NO_CHEAPER: Final = 0.96
_CLEARLY_CHEAPER: Final = 0.85
# A size that was not worth its time is tried again after so many batches, and after twice as many each time.
_FIRST_PAUSE: Final = 8
_LONGEST_PAUSE: Final = 256
# After so many batches of other sizes a cost is forgotten: it may have been chance, or have changed since.
_REMEMBERED: Final = 512
# Of a new sample in the average.
_WEIGHT: Final = 0.1
# So many batches of a size are needed to judge that it takes long.
_SAMPLES: Final = 4
_SHORTEST_S: Final = 1e-6


class Queue(Protocol[JobT]):
    """Calls that wait, and leave the queue as jobs one after the other.

    Attributes:
        in_flight: How many jobs run now; counted by the scheduler.
        max_in_flight: How many may run at the same time.
    """

    in_flight: int
    max_in_flight: int

    def add(self, task: Any, now_s: float) -> bool:
        """Queue a call. If it raises, nothing is queued, and the error is the answer.

        Returns:
            Whether waiting would not make the next job larger.
        """

    def due_s(self) -> float | None:
        """When the next job may run (time.monotonic); None if there is none."""

    def take(self) -> JobT:
        """Remove and return the next job."""

    def run(self, job: JobT) -> float | None:
        """Run a job that was taken, and answer its calls. Not under the lock.

        Returns:
            Seconds that it took; None if that is not typical of such jobs.
        """

    def note_run(self, job: JobT, seconds: float, ended_s: float) -> None:
        """Learn from a job that took so long and has ended now (time.monotonic)."""

    def refuse(self, job: JobT, error: ServingError) -> None:
        """Answer with an error all calls of a job that are not answered yet. Not under the lock."""


class FifoQueue:
    """Calls of one model that run each by itself, in the order in which they came."""

    def __init__(self, most: int = sys.maxsize) -> None:
        """Queue nothing yet.

        Args:
            most: How many calls may wait. One that nobody waits for any more counts until its turn.
        """
        self.in_flight, self.max_in_flight = 0, sys.maxsize
        self._most = most
        self._tasks: deque[QueuedCall] = deque()

    def add(self, task: QueuedCall, now_s: float) -> bool:  # noqa: ARG002  Other queues need the time.
        """See Queue.

        Raises:
            ResourceExhausted: if as many wait as may.
        """
        if len(self._tasks) >= self._most:
            error = ResourceExhausted(
                f"Too much at once: {self._most} calls of the model wait (--max_queued_calls_per_model); try later"
            )
            error.retry_after_s = _RETRY_AFTER_S
            raise error
        self._tasks.append(task)
        return True

    def due_s(self) -> float | None:
        """See Queue."""
        return 0.0 if self._tasks else None

    def take(self) -> QueuedCall:
        """See Queue."""
        return self._tasks.popleft()

    def run(self, job: QueuedCall) -> None:
        """See Queue."""
        if not job.is_wanted():
            job.fail_late()
            return
        try:
            job.run()
        except ServingError as error:
            job.fail(error)

    def note_run(self, job: QueuedCall, seconds: float, ended_s: float) -> None:
        """See Queue. Nothing to learn: each task notes its own time."""

    def refuse(self, job: QueuedCall, error: ServingError) -> None:
        """See Queue."""
        job.fail(error)


class BatchQueue:
    """The batches of one runner, the oldest first; the last one is open for more requests.

    Attributes:
        waits: Whether a batch that is not full waits for more requests until a timeout.
        gathers: Whether a lane may gather requests for a batch that it runs itself, since the latest batch was short;
            None before the first batch.
        is_full: Whether the oldest batch has as many rows as it may have, or the next request did not fit.
        counts: Where batches are counted.
    """

    def __init__(self, limits: QueueLimits, counts: BatchCounts, gathered_s: float = 0.0) -> None:
        """Queue nothing yet.

        Args:
            limits: The limits of the queue and its batches.
            counts: Where batches are counted.
            gathered_s: How long a batch may run that a lane gathers; 0: lanes gather none.
        """
        self._limits, self.counts, self._gathered_s = limits, counts, gathered_s
        self.waits = bool(limits.timeout_s)
        self.gathers: bool | None = None
        self.is_full = False
        self._at_once = limits.batches_at_once or sys.maxsize
        self.in_flight, self.max_in_flight = 0, self._at_once
        self._batches: deque[Batch] = deque()
        # Chooses how many rows a batch may have, if the limits leave it open.
        self._sizer: BatchSizer | None = None
        self._most_rows = limits.max_batch_rows
        if limits.longest_run_s is not None:
            self._sizer = BatchSizer(limits.max_batch_rows, limits.longest_run_s)
            self._most_rows = self._sizer.most_rows
        self._rows = 0
        # The rows of the latest batch, and until when the queue waits for as many again.
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
        self._update_is_full()
        return self.is_full

    def _add_whole(self, task: Task) -> None:
        limits, batches = self._limits, self._batches
        if not batches or batches[-1].rows + task.rows > self._most_rows:
            if len(batches) >= limits.max_batches and self._lacks_capacity(task.rows):
                raise Unavailable(
                    "The batch scheduling queue to which this task was submitted is full; currently "
                    f"{len(batches)} batches enqueued and max_enqueued_batches is {limits.max_batches}"
                )
            batches.append(Batch(task.queued_s))
        batches[-1].add(task)
        self._rows += task.rows

    def _lacks_capacity(self, rows: int) -> bool:
        """Whether so many more rows exceed the capacity of a queue that has all the batches that it may have."""
        limits = self._limits
        return limits.longest_run_s is None or self._rows + rows > limits.max_batches * limits.max_batch_rows

    def _add_in_parts(self, task: Task) -> None:
        self._check_capacity(task.rows)
        free, most = self._free_rows(), self._limits.max_batch_rows
        self._rows += task.rows
        if self._batches and task.rows <= free:
            self._batches[-1].add(task)
            return
        sizes = [free] if free else []
        left = task.rows - free
        sizes += [most] * (left // most) + ([left % most] if left % most else [])
        for member in task.split(sizes) if len(sizes) > 1 else [task]:
            member.queued_s = task.queued_s
            if not self._free_rows():
                self._batches.append(Batch(task.queued_s))
            self._batches[-1].add(member)

    def _free_rows(self) -> int:
        """How many more rows the open batch takes; 0 if there is none."""
        return self._limits.max_batch_rows - self._batches[-1].rows if self._batches else 0

    def _check_capacity(self, rows: int) -> None:
        limits, queued = self._limits, len(self._batches)
        capacity = (limits.max_batches - queued) * limits.max_batch_rows + self._free_rows()
        if rows > capacity:
            # The original always has an open batch, so an empty queue counts as one batch there.
            raise Unavailable(
                "The batch scheduling queue to which this task was submitted is full; "
                f"task size is {rows} but scheduling capacity is only {capacity} "
                f"(num_enqueued_batches={max(queued, 1)}, max_enqueued_batches={limits.max_batches}, "
                f"open_batch_size={self._batches[-1].rows if queued else 0}, "
                f"max_execution_batch_size={limits.max_batch_rows})"
            )

    def _update_is_full(self) -> None:
        batches = self._batches
        self.is_full = len(batches) > 1 or (bool(batches) and batches[0].rows >= self._most_rows)

    def due_s(self) -> float | None:
        """See Queue."""
        if not self._batches:
            return None
        begun_s, timeout_s = self._batches[0].begun_s, self._limits.timeout_s
        if self.is_full:
            return begun_s
        if self._rows < self._latest_rows:
            return max(begun_s + timeout_s, self._waits_until_s)
        return begun_s + timeout_s

    def take(self) -> Batch:
        """Remove and return the oldest batch."""
        batch = self._batches.popleft()
        if self.is_full:
            batch.cut = Cut.FULL
        else:
            batch.cut = Cut.TIMEOUT if self._limits.timeout_s else Cut.FREE
        self._rows -= batch.rows
        self._update_is_full()
        return batch

    def cost_of_next(self) -> RunCost | None:
        """The estimate for the oldest batch; None if the queue is empty."""
        return _cost_of(self._batches[0]) if self._batches else None

    def takes_lone(self, rows: int) -> bool:
        """Whether a request of so many rows may run at once if no other request is there.

        It may if its batch would not wait, nor be filled up to an allowed size, and if it need not be split.
        """
        return not self.waits and not self._limits.allowed_rows and rows <= self._limits.max_batch_rows

    def run(self, job: Batch) -> float | None:
        """See Queue."""
        began_s = time.monotonic()
        is_complete = run_batch(job, self._limits, self.counts)
        return time.monotonic() - began_s if is_complete else None

    def note_run(self, job: Batch, seconds: float, ended_s: float) -> None:
        """See Queue."""
        self.gathers = not self.waits and _cost_of(job).run_s <= self._gathered_s
        if self._sizer is not None:
            self._sizer.note(job.rows, seconds)
            waits = seconds > _WORTH_WAITING_S and self._sizer.are_more_rows_cheaper(job.rows)
            self._latest_rows = job.rows if waits else 0
            self._waits_until_s = ended_s + _SHARE_TO_WAIT * seconds
            self._most_rows = self._sizer.most_rows
            self._update_is_full()
            # With one long run at a time, cores are idle while its requests are merged and answered. With several short
            # runs at a time, batches stay small.
            self.max_in_flight = sys.maxsize if seconds > _LONG_S else self._at_once

    def refuse(self, job: Batch, error: ServingError) -> None:
        """See Queue."""
        for member in job.members:
            member.fail(error)


def _cost_of(batch: Batch) -> RunCost:
    return batch.members[0].runner.costs.of(batch.size_bytes)


class BatchSizer:
    """Chooses the most rows of the next batch of a runner, by what a row has cost in batches of each size.

    More rows in a batch usually make each of them cheaper, but all of them wait for the whole batch. So batches may
    grow as long as they are short. Longer ones must be worth their time: with twice the rows, a row must become clearly
    cheaper. A model whose runs cost steps rather than rows (an LSTM: 20 ms for one row, 45 for 16) keeps large batches
    by that rule, and one whose rows cost the same in a batch of any size (MobileNetV2) gets small ones.

    Not thread-safe.

    Attributes:
        most_rows: The most rows that the next batch may have: a power of two, or the limit.
    """

    def __init__(self, limit: int, long_s: float) -> None:
        """Begin with a moderate size.

        Args:
            limit: The most rows that a batch may ever have.
            long_s: A batch that takes longer must be worth its time.
        """
        self._limit, self._long_s = limit, long_s
        self._exponent = min(_FIRST_EXPONENT, (limit - 1).bit_length())
        # The size class of a batch is the exponent of the next power of two. What a row costs in batches of each class:
        self._row_s: dict[int, float] = {}
        self._batches, self._noted_at, self._samples = 0, dict[int, int](), dict[int, int]()
        self._pause, self._batches_until_larger = _FIRST_PAUSE, 0
        self.most_rows = min(1 << self._exponent, limit)

    def note(self, rows: int, seconds: float) -> None:
        """Learn that a batch of so many rows took so long."""
        if rows < 1:
            return
        exponent = (rows - 1).bit_length()
        # By the clock a short run may take no time.
        self._follow(exponent, max(seconds, _SHORTEST_S) / rows)
        self._batches_until_larger = max(self._batches_until_larger - 1, 0)
        is_long = self._row_s[exponent] * rows > self._long_s
        if is_long and self._samples[exponent] < _SAMPLES:
            # A few batches may be long by chance.
            return
        share, share_of_next = self._share_of_half(exponent), self._share_of_half(exponent + 1)
        # A batch that was not full is no reason to allow larger ones.
        is_full = exponent == self._exponent and (1 << exponent) < self._limit
        if is_full and share_of_next is not None and share_of_next < _NO_CHEAPER:
            self._exponent += 1
        elif is_long and exponent and (share is None or share > _NO_CHEAPER):
            self._shrink_below(exponent, is_compared=share is not None)
        elif is_full and not self._batches_until_larger:
            # Measure the larger size anew.
            self._row_s.pop(exponent + 1, None)
            self._exponent += 1
        if is_long and share is not None and share < _CLEARLY_CHEAPER:
            # Beyond chance the size is worth its time, so the next larger one may be tried soon again.
            self._pause = _FIRST_PAUSE
        self.most_rows = min(1 << self._exponent, self._limit)

    def are_more_rows_cheaper(self, rows: int) -> bool:
        """Whether a row costs clearly less in such a batch than in one of half the rows, as far as is known.

        What is not known is worth a try: if nobody waited for callers, batches would stay small and nobody would know.
        """
        share = self._share_of_half((rows - 1).bit_length())
        return share is None or share < _CLEARLY_CHEAPER

    def _follow(self, exponent: int, row_s: float) -> None:
        self._batches += 1
        self._noted_at[exponent] = self._batches
        samples = self._samples[exponent] = self._samples.get(exponent, 0) + 1 if exponent in self._row_s else 1
        usual_s = self._row_s.setdefault(exponent, row_s)
        # The first run of a size prepares kernels, so a much shorter one replaces it. A longer one may be chance.
        weight = 1.0 if row_s < usual_s / 2 else _WEIGHT
        if usual_s / 2 <= row_s <= usual_s:
            weight = max(1 / samples, _WEIGHT)
        self._row_s[exponent] = usual_s + weight * (min(row_s, 2 * usual_s) - usual_s)

    def _shrink_below(self, exponent: int, *, is_compared: bool) -> None:
        self._exponent = exponent - 1
        if is_compared:
            self._batches_until_larger, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)

    def _share_of_half(self, exponent: int) -> float | None:
        """The cost of a row in a batch of this class, as a share of that in half the size; None if not known."""
        row_s, of_half_s = self._known(exponent), self._known(exponent - 1)
        return None if row_s is None or of_half_s is None else row_s / of_half_s

    def _known(self, exponent: int) -> float | None:
        """The cost of a row in batches of this class; None if it is not known, or too old."""
        if self._batches - self._noted_at.get(exponent, 0) > _REMEMBERED:
            self._row_s.pop(exponent, None)
        return self._row_s.get(exponent)
