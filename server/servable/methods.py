"""What a method is, for the transport, which calls it, and for the APIs, which provide it. Knows neither of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from servable.calls import NO_CONTEXT, CallContext, CallRecord, EndableContext
from servable.errors import HIDE_ERROR_TEXT, Internal, ServingError

_log = logging.getLogger(__name__)

MessageT = TypeVar("MessageT")


Answer = Callable[[bytes, "float | None"], bytes]
"""Answers the bytes of a request, given the seconds that are left (None: no bound), or raises a ServingError."""

Method = Callable[[bytes, "float | None", EndableContext], bytes]
"""As Answer, and it knows who calls, and whether somebody still waits."""


def without_context(answer: Answer) -> Method:
    """A method of what need not know who calls."""
    return lambda message, time_left_s, _context: answer(message, time_left_s)


class Reply(Protocol):
    """Takes the answer of one call: `send` or `fail`, once, from any thread. Thread-safe."""

    @property
    def context(self) -> CallContext:
        """Who calls. What it knows can be asked for after the call is over, too."""

    @property
    def tracker(self) -> Tracker | None:
        """Whom to tell that the request has been parsed, if somebody follows the call."""

    def is_active(self) -> bool:
        """Whether the call still waits for its answer: not answered, not cancelled, and within its deadline."""

    def may_run_here(self) -> bool:
        """Whether the thread that the method was called on may run a model at all."""

    def other_calls_waiting(self) -> bool:
        """Whether other calls wait for the thread that the method was called on, or soon may."""

    def send(self, message: bytes) -> None:
        """Answer with the bytes of a reply; does nothing if the call is over."""

    def fail(self, error: ServingError) -> None:
        """Answer with an error; does nothing if the call is over."""


class Tracker(Protocol):
    """Follows one call on its way.

    Attributes:
        record: What is known of the call; each step is written into it by who takes it.
    """

    record: CallRecord

    def note_parsed(self, request: Any) -> None:
        """See a request that has been parsed (a requests.Request), before anything is run.

        Raises:
            ServingError: if the caller may not have it run, or not now.
        """


@dataclass(frozen=True, slots=True)
class Gate:
    """What may refuse calls as they arrive on a lane, before anything is spent on them.

    Attributes:
        beyond_calls: Only calls beyond so many in flight are asked about; 0: each call is.
        refuse: The answer of a call that is refused, None if it may go on; given the full path of the method, who
            calls, and how many calls have arrived and not ended, with this one. Quick, and raises nothing.
    """

    beyond_calls: int
    refuse: Callable[[str, CallContext, int], ServingError | None]


class AwaitedReply:
    """A Reply that a thread waits for which has nothing else to do."""

    def __init__(self, context: CallContext = NO_CONTEXT) -> None:
        self.context, self.tracker = context, None
        self._arrived = threading.Event()
        self._message = b""
        self._error: ServingError | None = None

    def is_active(self) -> bool:
        """Always: such a thread does not see that its call was cancelled."""
        return True

    def may_run_here(self) -> bool:
        """Always."""
        return True

    def other_calls_waiting(self) -> bool:
        """Never."""
        return False

    def send(self, message: bytes) -> None:
        """See Reply."""
        self._message = message
        self._arrived.set()

    def fail(self, error: ServingError) -> None:
        """See Reply."""
        self._error = error
        self._arrived.set()

    def result(self) -> bytes:
        """Wait for the answer, which the scheduler guarantees to come.

        Raises:
            ServingError: if that is the answer.
        """
        self._arrived.wait()
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                # The error's traceback refers to this frame, so the frame must not refer to the error.
                del error
        return self._message


class DeferredRun(Hashable, Protocol):
    """A run that the methods of a lane gather calls for. Equal for all calls that share the run."""

    def is_full(self) -> bool:
        """Whether waiting for more calls gains nothing."""

    def run(self) -> None:
        """Run on the calling thread, or wake another thread for it. Raises nothing."""

    def hand_over(self) -> None:
        """Wake another thread for it. Raises nothing."""


LaneMethodOf = Callable[[MessageT, "float | None", Reply], "DeferredRun | None"]
"""Answers a request, given the seconds that are left (None: no bound).

Runs on the lane's thread, so all calls behind it wait. It answers the reply before it returns, or keeps the reply for
another thread, or returns a run that the lane does soon, when it has no other call. What it raises is the answer.
"""

LaneMethod = LaneMethodOf[bytes]
"""The same of a request as it arrives over gRPC: as bytes."""


def reply_with_error(reply: Reply, error: BaseException, method: object) -> None:
    """Answer with what a method raised: a ServingError as it is, anything else as Internal, with a log of it.

    Raises nothing. The error holds no version afterwards, however long it is kept.
    """
    if not isinstance(error, ServingError):
        _log.error("%s failed in an unforeseen way", method, exc_info=error, extra=HIDE_ERROR_TEXT)
        error = Internal("Internal error")
    try:
        # The frames of its traceback, and those of the errors that led to it, hold what the request held.
        error.__cause__ = error.__context__ = None
        reply.fail(error.with_traceback(None))
    except Exception:
        _log.exception("an error could not be sent", extra=HIDE_ERROR_TEXT)
