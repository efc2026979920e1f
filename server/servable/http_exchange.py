"""What an HTTP request and its reply are, for the transport, which carries them, and for those who answer.

Knows neither of them, and no HTTP library. A handler is a coroutine on the event loop of the HTTP thread, so it must
not block it: what takes long is awaited from another thread (`call` for a method, `asyncio.to_thread` for the rest).
"""

from __future__ import annotations

import asyncio
import http
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

from servable.calls import NO_CONTEXT, CallContext, LocalContext
from servable.errors import Code, ServingError, Unauthenticated
from servable.methods import LaneMethodOf

MessageT = TypeVar("MessageT")

JSON = "application/json"
HTML = "text/html"
CLOSE = (b"connection", b"close")
"""The header after whose reply the connection is closed."""

HTTP_STATUS: Final[Mapping[Code, int]] = MappingProxyType(
    {
        Code.OK: 200,
        Code.CANCELLED: 499,
        Code.UNKNOWN: 500,
        Code.INVALID_ARGUMENT: 400,
        Code.DEADLINE_EXCEEDED: 504,
        Code.NOT_FOUND: 404,
        Code.ALREADY_EXISTS: 409,
        Code.PERMISSION_DENIED: 403,
        Code.RESOURCE_EXHAUSTED: 429,
        Code.FAILED_PRECONDITION: 400,
        Code.ABORTED: 409,
        Code.OUT_OF_RANGE: 400,
        Code.UNIMPLEMENTED: 501,
        Code.INTERNAL: 500,
        Code.UNAVAILABLE: 503,
        Code.DATA_LOSS: 500,
        Code.UNAUTHENTICATED: 401,
    }
)
"""The status of an error's code (TensorFlow Serving: model_servers/http_rest_api_util.cc)."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request, its body read and decoded (see transport.http).

    Attributes:
        verb: As sent (`GET`).
        target: Path, query and fragment as sent: not decoded, one character a byte.
        body: The whole body; decompressed if it was sent with gzip.
        headers: Names in lower case, and values, in the order in which they were sent.
        peer: The address of the client in gRPC's syntax; empty if it is not known.
        identities: The names in the client's verified certificate; see calls.CallContext.
    """

    verb: str
    target: str
    body: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = ()
    peer: str = ""
    identities: Sequence[str] = ()

    @property
    def path(self) -> str:
        """The target without query and fragment."""
        return self.target.partition("?")[0].partition("#")[0]

    @property
    def context(self) -> CallContext:
        """Who calls."""
        return LocalContext(
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.headers],
            self.peer,
            self.identities,
        )

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, given in lower case."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(slots=True)
class HttpReply:
    """One reply.

    Attributes:
        body: All of it, or its parts as they come, for a stream without an end of its own.
        content_type: None sends no such header.
        headers: More headers, sent after the content type.
    """

    status: int
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str | None = JSON
    headers: Sequence[tuple[bytes, bytes]] = field(default_factory=tuple)


HttpHandler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpReply]]
"""Answers a request. What it raises is a fault of ours: the transport logs it and answers 500 without details.

It is cancelled when its client goes away.
"""


def html_error(status: int) -> HttpReply:
    """The page for what reaches no API, after which the connection is closed (libevent: http.c)."""
    phrase = http.HTTPStatus(status).phrase
    page = f"<HTML><HEAD>\n<TITLE>{status} {phrase}</TITLE>\n</HEAD><BODY>\n<H1>{phrase}</H1>\n</BODY></HTML>\n"
    return HttpReply(status, page.encode(), HTML, (CLOSE,))


def json_error(status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> HttpReply:
    """An error in the form of the REST API, of a text of our own."""
    return HttpReply(status, json.dumps({"error": message}, indent=4).encode(), JSON, headers)


def error_headers(error: ServingError) -> Sequence[tuple[bytes, bytes]]:
    """What an error says in headers, beside its text."""
    if isinstance(error, Unauthenticated):
        return [(b"www-authenticate", error.challenge.encode())]
    # In whole seconds (RFC 9110, 10.2.3), and 0 would invite to try at once.
    return [] if error.retry_after_s is None else [(b"retry-after", b"%d" % max(math.ceil(error.retry_after_s), 1))]


async def call(
    method: LaneMethodOf[MessageT], message: MessageT, time_left_s: float | None, context: CallContext = NO_CONTEXT
) -> bytes:
    """Call a method for lanes from the event loop, which runs no model itself.

    Args:
        method: The method.
        message: What it takes.
        time_left_s: Seconds until the answer is of no use; None for no bound.
        context: Who calls.

    Raises:
        ServingError: if that is the answer.
    """
    reply = _LoopReply(asyncio.get_running_loop(), context)
    deferred_run = method(message, time_left_s, reply)
    if deferred_run is not None:
        deferred_run.hand_over()
    try:
        return await reply.answer
    finally:
        # The traceback of an error refers to this frame, so the frame must not refer to the error, nor to the message.
        del reply, message


class _LoopReply:
    """A methods.Reply that a coroutine awaits. Cancelling the coroutine ends the call."""

    tracker = None

    def __init__(self, loop: asyncio.AbstractEventLoop, context: CallContext) -> None:
        self._loop, self.context = loop, context
        self.answer: asyncio.Future[bytes] = loop.create_future()

    def is_active(self) -> bool:
        return not self.answer.done()

    def may_run_here(self) -> bool:
        # All other requests of the thread would wait, and no other thread can take the loop over, as one can a lane.
        return False

    def other_calls_waiting(self) -> bool:
        return True

    def send(self, message: bytes) -> None:
        self._post(lambda: self.answer.set_result(message))

    def fail(self, error: ServingError) -> None:
        self._post(lambda: self.answer.set_exception(error))

    def _post(self, settle: Callable[[], None]) -> None:
        def settle_once() -> None:
            if not self.answer.done():
                settle()

        try:
            self._loop.call_soon_threadsafe(settle_once)
        except RuntimeError:
            # The loop has been closed: the server stops, and nobody waits any more.
            return
