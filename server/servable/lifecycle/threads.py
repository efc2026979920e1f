"""The threads of a manager: one that steps it, and those on which loads and unloads run.

They are daemons: a load may hang in a file system, and must not keep the process from ending.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

from servable.errors import ResourceExhausted
from servable.lifecycle.states import ServableId
from servable.loops import LONGEST_STOP_S, Loop, stop_all


class ThreadWorkers:
    """A thread for each load (the manager limits their number), and a fixed number for unloads. Thread-safe."""

    def __init__(self, manager_loop: Loop, unload_threads: int) -> None:
        """Make the threads; they start with `start`.

        Args:
            manager_loop: Runs what is posted to the manager.
            unload_threads: How many unloads run at the same time; less than 1 counts as 1.
        """
        self.post = manager_loop.post
        self._unloaders = [Loop(f"unload {number}") for number in range(max(unload_threads, 1))]
        self._next_unloader = itertools.cycle(self._unloaders)

    def start(self) -> None:
        """Start the threads that wait for unloads."""
        for unloader in self._unloaders:
            unloader.start()

    def load(self, servable: ServableId, job: Callable[[], None]) -> None:
        """See Workers."""
        try:
            threading.Thread(target=job, name=f"load {servable.name}:{servable.version}", daemon=True).start()
        except RuntimeError as error:
            raise ResourceExhausted(f"The system has no thread for the load: {error}") from None

    def unload(self, job: Callable[[], None]) -> None:
        """See Workers."""
        next(self._next_unloader).post(job)

    def stop(self, longest_wait_s: float = LONGEST_STOP_S) -> None:
        """End the threads that wait for unloads; loads under way end by themselves."""
        stop_all(self._unloaders, longest_wait_s)
