"""What a method on a lane is given to answer with. Knows nothing of gRPC, so that other rooms may hold replies."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Protocol

from servable.errors import Internal, ServingError

_log = logging.getLogger(__name__)


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


Method = Callable[[bytes, "float | None"], bytes]
"""Answers the bytes of a request, given the seconds that are left (None: no bound), or raises a ServingError."""


def inline(method: Method) -> LaneMethod:
    """A method that answers on the lane's thread."""

    def answer(request: bytes, time_left_s: float | None, reply: Reply) -> None:
        reply.send(method(request, time_left_s))

    return answer


def pooled(method: Method, pool: Executor) -> LaneMethod:
    """A method that answers on a pool's threads, if somebody still waits once it is its turn."""

    def answer(request: bytes, ends_at: float | None, reply: Reply) -> None:
        if reply.is_active():
            try:
                reply.send(method(request, None if ends_at is None else max(ends_at - time.monotonic(), 0)))
            except Exception as error:
                tell(reply, error, method)

    def hand_over(request: bytes, time_left_s: float | None, reply: Reply) -> None:
        pool.submit(answer, request, None if time_left_s is None else time.monotonic() + time_left_s, reply)

    return hand_over


def tell(reply: Reply, error: Exception, method: object) -> None:
    """Answer with what a method raised: a ServingError as it is, anything else as a fault of ours, in the log."""
    if isinstance(error, ServingError):
        reply.fail(error)
    else:
        _log.error("%s failed in an unforeseen way", method, exc_info=error)
        reply.fail(Internal("Internal error"))
