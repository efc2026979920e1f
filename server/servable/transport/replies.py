"""What a method on a lane is given to answer with. Knows nothing of gRPC, so that other rooms may hold replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from servable.errors import ServingError


class Reply(Protocol):
    """The answer that a call waits for: `send` or `fail`, once, from any thread. Thread-safe."""

    def is_active(self) -> bool:
        """Whether somebody still waits: not answered, not cancelled, and the deadline has not passed."""

    def send(self, message: bytes) -> None:
        """Answer with the bytes of a reply; nothing happens if nobody waits any more."""

    def fail(self, error: ServingError) -> None:
        """Answer with an error; nothing happens if nobody waits any more."""


LaneMethod = Callable[[bytes, "float | None", Reply], None]
"""Answers the bytes of a request, given the seconds that are left (None: no bound).

Runs on the lane's thread, so all calls behind it wait. It replies before it returns, or keeps the reply for another
thread; what it raises is told to the caller.
"""


def inline(method: Callable[[bytes, float | None], bytes]) -> LaneMethod:
    """A method of the public path as one that answers on the lane's thread."""

    def answer(request: bytes, time_left_s: float | None, reply: Reply) -> None:
        reply.send(method(request, time_left_s))

    return answer
