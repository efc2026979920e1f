"""Sees to it that no method blocks a lane for long, however wrong the estimate was by which it was called.

Whether a run is short is an estimate, and what a run takes may depend on values that no estimate knows. So a thread
looks at the lanes in short periods. A lane that was in a method at two looks, and in the same one, gets a new thread to
lead it; the one that led it answers its call, however long that takes, and ends. So a lane is blocked for two periods
at most, and for what the system takes to run the threads.

While nothing is called the watchdog sleeps, and a lane wakes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

_log = logging.getLogger(__name__)

PERIOD_S: Final = 2e-3
"""How often lanes are looked at while they are called."""
# After so many looks at lanes that nobody called the watchdog sleeps.
_QUIET_LOOKS: Final = 25


class Watched(Protocol):
    """A lane as the watchdog sees it.

    Attributes:
        name: What the log calls it.
        begun: How many methods and deferred runs were begun.
    """

    name: str
    begun: int

    @property
    def busy(self) -> bool:
        """Whether it is in a method now."""

    def take_over(self) -> int | None:
        """Give the lane to a new thread if it is in a method; the id of the thread that led it."""


class LaneWatchdog(Protocol):
    """A watchdog as lanes see it.

    Attributes:
        is_asleep: Whether it is to be woken when something begins.
    """

    is_asleep: bool

    def start(self, lanes: Sequence[Watched]) -> None:
        """Watch lanes."""

    def stop(self) -> None:
        """Watch no more."""

    def wake(self) -> None:
        """Something has begun; for a lane that sees it asleep."""


class Watchdog:
    """One thread for all lanes of a server. Start it once, stop it once.

    Attributes:
        is_asleep: Whether it is to be woken when something begins.
    """

    def __init__(self, on_overrun: Callable[[int], None]) -> None:
        """Watch nothing yet.

        Args:
            on_overrun: Called with the id of a thread that is in a method for too long.
        """
        self._on_overrun = on_overrun
        self.is_asleep = False
        self._woken = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self, lanes: Sequence[Watched]) -> None:
        """Watch lanes."""
        self._thread = threading.Thread(target=self._watch, args=(lanes,), name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        """Something has begun; for a lane that sees it asleep."""
        self._woken.set()

    def _watch(self, lanes: Sequence[Watched]) -> None:
        seen, quiet_looks = [lane.begun for lane in lanes], 0
        while not self._stopped:
            if quiet_looks > _QUIET_LOOKS:
                self._sleep(lanes, seen)
                quiet_looks = 0
            time.sleep(PERIOD_S)
            quiet_looks += 1
            for index, lane in enumerate(lanes):
                begun = lane.begun
                if begun != seen[index]:
                    seen[index], quiet_looks = begun, 0
                elif lane.busy:
                    quiet_looks = 0
                    self._depose(lane)

    def _depose(self, lane: Watched) -> None:
        try:
            thread_id = lane.take_over()
            if thread_id is not None:
                self._on_overrun(thread_id)
        except Exception:
            _log.exception("%s could not be given to another thread", lane.name)

    def _sleep(self, lanes: Sequence[Watched], seen: Sequence[int]) -> None:
        """Sleep until a lane begins something.

        A lane begins first and looks at `is_asleep` then; this thread sets that first and looks at the lanes then. So
        one of the two sees the other.
        """
        self._woken.clear()
        self.is_asleep = True
        if [lane.begun for lane in lanes] == seen and not self._stopped:
            self._woken.wait()
        self.is_asleep = False
