"""What each caller has of something that is limited, so that none takes all of it.

A caller's share follows from what is free (dynamic thresholds, as switches share a buffer among their ports; Choudhury
and Hahne, 1998): one more place is for a caller that has at most four times as many as then stay free, or none. So a
lone caller has up to four fifths of all places and two have four ninths each, and whoever has none finds one. Nothing
is known of who may come, and nothing is remembered of who has gone: there are never more names than calls in flight.
"""

from __future__ import annotations

from typing import Final

_TIMES_FREE: Final = 4


class Shares:
    """The places that callers have. Not thread-safe.

    Attributes:
        in_flight: How many places are taken.
    """

    __slots__ = ("_places", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self._places: dict[str, int] = {}

    def held_by(self, caller: str) -> int:
        """How many places a caller has."""
        return self._places.get(caller, 0)

    def may_take(self, caller: str, limit: int) -> bool:
        """Whether one of so many places, if one is free, is a caller's to take."""
        free = limit - self.in_flight - 1
        held = self.held_by(caller)
        return not held or free < 0 or held < _TIMES_FREE * free

    def take(self, caller: str | None) -> None:
        """Take a place; None: for a caller that nobody asks for."""
        self.in_flight += 1
        if caller is not None:
            self._places[caller] = self.held_by(caller) + 1

    def give_back(self, caller: str | None) -> None:
        """Give back a place that was taken."""
        self.in_flight -= 1
        if caller is None:
            return
        self._places[caller] -= 1
        if not self._places[caller]:
            del self._places[caller]
