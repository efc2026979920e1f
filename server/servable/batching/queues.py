"""The requests that wait for one runner, gathered into batches. Stepped: no thread, no clock, not thread-safe.

Source of the behaviour: TensorFlow, kernels/batching_util/shared_batch_scheduler.h. What differs: a request
without rows does not wait for others.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from servable.batching.counts import Cut
from servable.batching.tasks import Member, Task
from servable.config.batching import QueueLimits
from servable.errors import Unavailable

# Where runs should not take too long, batches begin with so many rows at most, and double.
_FIRST_ROWS: Final = 16


class Batch:
    """Tasks, or parts of such, that run together.

    Attributes:
        members: Which, as they came.
        rows: The sum of theirs.
        begun_s: When the first came.
        cut: Why no more will come; as soon as it is taken.
    """

    __slots__ = ("begun_s", "cut", "members", "rows")

    def __init__(self, begun_s: float) -> None:
        self.members: list[Member] = []
        self.rows = 0
        self.begun_s = begun_s
        self.cut = Cut.FULL

    def add(self, member: Member) -> None:
        """Take one more."""
        self.members.append(member)
        self.rows += member.rows


class BatchQueue:
    """The batches of one runner, the oldest first; the last one is open."""

    def __init__(self, limits: QueueLimits) -> None:
        self._limits = limits
        self._batches: deque[Batch] = deque()
        # How many rows a batch may have; fewer than the limits say until runs turn out to be short.
        self._most_rows = limits.max_batch_rows
        if limits.longest_run_s is not None:
            self._most_rows = min(self._most_rows, _FIRST_ROWS)
        self._rows = 0

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
        return self.has_full_batch()

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

    def note_run(self, rows: int, seconds: float) -> None:
        """A batch of so many rows took so long: the next ones are made to take no longer than they should.

        Where more rows make a run longer in proportion, they gain nothing; where they do not, few are too long.
        """
        longest_s = self._limits.longest_run_s
        if longest_s is None or not rows:
            return
        if seconds > longest_s:
            self._most_rows = max(int(min(self._most_rows, rows) * longest_s / seconds), 1)
        elif rows * 2 > self._most_rows and seconds * 2 < longest_s:
            self._most_rows = min(self._most_rows * 2, self._limits.max_batch_rows)

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

    def has_full_batch(self) -> bool:
        """Whether the oldest batch has all the rows that it may have, or the next request did not fit."""
        batches = self._batches
        return len(batches) > 1 or (bool(batches) and batches[0].rows >= self._most_rows)

    def due_s(self) -> float | None:
        """From when on `take` may be called; None if nothing is queued."""
        if not self._batches:
            return None
        begun_s, timeout_s = self._batches[0].begun_s, self._limits.timeout_s
        return begun_s if not timeout_s or self.has_full_batch() else begun_s + timeout_s

    def take(self) -> Batch:
        """The oldest batch."""
        if not self.has_full_batch():
            self._batches[0].cut = Cut.TIMEOUT if self._limits.timeout_s else Cut.FREE
        batch = self._batches.popleft()
        self._rows -= batch.rows
        return batch
