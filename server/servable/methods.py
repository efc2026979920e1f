"""What a method is, to whoever calls it and to whoever provides it. Knows nothing of gRPC nor of any API."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
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

    def may_run_here(self) -> bool:
        """Whether the thread that the method was called on may run a model at all."""

    def other_calls_waiting(self) -> bool:
        """Whether others wait for the thread that the method was called on, or soon may."""

    def send(self, message: bytes) -> None:
        """Answer with the bytes of a reply; nothing happens if nobody waits any more."""

    def fail(self, error: ServingError) -> None:
        """Answer with an error; nothing happens if nobody waits any more."""


class DeferredRun(Hashable, Protocol):
    """Work that a lane's methods gathered, equal for all calls that share it."""

    def is_full(self) -> bool:
        """Whether nothing is gained by waiting for more calls."""

    def run(self) -> None:
        """Do it on the calling thread, or see that another one does. Raises nothing."""

    def hand_over(self) -> None:
        """See that another thread does it. Raises nothing."""


LaneMethod = Callable[[bytes, "float | None", Reply], "DeferredRun | None"]
"""Answers the bytes of a request, given the seconds that are left (None: no bound).

Runs on the lane's thread, so all calls behind it wait. It replies before it returns, or keeps the reply for another
thread, or returns what the lane is to run soon, when it has no other call; what it raises is told to the caller.
"""


def reply_with_error(reply: Reply, error: BaseException, method: object) -> None:
    """Answer with what a method raised: a ServingError as it is, anything else as a fault of ours, in the log.

    Raises nothing. No version is held through the error, whoever keeps that.
    """
    if not isinstance(error, ServingError):
        _log.error("%s failed in an unforeseen way", method, exc_info=error)
        error = Internal("Internal error")
    try:
        # Its frames, and those of what it came from, hold what the request held.
        error.__cause__ = error.__context__ = None
        reply.fail(error.with_traceback(None))
    except Exception:
        _log.exception("an error could not be sent")
