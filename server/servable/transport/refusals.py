"""Calls that are turned away while a server drains, and how to know that no more of them come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from servable.errors import Unavailable

# Longer than a call needs from the socket to where it is refused; short beside what a drain waits for anyway.
_QUIET_S = 0.1
# Callers who try again at once and for ever must not hold up a drain.
_LONGEST_CLOSING_S = 1.0


class Refusals:
    """Whether calls are still being refused. Thread-safe."""

    def __init__(self) -> None:
        self._noted = threading.Event()

    def note(self) -> None:
        """A call was refused, or somebody who refuses calls has time for it again."""
        self._noted.set()

    def await_quiet(self, grace_s: float, is_busy: Callable[[], bool] = lambda: False) -> None:
        """Return when nothing has been noted for a moment, or when the time is over.

        Args:
            grace_s: The longest wait.
            is_busy: Whether somebody who refuses calls does something else right now, so that quiet means nothing.
                Who stops being busy notes it first.
        """
        now = began_at = time.monotonic()
        while True:
            self._noted.clear()
            self._noted.wait(max(min(_QUIET_S, began_at + grace_s - now), 0))
            now = time.monotonic()
            if now - began_at >= grace_s or not (is_busy() or self._is_noted(now - began_at)):
                return

    def _is_noted(self, waited_s: float) -> bool:
        return self._noted.is_set() and waited_s < _LONGEST_CLOSING_S


def shutting_down() -> Unavailable:
    """What a refused caller is told: to try elsewhere."""
    return Unavailable("The server is shutting down.")
