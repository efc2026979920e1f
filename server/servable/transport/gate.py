"""What may refuse calls as they arrive, before anything is spent on them."""

from __future__ import annotations

from typing import Protocol

from servable.calls import CallContext
from servable.errors import ServingError


class Gate(Protocol):
    """Refuses calls as they arrive. Called on a lane, so it is quick; it raises nothing."""

    def __call__(self, path: str, context: CallContext, calls_in_flight: int, /) -> ServingError | None:
        """The answer of a call that is refused; None if it may go on.

        Args:
            path: The full path of the method.
            context: Who calls.
            calls_in_flight: How many calls have arrived and not ended, with this one.
        """
