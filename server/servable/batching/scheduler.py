"""Gives threads to lines, each line in turn, so that a busy model does not keep others waiting."""

from __future__ import annotations

import threading
import time
from typing import Any

from servable.batching.lines import Line
from servable.batching.tasks import unforeseen
from servable.errors import Unavailable


class Scheduler:
    """A fixed number of threads for any number of lines. Thread-safe; start and stop it once.

    Lines are changed only through it, under its lock. No job runs under the lock.

    No job is left lying: whenever one may run while threads sleep, one of these has been woken and not looked yet. So
    who adds a job wakes a thread, who takes a job while lines wait wakes the next to look after them, and who has
    run one looks again, or wakes a thread if it is none of ours.
    """

    def __init__(self, threads: int, name: str = "run") -> None:
        """Make the threads; they start with `start`.

        Args:
            threads: How many jobs run at the same time.
            name: What the threads are called.
        """
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        # An ordered set: the lines with jobs, in the order of their turns.
        self._waiting: dict[Line[Any], None] = {}
        self._asleep = 0
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"{name} {number}", daemon=True) for number in range(threads)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 1.0) -> bool:
        """Refuse what is in line and what comes later, and wait for the jobs under way.

        Args:
            timeout_s: How long to wait.

        Returns:
            Whether all threads have ended.
        """
        with self._lock:
            self._stopped = True
            self._changed.notify_all()
            refused = [(line, line.take()) for line in self._waiting for _ in iter(line.due_s, None)]
            self._waiting.clear()
        for line, job in refused:
            line.refuse(job, _shutting_down())
        ends_at_s = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(ends_at_s - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def add(self, line: Line[Any], task: Any, *, wakes: bool = True) -> bool:
        """Add a request to a line, and see that a thread comes for it.

        Args:
            line: The line.
            task: What its `add` takes; what that raises is raised.
            wakes: Whether a thread should come; otherwise the caller calls `run_here` soon.

        Returns:
            Whether to wait with that would not make the next job larger.

        Raises:
            Unavailable: after `stop`.
        """
        with self._lock:
            if self._stopped:
                raise _shutting_down()
            due_s = line.due_s()
            is_full = line.add(task, time.monotonic())
            if due_s is None:
                self._waiting[line] = None
            if wakes and self._asleep and (due_s is None or line.due_s() != due_s):
                self._changed.notify()
        return is_full

    def run_here(self, line: Line[Any]) -> None:
        """Run one job of a line on the calling thread, if one is due and no more of them run already than may.

        What is left, and what comes meanwhile, is for the threads: others may wait for the caller.
        """
        with self._lock:
            if not _may_run(line, time.monotonic()):
                return
            job = self._take(line)
            if line in self._waiting:
                self._wake()
        self._run(line, job, is_ours=False)

    def begin_lone(self, line: Line[Any]) -> bool:
        """Begin a job that was never in its line, on the calling thread; `end` it, whatever becomes of it.

        Returns:
            Whether it may begin: the line is empty, and none of its jobs runs.
        """
        with self._lock:
            if line.in_flight or line in self._waiting or self._stopped:
                return False
            line.in_flight += 1
        return True

    def end(self, line: Line[Any], *, is_ours: bool = False) -> None:
        """Take note that a job is over; `is_ours` says that one of the threads ran it, which looks again anyway.

        What came meanwhile is for the threads: others may wait for the caller.
        """
        with self._lock:
            line.in_flight -= 1
            if not is_ours and line in self._waiting:
                self._wake()

    def _take(self, line: Line[Any]) -> Any:
        job = line.take()
        line.in_flight += 1
        del self._waiting[line]
        if line.due_s() is not None:
            self._waiting[line] = None
        return job

    def _wake(self) -> None:
        if self._asleep:
            self._changed.notify()

    def _work(self) -> None:
        while (found := self._next()) is not None:
            self._run(*found)
            # It holds requests, and the next may come tomorrow.
            del found

    def _run(self, line: Line[Any], job: Any, *, is_ours: bool = True) -> None:
        try:
            line.run(job)
        except Exception:
            line.refuse(job, unforeseen())
        finally:
            self.end(line, is_ours=is_ours)

    def _next(self) -> tuple[Line[Any], Any] | None:
        """The next job of the line that waited longest for a turn; None when all is over."""
        with self._lock:
            while not self._stopped:
                now_s = time.monotonic()
                line = next((line for line in self._waiting if _may_run(line, now_s)), None)
                if line is not None:
                    job = self._take(line)
                    if self._waiting:
                        self._wake()
                    return line, job
                self._sleep(now_s)
        return None

    def _sleep(self, now_s: float) -> None:
        """Sleep until the next job is due, or something has changed."""
        due_s = [line.due_s() for line in self._waiting if line.in_flight < line.max_in_flight]
        left_s = min((due - now_s for due in due_s if due is not None), default=threading.TIMEOUT_MAX)
        self._asleep += 1
        self._changed.wait(min(left_s, threading.TIMEOUT_MAX))
        self._asleep -= 1


def _may_run(line: Line[Any], now_s: float) -> bool:
    due_s = line.due_s()
    return due_s is not None and due_s <= now_s and line.in_flight < line.max_in_flight


def _shutting_down() -> Unavailable:
    return Unavailable("The server is shutting down.")
