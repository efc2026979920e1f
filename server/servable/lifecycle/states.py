"""The states of a version, numbered as in ModelVersionStatus, and what is known of one."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from servable.errors import ServingError


class State(enum.IntEnum):
    """Where a version is in its life (TensorFlow Serving: core/servable_state.h)."""

    START = 10
    """Aspired, not yet picked for loading."""
    LOADING = 20
    AVAILABLE = 30
    """In the serving map."""
    UNLOADING = 40
    """Gone for new requests, waiting for those in flight."""
    END = 50
    """Unloaded, or failed if there is an error."""


@dataclass(frozen=True, slots=True)
class ServableId:
    """A model's name and a version's number."""

    name: str
    version: int

    def __str__(self) -> str:
        # As the original prints one in its texts.
        return f"{{name: {self.name} version: {self.version}}}"


@dataclass(frozen=True, slots=True)
class VersionState:
    """The last that was heard of a version, with the error if it failed."""

    state: State
    error: ServingError | None = None
