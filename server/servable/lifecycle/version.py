"""One version's life as a state machine. Pure: no thread, no clock, no I/O.

    QUEUED ──load──> LOADING ──loaded──> READY ──drain──> DRAINING ──released──> UNLOADING ──unloaded──> ENDED
      │ ^              │ │ │                                                       ^
      │ └─retry─ WAITING<┘ │ └──────────────────late: nobody wants it any more─────┘
      └──cancel──> ENDED <─┴─give up

Source of the behaviour: TensorFlow Serving, core/loader_harness.cc and basic_manager.cc.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from servable.errors import ServingError
from servable.lifecycle.states import ServableId, State, VersionState
from servable.routing import Servable


class Phase(enum.Enum):
    """Where a version is, more finely than what is published of it."""

    QUEUED = "queued"
    """Waits for its turn to load."""
    LOADING = "loading"
    WAITING = "waiting"
    """An attempt failed; the next comes when its time has come."""
    READY = "ready"
    """In the routes."""
    DRAINING = "draining"
    """Out of the routes; calls in flight still hold it."""
    UNLOADING = "unloading"
    """Nobody holds it; its memory is being given back."""
    ENDED = "ended"


class Event(enum.Enum):
    """What happens to a version."""

    LOAD = "load"
    LOADED = "loaded"
    LOADED_LATE = "loaded late"
    """Loaded, when nobody wanted it any more."""
    FAILED = "failed"
    GIVEN_UP = "given up"
    """Failed for the last time."""
    RETRY = "retry"
    CANCEL = "cancel"
    """Nobody wants it any more, and it is not loaded."""
    DRAIN = "drain"
    RELEASED = "released"
    """The last call in flight is over."""
    UNLOADED = "unloaded"


TRANSITIONS: Final[Mapping[tuple[Phase, Event], Phase]] = {
    (Phase.QUEUED, Event.LOAD): Phase.LOADING,
    (Phase.QUEUED, Event.CANCEL): Phase.ENDED,
    (Phase.LOADING, Event.LOADED): Phase.READY,
    (Phase.LOADING, Event.LOADED_LATE): Phase.UNLOADING,
    (Phase.LOADING, Event.FAILED): Phase.WAITING,
    (Phase.LOADING, Event.GIVEN_UP): Phase.ENDED,
    (Phase.WAITING, Event.RETRY): Phase.QUEUED,
    (Phase.WAITING, Event.CANCEL): Phase.ENDED,
    (Phase.READY, Event.DRAIN): Phase.DRAINING,
    (Phase.DRAINING, Event.RELEASED): Phase.UNLOADING,
    (Phase.UNLOADING, Event.UNLOADED): Phase.ENDED,
}

_PUBLISHED: Final[Mapping[Phase, State]] = {
    Phase.LOADING: State.LOADING,
    Phase.WAITING: State.LOADING,
    Phase.READY: State.AVAILABLE,
    Phase.DRAINING: State.UNLOADING,
    Phase.UNLOADING: State.UNLOADING,
    Phase.ENDED: State.END,
}


class IllegalTransitionError(Exception):
    """An event that cannot happen in a phase: a fault of ours."""


@dataclass(slots=True, eq=False)
class Version:
    """One version from the moment it is aspired to its end. Not thread-safe.

    A version that comes back after its end is another Version.

    Attributes:
        servable_id: Name and number.
        path: Where it lies.
        is_aspired: Whether it should be served now.
        phase: Where it is.
        attempts: How many loads were begun.
        error: Why the last load failed, or why it ended.
        servable: What was loaded, until it is unloaded.
    """

    servable_id: ServableId
    path: Path
    is_aspired: bool = True
    phase: Phase = field(default=Phase.QUEUED, init=False)
    attempts: int = field(default=0, init=False)
    error: ServingError | None = field(default=None, init=False)
    servable: Servable | None = field(default=None, init=False)

    @property
    def number(self) -> int:
        """The version's number."""
        return self.servable_id.version

    @property
    def state(self) -> VersionState:
        """What is to be published of it; a version between two attempts is loading."""
        if self.phase is Phase.QUEUED:
            return VersionState(State.LOADING if self.attempts else State.START, self.error)
        return VersionState(_PUBLISHED[self.phase], self.error)

    def move(self, event: Event) -> None:
        """Enter the phase that an event leads to.

        Raises:
            IllegalTransitionError: if it cannot happen now. Nothing has changed then.
        """
        phase = TRANSITIONS.get((self.phase, event))
        if phase is None:
            raise IllegalTransitionError(f"{self.servable_id} is {self.phase.value}: it cannot be {event.value}")
        self.phase = phase
