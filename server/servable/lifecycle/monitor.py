"""The last state of every version that this process has ever had, and waiting for models to load.

Versions are never dropped: one that was unloaded stays in the monitor as ended (TensorFlow Serving:
core/servable_state_monitor.cc).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from servable.lifecycle.version import ServableId, State, VersionState

Listener = Callable[[ServableId, VersionState], None]


class StateMonitor:
    """The states of all versions. Thread-safe. The thread that publishes a state sets it, then calls the listeners."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, dict[int, VersionState]] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call a listener with every state that is published from now on.

        Returns:
            A function that removes the listener; it may be called once.
        """
        with self._lock:
            self._listeners.append(listener)
        return lambda: self._remove(listener)

    def publish(self, servable: ServableId, state: VersionState) -> None:
        """Set the state of a version and call the listeners."""
        with self._lock:
            self._states.setdefault(servable.name, {})[servable.version] = state
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(servable, state)

    def versions(self, name: str) -> Mapping[int, VersionState]:
        """The states of a model's versions, by descending number; empty if it never had one."""
        with self._lock:
            states = self._states.get(name, {})
            return {version: states[version] for version in sorted(states, reverse=True)}

    def names(self) -> list[str]:
        """The models that ever had a version."""
        with self._lock:
            return list(self._states)

    def is_available(self, name: str) -> bool:
        """Whether some version of a model serves."""
        return any(known.state is State.AVAILABLE for known in self.versions(name).values())

    def _remove(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)


class LoadProgress:
    """What became of some models since it was made; states that were published before do not count. Thread-safe.

    Attributes:
        states: The versions' states since then.
        stop: Ends the listening; to be called once.
    """

    def __init__(self, monitor: StateMonitor, names: Iterable[str]) -> None:
        """Follow these models until `stop`."""
        self.states = StateMonitor()
        self._changed = threading.Condition()
        # The models without a version yet that is available or has ended; those of which no load has ended yet; those
        # whose versions have not all ended; those with a version that is available, or was.
        self._pending = set(names)
        self._not_attempted = set(self._pending)
        self._may_still_load = set(self._pending)
        self._available: set[str] = set()
        self.stop = monitor.listen(self._on_state)

    def wait_until_settled(self, timeout_s: float | None) -> bool:
        """Wait until each model has a version that is available or has ended.

        Returns:
            False if the time was over first. None is no limit.
        """
        return self._wait_for(lambda: not self._pending, timeout_s)

    def wait_until_one_available(self, timeout_s: float | None) -> bool:
        """Wait until one model is available, or until all versions have ended.

        Returns:
            False if the time was over first. None is no limit.
        """
        return self._wait_for(lambda: bool(self._available) or not self._may_still_load, timeout_s)

    def wait_until_all_attempted(self, timeout_s: float | None) -> bool:
        """Wait until each model was tried once and one of them is available, or until all versions have ended.

        A model that failed and will be tried again is not waited for, as long as another one is available.

        Returns:
            False if the time was over first. None is no limit.
        """
        return self._wait_for(lambda: not (self._not_attempted if self._available else self._may_still_load), timeout_s)

    def stop_waiting_for(self, names: Iterable[str]) -> None:
        """Take these models out of all that is waited for."""
        with self._changed:
            self._pending.difference_update(names)
            self._not_attempted.difference_update(names)
            self._may_still_load.difference_update(names)
            self._changed.notify_all()

    def pending(self) -> set[str]:
        """The models that have no version yet that is available or has ended."""
        with self._changed:
            return set(self._pending)

    def is_available(self, name: str) -> bool:
        """Whether a model is available: its highest version that is available or has ended decides.

        Source: TensorFlow Serving, core/servable_state_monitor.cc (WaitUntilServablesReachState).
        """
        versions = self.states.versions(name).values()
        deciding = next((known for known in versions if known.state in (State.AVAILABLE, State.END)), None)
        return deciding is not None and deciding.state is State.AVAILABLE

    def _on_state(self, servable: ServableId, known: VersionState) -> None:
        # A version that was published before these models were followed may still be ending.
        if known.state in (State.UNLOADING, State.END) and servable.version not in self.states.versions(servable.name):
            return
        self.states.publish(servable, known)
        has_settled = known.state in (State.AVAILABLE, State.END)
        have_all_ended = known.state is State.END and all(
            other.state is State.END for other in self.states.versions(servable.name).values()
        )
        with self._changed:
            if has_settled or known.error is not None:
                self._not_attempted.discard(servable.name)
            if has_settled:
                self._pending.discard(servable.name)
            if have_all_ended:
                self._may_still_load.discard(servable.name)
            if known.state is State.AVAILABLE:
                self._available.add(servable.name)
            self._changed.notify_all()

    def _wait_for(self, condition: Callable[[], bool], timeout_s: float | None) -> bool:
        limit_s = None if timeout_s is None else min(timeout_s, threading.TIMEOUT_MAX)
        with self._changed:
            return self._changed.wait_for(condition, limit_s)
