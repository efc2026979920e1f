"""Which version of a model loads or unloads next. Pure, and without a memory.

Source of the behaviour: TensorFlow Serving, core/availability_preserving_policy.cc.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from servable.lifecycle.version import Phase, Version


class Change(enum.Enum):
    """What to do with a version."""

    LOAD = "load"
    UNLOAD = "unload"


@dataclass(frozen=True, slots=True)
class Action:
    """The next thing to do."""

    change: Change
    version: Version


def next_action(versions: Sequence[Version]) -> Action | None:
    """The next action for the versions of one model, such that some version serves whenever one can.

    A version that is no longer aspired unloads only if nothing is aspired, or something aspired is ready, or another
    one of its kind is ready too: what serves goes when its successor has come. The lowest of them goes first. Then
    the highest that is aspired and queued loads.

    Returns:
        The action; None if there is nothing to do until something happens.
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
