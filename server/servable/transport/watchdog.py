"""The watchdog: no method blocks a lane for more than 4 ms, however wrong the estimate of its run was.

Whether a run is short is an estimate, and the time of a run may depend on values that no estimate knows. So a thread
looks at the lanes every 2 ms. A lane that is in the same method at two looks gets a new thread, which leads it from
then on. The thread that led it answers its call, however long that takes, and ends. So a lane is blocked for two
periods at most, and for the time that the system takes to run the threads.

The watchdog sleeps while no method is called, and the next call on a lane wakes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

_log = logging.getLogger(__name__)

PERIOD_S: Final = 2e-3
"""The time between two looks at the lanes while these are called."""
# After so many looks at which no lane was in a method or had begun one, the watchdog sleeps.
_QUIET_LOOKS: Final = 25


class Watched(Protocol):
    """A lane as the watchdog sees it.

    Attributes:
        name: Its name in the log.
        begun: How many methods and deferred runs it has begun.
    """

    name: str
    begun: int

    @property
    def busy(self) -> bool:
        """Whether it is in a method or a deferred run now."""

    def take_over(self) -> int | None:
        """Give the lane to a new thread if it is in a method; the id of the deposed thread, None if there is none."""


class LaneWatchdog(Protocol):
    """A watchdog as lanes see it.

    Attributes:
        is_asleep: Whether a lane that begins a method must call `wake`.
    """

    is_asleep: bool

    def start(self, lanes: Sequence[Watched]) -> None:
        """Begin to watch lanes."""

    def stop(self) -> None:
        """Cease to watch."""

    def wake(self) -> None:
        """Called by a lane that begins a method while `is_asleep`."""


class Watchdog:
    """One thread for all lanes of a server. Start it once, stop it once.

    Attributes:
        is_asleep: Whether a lane that begins a method must call `wake`.
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
        """See LaneWatchdog."""
        self._thread = threading.Thread(target=self._watch, args=(lanes,), name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """See LaneWatchdog."""
        self._stopped = True
        self._woken.set()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        """See LaneWatchdog."""
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

        A lane's leader first counts in `begun`, then reads `is_asleep`. The watchdog's thread first sets `is_asleep`,
        then reads `begun`. So at least one of the two threads sees what the other has written.
        """
        self._woken.clear()
        self.is_asleep = True
        if [lane.begun for lane in lanes] == seen and not self._stopped:
            self._woken.wait()
        self.is_asleep = False
