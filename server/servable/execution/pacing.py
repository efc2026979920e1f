"""Long work in Python, with pauses in which whoever answers requests gets the interpreter."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_Item = TypeVar("_Item")

# Long enough for a waiting thread to wake up and take the interpreter; a pause of 0 is over before it does.
_PAUSE_S = 0.0001


def paced(items: Iterable[_Item], every: int) -> Iterator[_Item]:
    """The items, also those that are appended meanwhile, with a pause after each so many."""
    for count, item in enumerate(items, start=1):
        yield item
        if count % every == 0:
            time.sleep(_PAUSE_S)
