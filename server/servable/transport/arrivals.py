"""Calls as they arrive, and the pause in which a drain may stop grpc's server without losing one.

From the moment its shutdown begins, grpc's core takes no new call. Calls that are on their way then, or that wait in
the core to be picked up, are dropped, and their callers see CANCELLED, which no client tries again. A client leaves as
soon as it reads the GOAWAY that the shutdown sends, so these are the calls of about one round trip, and only silent
callers lose none. To refuse calls does not silence callers, and costs each of these calls where another server would
have answered it. To hold calls does: whoever waits for a reply sends no other call. So the calls that arrive in the
pause are picked up, and begin when the shutdown has begun: they are in flight then, and end as such.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

_log = logging.getLogger(__name__)

# Longer than a call needs from the socket to where it is held; held calls wait for it.
_QUIET_S = 0.05
# Callers who never wait for a reply must not hold up a drain, nor what is held for them. Counted from when nobody was
# busy any more, since the calls behind a busy thread arrive only then.
_LONGEST_PAUSE_S = 0.2


class Arrivals:
    """Whether calls are held as they arrive, and those that are. Thread-safe.

    Attributes:
        are_held: Whether a call that arrives now is held; `begin_or_hold` and `wait` look by themselves.
    """

    def __init__(self) -> None:
        self.are_held = False
        self._lock = threading.Lock()
        self._noted = threading.Event()
        self._released = threading.Event()
        self._released.set()
        self._held: list[Callable[[], None]] = []

    def begin_or_hold(self, begin: Callable[[], None]) -> None:
        """Begin a call that has arrived; if calls are held, when they are released, on the thread that does so."""
        with self._lock:
            if self.are_held:
                self._held.append(begin)
                self._noted.set()
                return
        begin()

    def wait(self) -> None:
        """Wait until calls are not held, on the thread of a call that has been picked up; never for long."""
        self._released.wait(_LONGEST_PAUSE_S)

    def note(self) -> None:
        """A call was held, or somebody who takes calls has time for it again."""
        self._noted.set()

    @contextlib.contextmanager
    def paused(self, longest_s: float, is_busy: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Hold calls; enter when no more of them arrive, or when the time is over; release them at the end.

        Args:
            longest_s: How long to wait for those who are busy.
            is_busy: Whether somebody who takes calls does something else right now, so that quiet means nothing.
                Whoever ceases to be busy calls `note` first.
        """
        with self._lock:
            self.are_held = True
            self._released.clear()
        try:
            self._await_quiet(longest_s, is_busy)
            yield
        finally:
            self._release()

    def _await_quiet(self, longest_s: float, is_busy: Callable[[], bool]) -> None:
        now = began_at = idle_since = time.monotonic()
        while True:
            self._noted.clear()
            self._noted.wait(max(min(_quiet_s(now - idle_since), began_at + longest_s - now), 0))
            now = time.monotonic()
            if now - began_at >= longest_s:
                return
            if is_busy():
                idle_since = now
            elif not self._noted.is_set() or now - idle_since >= _LONGEST_PAUSE_S:
                return

    def _release(self) -> None:
        with self._lock:
            self.are_held = False
            held, self._held = self._held, []
        self._released.set()
        for begin in held:
            _begin(begin)


def _quiet_s(waited_s: float) -> float:
    """How long no call must arrive, after so long a wait: the longer, the smaller a gap must do."""
    return _QUIET_S * max(1 - waited_s / _LONGEST_PAUSE_S, 0)


def _begin(begin: Callable[[], None]) -> None:
    try:
        begin()
    except Exception:
        # The calls behind it have come too.
        _log.exception("A call that was held could not begin")
