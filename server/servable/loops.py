"""A loop: a thread with a mailbox. It runs posted tasks in order, and takes a turn when one is due.

The objects that a loop drives are used by its thread only, so they need no locks, and a test can step them without
threads and clocks. So the control plane has no locks: source, manager and config file each have a loop, and send each
other messages. This module does not know what a loop drives.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, TypeVar

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

Turn = Callable[[float], "float | None"]
"""Does what is due at a time (time.monotonic), and returns when to take the next turn; None: after the next task."""

# `stop` waits this long for the task under way, which may be blocked in a file system.
LONGEST_STOP_S: Final = 5.0


class Loop:
    """One named thread. Posting is safe from any thread, and from a finalizer; start and stop it once.

    A task or a turn that raises is logged, and the loop goes on.
    """

    def __init__(self, name: str, turn: Turn = lambda _now_s: None) -> None:
        """Make the loop; it runs once it is started.

        Args:
            name: The thread's.
            turn: Called at the start, after each task, and at the times that it returned.
        """
        self._turn = turn
        # SimpleQueue.put is reentrant: a finalizer may call it on a thread that is just in it.
        self._tasks: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def post(self, task: Callable[[], object]) -> None:
        """Run a task after those that were posted before; return at once."""
        self._tasks.put(task)

    def ask(self, question: Callable[[], _T]) -> Future[_T]:
        """Post a task; the future gets its result or exception."""
        answer: Future[_T] = Future()
        self.post(lambda: _answer(question, answer))
        return answer

    def follow(self, earlier: Future[_T]) -> Future[_T]:
        """Resolve like `earlier`, but after this loop has processed everything posted before `earlier` completed.

        That includes the turns after these tasks.
        """
        answer: Future[_T] = Future()
        earlier.add_done_callback(lambda _: self.post(lambda: _answer(earlier.result, answer)))
        return answer

    def end(self) -> None:
        """End after the tasks that were posted before; return at once."""
        self._tasks.put(None)

    def stop(self, longest_wait_s: float = LONGEST_STOP_S) -> None:
        """End after the tasks that were posted before; return when the thread has ended, or after the longest wait."""
        self.end()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(max(longest_wait_s, 0))

    def _run(self) -> None:
        while (task := self._next(self._take_turn())) is not None:
            self._attempt(task)
            # A task may hold a model, which must not live until the next task comes.
            del task

    def _next(self, due_s: float | None) -> Callable[[], object] | None:
        timeout_s = None if due_s is None else min(max(due_s - time.monotonic(), 0), threading.TIMEOUT_MAX)
        try:
            return self._tasks.get(timeout=timeout_s)
        except queue.Empty:
            return _do_nothing

    def _take_turn(self) -> float | None:
        now_s = time.monotonic()
        try:
            return self._turn(now_s)
        except Exception:
            _log.exception("%s failed in an unforeseen way", self._thread.name)
            # Not at once again, since the turn may fail many times.
            return now_s + 1

    def _attempt(self, task: Callable[[], object]) -> None:
        try:
            task()
        except Exception:
            _log.exception("%s failed in an unforeseen way", self._thread.name)


def _do_nothing() -> None:
    """The task in place of one that was posted, when a turn is due."""


def stop_all(loops: Sequence[Loop], longest_wait_s: float = LONGEST_STOP_S) -> None:
    """End several loops, all at the same time: those that are blocked share the longest wait."""
    ends_at_s = time.monotonic() + longest_wait_s
    for loop in loops:
        loop.end()
    for loop in loops:
        loop.stop(ends_at_s - time.monotonic())


def _answer(question: Callable[[], _T], answer: Future[_T]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        answer.set_result(question())
    except Exception as error:
        answer.set_exception(error)
