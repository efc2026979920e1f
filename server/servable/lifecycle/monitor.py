"""The last state of every version that this process has ever seen.

Nothing is forgotten: an unloaded version keeps standing here as ended (TensorFlow Serving:
core/servable_state_monitor.cc).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from servable.lifecycle.states import ServableId, State, VersionState

Listener = Callable[[ServableId, VersionState], None]


class StateMonitor:
    """Thread-safe. Listeners are called on the thread that publishes, after the state can be read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[str, dict[int, VersionState]] = {}
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call this with every state that is published from now on.

        Returns:
            What ends that; it may be called once.
        """
        with self._lock:
            self._listeners.append(listener)
        return lambda: self._forget(listener)

    def publish(self, servable: ServableId, state: VersionState) -> None:
        """Set the state of a version and tell the listeners."""
        with self._lock:
            self._states.setdefault(servable.name, {})[servable.version] = state
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener(servable, state)

    def versions(self, name: str) -> Mapping[int, VersionState]:
        """The states of a model's versions, by descending number; empty if none was ever seen."""
        with self._lock:
            states = self._states.get(name, {})
            return {version: states[version] for version in sorted(states, reverse=True)}

    def names(self) -> list[str]:
        """The models of which a version was ever seen."""
        with self._lock:
            return list(self._states)

    def is_available(self, name: str) -> bool:
        """Whether some version of a model serves."""
        return any(known.state is State.AVAILABLE for known in self.versions(name).values())

    def _forget(self, listener: Listener) -> None:
        with self._lock:
            self._listeners.remove(listener)
