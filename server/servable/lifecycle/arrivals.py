"""Waiting for models to arrive: who has loaded, who has failed, who is still on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.states import ServableId, State, VersionState


class Arrivals:
    """What became of some models since one moment; what was before does not count. Thread-safe.

    Attributes:
        states: The versions' states since then.
    """

    def __init__(self, monitor: StateMonitor, names: Iterable[str]) -> None:
        """Follow these models from now on, until `stop`."""
        self.states = StateMonitor()
        self._changed = threading.Condition()
        self._unsettled = set(names)
        self._untried = set(self._unsettled)
        self._hopeful = set(self._unsettled)
        self._available: set[str] = set()
        self.stop = monitor.listen(self._hear)

    def wait_until_settled(self, timeout_s: float | None) -> bool:
        """Wait until each model has a version that is available or has ended.

        Returns:
            False if the time was over first; None is no limit.
        """
        return self._wait_for(lambda: not self._unsettled, timeout_s)

    def wait_until_first(self, timeout_s: float | None) -> bool:
        """Wait until one model is available, or until all versions have ended.

        Returns:
            False if the time was over first; None is no limit.
        """
        return self._wait_for(lambda: bool(self._available) or not self._hopeful, timeout_s)

    def wait_until_any(self, timeout_s: float | None) -> bool:
        """Wait until each model was tried once and one of them is available, or until all versions have ended.

        A model that failed and will be tried again holds up nobody, as long as another one serves.

        Returns:
            False if the time was over first; None is no limit.
        """
        return self._wait_for(lambda: not (self._untried if self._available else self._hopeful), timeout_s)

    def give_up(self, names: Iterable[str]) -> None:
        """Wait for these no longer."""
        with self._changed:
            self._unsettled.difference_update(names)
            self._untried.difference_update(names)
            self._hopeful.difference_update(names)
            self._changed.notify_all()

    def unsettled(self) -> set[str]:
        """The models that have no version yet that is available or has ended."""
        with self._changed:
            return set(self._unsettled)

    def is_available(self, name: str) -> bool:
        """Whether a model arrived: its highest version that is available or has ended decides.

        Source: TensorFlow Serving, core/servable_state_monitor.cc (WaitUntilServablesReachState).
        """
        versions = self.states.versions(name).values()
        deciding = next((known for known in versions if known.state in (State.AVAILABLE, State.END)), None)
        return deciding is not None and deciding.state is State.AVAILABLE

    def _hear(self, servable: ServableId, known: VersionState) -> None:
        # A version of before may still be on its way out.
        if known.state in (State.UNLOADING, State.END) and servable.version not in self.states.versions(servable.name):
            return
        self.states.publish(servable, known)
        has_settled = known.state in (State.AVAILABLE, State.END)
        have_all_ended = known.state is State.END and all(
            other.state is State.END for other in self.states.versions(servable.name).values()
        )
        with self._changed:
            if has_settled or known.error is not None:
                self._untried.discard(servable.name)
            if has_settled:
                self._unsettled.discard(servable.name)
            if have_all_ended:
                self._hopeful.discard(servable.name)
            if known.state is State.AVAILABLE:
                self._available.add(servable.name)
            self._changed.notify_all()

    def _wait_for(self, condition: Callable[[], bool], timeout_s: float | None) -> bool:
        limit_s = None if timeout_s is None else min(timeout_s, threading.TIMEOUT_MAX)
        with self._changed:
            return self._changed.wait_for(condition, limit_s)
