"""One version's life as a state machine, and which version of a model loads or unloads next. No thread, clock or I/O.

    QUEUED ──load──> LOADING ──loaded──> READY ──drain──> DRAINING ──released──> UNLOADING ──unloaded──> ENDED
      │ ^              │ │ │                                                       ^
      │ └─retry─ WAITING<┘ │ └──────────loaded late: it is not aspired any more────┘
      └──cancel──> ENDED <─┴─given up

Source of the behaviour: TensorFlow Serving, core/loader_harness.cc and basic_manager.cc; for `next_action`
core/availability_preserving_policy.cc.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from servable.errors import ServingError
from servable.servables import Servable


class State(enum.IntEnum):
    """The published state of a version, numbered as in ModelVersionStatus (TensorFlow Serving: servable_state.h)."""

    START = 10
    """Aspired, not yet picked for loading."""
    LOADING = 20
    AVAILABLE = 30
    """In the routes."""
    UNLOADING = 40
    """Out of the routes for new requests, while those in flight still hold it."""
    END = 50
    """Unloaded, or failed if there is an error."""


@dataclass(frozen=True, slots=True)
class ServableId:
    """A model's name and a version's number."""

    name: str
    version: int

    def __str__(self) -> str:
        # As in the texts of the original.
        return f"{{name: {self.name} version: {self.version}}}"


_being_loaded: ContextVar[ServableId | None] = ContextVar("being_loaded", default=None)


def version_being_loaded() -> ServableId | None:
    """The version that this thread is loading, so that what a loader logs can name it; None outside of loads."""
    return _being_loaded.get()


@contextmanager
def load_of(servable: ServableId) -> Iterator[None]:
    """The time in which this thread loads a version."""
    token = _being_loaded.set(servable)
    try:
        yield
    finally:
        _being_loaded.reset(token)


@dataclass(frozen=True, slots=True)
class VersionState:
    """The state that was last published of a version, with the error if it failed."""

    state: State
    error: ServingError | None = None


class Phase(enum.Enum):
    """The phase of a version; several phases are published as one State."""

    QUEUED = "queued"
    """Waits for its turn to load."""
    LOADING = "loading"
    WAITING = "waiting"
    """A load failed; it is tried again after the retry interval."""
    READY = "ready"
    """In the routes."""
    DRAINING = "draining"
    """Out of the routes; calls in flight still hold it."""
    UNLOADING = "unloading"
    """No call holds it; its memory is being freed."""
    ENDED = "ended"


class Event(enum.Enum):
    """What happens to a version."""

    LOAD = "load"
    LOADED = "loaded"
    LOADED_LATE = "loaded late"
    """Loaded, but not aspired any more."""
    FAILED = "failed"
    GIVEN_UP = "given up"
    """Failed for the last time."""
    RETRY = "retry"
    CANCEL = "cancel"
    """Not aspired any more, and not loaded."""
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
    """An event that cannot happen in a phase: a bug of the manager."""


@dataclass(slots=True, eq=False)
class Version:
    """One version from the moment it is aspired to its end. Not thread-safe.

    A version that is aspired again after its end is another Version.

    Attributes:
        servable_id: Name and number.
        path: Its directory.
        is_aspired: Whether it should be served now.
        phase: The phase of its life.
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
        """The state to publish; a version between two attempts is loading."""
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


class Change(enum.Enum):
    """What to do with a version."""

    LOAD = "load"
    UNLOAD = "unload"


@dataclass(frozen=True, slots=True)
class Action:
    """What to do with which version."""

    change: Change
    version: Version


def next_action(versions: Sequence[Version]) -> Action | None:
    """The next action for the versions of one model, such that some version serves whenever one can.

    A ready version that is no longer aspired unloads only if no version is aspired, or an aspired one is ready, or
    another such version is ready too; of several the lowest unloads first. If none may unload, the highest version that
    is aspired and queued loads.

    Returns:
        The action; None if there is nothing to do before the next event.
    """
    leaving = [version for version in versions if version.phase is Phase.READY and not version.is_aspired]
    aspired = [version for version in versions if version.is_aspired]
    may_leave = not aspired or len(leaving) > 1 or any(version.phase is Phase.READY for version in aspired)
    if leaving and may_leave:
        return Action(Change.UNLOAD, min(leaving, key=_number))
    queued = [version for version in aspired if version.phase is Phase.QUEUED]
    return Action(Change.LOAD, max(queued, key=_number)) if queued else None


def _number(version: Version) -> int:
    return version.number
