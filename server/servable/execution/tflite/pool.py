"""A bounded pool of sessions, each for one thread at a time.

Sessions are made when they are first needed. The one that came back last goes out first, so that a quiet server touches
the memory of one. A session whose run failed, or for whose run much memory was taken, does not come back: an
interpreter gives no memory back to the system before it is destroyed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from servable.errors import DeadlineExceeded
from servable.execution.tflite.session import Session


class SessionPool:
    """Lends sessions. Thread-safe."""

    def __init__(self, make: Callable[[], Session], size: int) -> None:
        """A pool without sessions.

        Args:
            make: Makes a session, or raises a ServingError.
            size: The most sessions at the same time, at least 1.
        """
        self._make = make
        self._free = threading.Semaphore(size)
        self._idle: list[Session] = []
        self._is_closed = False

    @contextmanager
    def borrow(self, timeout_s: float | None, *, keeps: bool = True) -> Iterator[Session]:
        """A session for the calling thread.

        Args:
            timeout_s: How long to wait for one; None: for as long as it takes.
            keeps: Whether the session is used again if nothing is raised meanwhile.

        Raises:
            DeadlineExceeded: if none is free in time.
            ServingError: if none can be made.
        """
        if (timeout_s is not None and timeout_s <= 0) or not self._free.acquire(timeout=timeout_s):
            raise DeadlineExceeded("Timed out waiting for notification")
        try:
            try:
                session = self._idle.pop()
            except IndexError:
                session = self._make()
            yield session
            if keeps and not self._is_closed:
                self._idle.append(session)
        finally:
            self._free.release()

    def close(self) -> None:
        """Drop all sessions; those that are lent out do not come back."""
        self._is_closed = True
        self._idle.clear()
