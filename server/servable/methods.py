"""What a method is, to whoever calls it and to whoever provides it. Knows nothing of gRPC nor of any API."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from servable.errors import Internal, ServingError

_log = logging.getLogger(__name__)


Method = Callable[[bytes, "float | None"], bytes]
"""Answers the bytes of a request, given the seconds that are left (None: no bound), or raises a ServingError."""

OnGone = Callable[[Callable[[], None]], None]
"""Takes what is to be called when the call is over; at once if it is over already."""

WaitingMethod = Callable[[bytes, "float | None", OnGone], bytes]
"""As Method, but it may wait for minutes, and is told when nobody waits for its answer any more."""


class Reply(Protocol):
    """The answer that a call waits for: `send` or `fail`, once, from any thread. Thread-safe."""

    def is_active(self) -> bool:
        """Whether somebody still waits: not answered, not cancelled, and the deadline has not passed."""

    def holds_up_others(self) -> bool:
        """Whether others wait for the thread that the method was called on, or soon may."""

    def send(self, message: bytes) -> None:
        """Answer with the bytes of a reply; nothing happens if nobody waits any more."""

    def fail(self, error: ServingError) -> None:
        """Answer with an error; nothing happens if nobody waits any more."""


LaneMethod = Callable[[bytes, "float | None", Reply], None]
"""Answers the bytes of a request, given the seconds that are left (None: no bound).

Runs on the lane's thread, so all calls behind it wait. It replies before it returns, or keeps the reply for another
thread; what it raises is told to the caller.
"""


def inline(method: Method) -> LaneMethod:
    """A method that answers on the lane's thread."""

    def answer(request: bytes, time_left_s: float | None, reply: Reply) -> None:
        reply.send(method(request, time_left_s))

    return answer


def tell(reply: Reply, error: Exception, method: object) -> None:
    """Answer with what a method raised: a ServingError as it is, anything else as a fault of ours, in the log."""
    if isinstance(error, ServingError):
        reply.fail(error)
    else:
        _log.error("%s failed in an unforeseen way", method, exc_info=error)
        reply.fail(Internal("Internal error"))
