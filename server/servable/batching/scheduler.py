"""The scheduler: gives threads to queues, each queue in turn, so that a busy model does not delay the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from servable.batching.queues import Queue
from servable.batching.tasks import log_and_make_internal_error
from servable.errors import Unavailable


class Scheduler:
    """A fixed number of threads for any number of queues. Thread-safe; start and stop it once.

    Invariants, which `tests/batching/test_scheduler_races.py` tries with threads that yield anywhere:

    - Queues change only under the scheduler's lock, and no job runs under it.
    - The last idle thread takes no job of a queue that runs one already, so a busy model never keeps the others from
      beginning.
    - No job is left behind: whenever a job may be taken while threads sleep, one of these threads has been notified and
      has not looked for jobs yet. So a thread that adds a job notifies one that sleeps; a thread that takes a job while
      queues have more notifies the next; and a thread that has run a job looks for another one, or notifies one that
      sleeps if it is not a thread of the scheduler.
    """

    def __init__(self, threads: int, name: str = "run") -> None:
        """Make the threads; they start with `start`.

        Args:
            threads: How many jobs run at the same time. If there are several, one is kept for queues that run no job.
            name: The first word of the threads' names.
        """
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        # An ordered set (the values mean nothing): the queues that have jobs, in the order of their turns.
        self._waiting: dict[Queue[Any], None] = {}
        self._asleep = 0
        # How many threads run no job.
        self._idle = threads
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=True) for number in range(self._idle)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Refuse calls that are queued or come later, and wait for the jobs under way.

        Args:
            timeout_s: How long to wait.

        Returns:
            Whether all threads have ended.
        """
        with self._lock:
            self._stopped = True
            self._changed.notify_all()
            refused = []
            for queue in self._waiting:
                while queue.due_s() is not None:
                    refused.append((queue, queue.take()))
            self._waiting.clear()
        for queue, job in refused:
            queue.refuse(job, _shutting_down())
        ends_at_s = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(ends_at_s - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def add(self, queue: Queue[Any], task: Any, *, wakes: bool = True) -> bool:
        """Add a call to a queue, and wake a thread for it.

        Args:
            queue: The queue.
            task: The call, as the queue's `add` takes it.
            wakes: Whether to wake a thread; if not, the caller must call `run_here` or `wake` soon.

        Returns:
            Whether waiting with that would not make the next job larger.

        Raises:
            Unavailable: after `stop`.
            ServingError: as the queue's `add` does.
        """
        with self._lock:
            if self._stopped:
                raise _shutting_down()
            due_s = queue.due_s()
            is_full = queue.add(task, time.monotonic())
            if due_s is None:
                self._waiting[queue] = None
            if wakes and self._asleep and (due_s is None or queue.due_s() != due_s):
                self._changed.notify()
        return is_full

    def wake(self, queue: Queue[Any]) -> None:
        """Wake a thread for a queue to which calls were added with `wakes=False`."""
        with self._lock:
            if queue in self._waiting:
                self._wake()

    def run_here(self, queue: Queue[Any], accepts: Callable[[], bool]) -> None:
        """Run one job on the calling thread, if one is due and the queue may have one more in flight.

        Jobs that are left, or come meanwhile, are for the scheduler's threads: other calls may wait for the caller.

        Args:
            queue: The queue.
            accepts: Called under the scheduler's lock: whether the caller runs the next job. If not, a thread is woken.
        """
        with self._lock:
            if not _is_ready(queue, time.monotonic()):
                return
            if not accepts():
                self._wake()
                return
            job = self._take(queue)
            if queue in self._waiting:
                self._wake()
        seconds = self._run(queue, job)
        self._end(queue, job, seconds)

    def begin_lone(self, queue: Queue[Any]) -> bool:
        """Count as in flight a job that was never queued. The caller runs it, and calls `end_lone` in any case.

        Returns:
            Whether the job may begin: the queue is empty, and none of its jobs is in flight. Else nothing is counted.
        """
        with self._lock:
            if queue.in_flight or queue in self._waiting or self._stopped:
                return False
            queue.in_flight += 1
        return True

    def end_lone(self, queue: Queue[Any]) -> None:
        """End a job that `begin_lone` has counted.

        Calls that came meanwhile are for the scheduler's threads, since other calls may wait for the caller.
        """
        self._end(queue, None, None)

    def _end(self, queue: Queue[Any], job: Any, seconds: float | None, *, is_ours: bool = False) -> None:
        with self._lock:
            queue.in_flight -= 1
            if seconds is not None:
                queue.note_run(job, seconds, time.monotonic())
            if is_ours:
                self._idle += 1
            elif queue in self._waiting:
                self._wake()

    def _take(self, queue: Queue[Any]) -> Any:
        job = queue.take()
        queue.in_flight += 1
        del self._waiting[queue]
        if queue.due_s() is not None:
            self._waiting[queue] = None
        return job

    def _wake(self) -> None:
        if self._asleep:
            self._changed.notify()

    def _work(self) -> None:
        while (found := self._next()) is not None:
            queue, job = found
            seconds = self._run(queue, job)
            self._end(queue, job, seconds, is_ours=True)
            # These hold requests, and it may be long until the next job.
            del found, queue, job

    def _run(self, queue: Queue[Any], job: Any) -> float | None:
        try:
            return queue.run(job)
        except BaseException:  # The thread must go on: no other replaces it.
            queue.refuse(job, log_and_make_internal_error())
            return None

    def _next(self) -> tuple[Queue[Any], Any] | None:
        """Wait for the next job, of the queue whose turn it is, for a thread of the scheduler; None after `stop`."""
        with self._lock:
            while not self._stopped:
                now_s = time.monotonic()
                ready = (queue for queue in self._waiting if self._may_take(queue) and _is_ready(queue, now_s))
                queue = next(ready, None)
                if queue is not None:
                    job = self._take(queue)
                    self._idle -= 1
                    if self._waiting:
                        self._wake()
                    return queue, job
                self._sleep(now_s)
        return None

    def _may_take(self, queue: Queue[Any]) -> bool:
        return not queue.in_flight or self._idle > 1

    def _sleep(self, now_s: float) -> None:
        """Sleep until the next job is due, or until the thread is notified."""
        waiting = [queue for queue in self._waiting if queue.in_flight < queue.max_in_flight and self._may_take(queue)]
        left_s = min((due_s - now_s for queue in waiting if (due_s := queue.due_s()) is not None), default=None)
        self._asleep += 1
        self._changed.wait(None if left_s is None else min(left_s, threading.TIMEOUT_MAX))
        self._asleep -= 1


def _is_ready(queue: Queue[Any], now_s: float) -> bool:
    due_s = queue.due_s()
    return due_s is not None and due_s <= now_s and queue.in_flight < queue.max_in_flight


def _shutting_down() -> Unavailable:
    return Unavailable("The server is shutting down.")
