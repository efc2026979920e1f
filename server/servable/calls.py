"""Who calls, and what is known of a call: for those who decide about calls, and for those who tell of them afterwards.

The transport makes a `CallContext` for each call. `call_policy` makes a `CallRecord` for the calls that something
follows; what happens to such a call is written into its record, and `Follower`s get the record after the reply has been
sent. This module knows neither gRPC nor HTTP nor models.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Protocol

from servable.errors import Code


class Action(enum.Enum):
    """What a call does, for rules about who may do what."""

    PREDICT = "predict"
    METADATA = "metadata"
    STATUS = "status"
    RELOAD = "reload"
    PROFILE = "profile"
    METRICS = "metrics"
    CONSOLE = "console"


class CallContext(Protocol):
    """One call as the transport sees it. Thread-safe; quick, but nothing is worked out before it is asked for."""

    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """Metadata of gRPC, or headers of HTTP: lower-case names, values as sent (bytes where a name ends in -bin)."""

    def peer(self) -> str:
        """The address of the other side in gRPC's syntax: `ipv4:127.0.0.1:52100`, `unix:`; empty if not known."""

    def identities(self) -> Sequence[str]:
        """The names in the peer's verified certificate.

        `spiffe://...` and other URIs as they are, then DNS names, then the common name; empty without a certificate.
        """


class EndableContext(CallContext, Protocol):
    """The context of a call that may wait for minutes, and can learn that nobody waits for its answer."""

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call back when the call is over, answered or not; at once if it is over already."""


class LocalContext:
    """The context of a call within the process, and of tests."""

    def __init__(
        self,
        metadata: Sequence[tuple[str, str | bytes]] = (),
        peer: str = "",
        identities: Sequence[str] = (),
    ) -> None:
        """Say who calls; see CallContext."""
        self._metadata, self._peer, self._identities = metadata, peer, identities

    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        """See CallContext."""
        return self._metadata

    def peer(self) -> str:
        """See CallContext."""
        return self._peer

    def identities(self) -> Sequence[str]:
        """See CallContext."""
        return self._identities

    def on_end(self, _callback: Callable[[], None], /) -> None:
        """The call never ends early."""


NO_CONTEXT: Final = LocalContext()


def find_metadata(context: CallContext, name: str) -> str | None:
    """The first value under a name (in lower case) that is a text; None if there is none."""
    for key, value in context.metadata():
        if key == name and isinstance(value, str):
            return value
    return None


@dataclass(frozen=True, slots=True)
class MethodInfo:
    """What is the same for all calls of a method.

    Attributes:
        api: `Predict`, `GetModelStatus`, `ModelInfer`.
        entrypoint: `GRPC` or `REST`.
        action: What its calls do; None if that is open to everyone.
        path: Its full name over gRPC (`/tensorflow.serving.PredictionService/Predict`), or what is served over HTTP.
    """

    api: str
    entrypoint: str
    action: Action | None
    path: str


@dataclass(slots=True, eq=False)
class BatchRecord:
    """One run of several requests, of which at least one is followed.

    Attributes:
        began_s: When the run began (time.monotonic).
        ended_s: When it ended.
        rows: The rows of all members.
        members: How many requests there are in it.
    """

    began_s: float
    ended_s: float
    rows: int
    members: int


@dataclass(slots=True, eq=False)
class CallRecord:
    """What is known of one call. Written by one thread at a time, complete when followers get it.

    Times are those of time.monotonic, and 0 if the call did not come so far.

    Attributes:
        method: What was called.
        context: Who calls. Followers read it before they return, and do not keep it.
        began_s: When the message had arrived.
        began_ns: The same as nanoseconds since 1970 (time.time_ns).
        request_bytes: The size of the message as it was answered (decompressed).
        request: The message: bytes over gRPC, otherwise what the API takes. None once followers have been told.
        model: The name of the model; empty if the request does not name one, or was not understood.
        version: The version that ran; 0 if none did.
        signature: The key of the signature that ran; empty if none or several did.
        dispatched_s: When its run was dispatched.
        run_began_s: When its run, or that of its batch, began.
        run_ended_s: When that ended.
        batch: The run that it shared; None if it ran alone.
        ended_s: When the reply had been given to the transport.
        code: How it ended.
        message: The text of the error; empty for OK. It may quote what the caller sent: never for logs.
        reply: The bytes of the reply; None if it failed, and once followers have been told.
        reply_bytes: Their number.
        traceparent: The W3C trace context of the server's span, if the call's trace is recorded: the caller's trace id,
            or a new one, with an id of its own. None if it is not recorded.
        principal: The name of who calls, if authorization has found it.
    """

    method: MethodInfo
    context: CallContext
    began_s: float
    began_ns: int
    request_bytes: int
    request: Any = None
    model: str = ""
    version: int = 0
    signature: str = ""
    dispatched_s: float = 0.0
    run_began_s: float = 0.0
    run_ended_s: float = 0.0
    batch: BatchRecord | None = None
    ended_s: float = 0.0
    code: Code = Code.OK
    message: str = ""
    reply: bytes | None = None
    reply_bytes: int = 0
    traceparent: str | None = None
    principal: str = ""


class Follower(Protocol):
    """Is told of calls after their replies. Thread-safe; raises nothing.

    Called on threads that answer calls, so whatever takes time goes to a bounded queue, which drops and counts.
    """

    def wants(self, context: CallContext) -> bool:
        """Whether to be told of this call, or of any like it. Called for each call as it begins: 0.1 us is a lot."""

    def begin(self, record: CallRecord) -> None:
        """See a call that is followed, before it is answered (a tracer sets `traceparent`)."""

    def note_parsed(self, record: CallRecord, request: Any) -> None:
        """See a request that has been parsed (`requests.Request`): the last moment to read its arrays."""

    def take(self, record: CallRecord) -> None:
        """See a call that has been answered. The record is not kept: what is needed of it is taken out."""


class Guard(Protocol):
    """What stands before the methods that no request's way leads through: status, metadata, management, pages."""

    def follow(
        self, method: MethodInfo, context: CallContext, request_bytes: int, model: str | None = None
    ) -> AbstractContextManager[None]:
        """Enter before the method is called, leave with its answer or with what it raised.

        Args:
            method: What is called.
            context: Who calls.
            request_bytes: The size of the message.
            model: The model that it is about; None if that is not known, or if there is none.

        Raises:
            ServingError: on entry, if the call is refused.
        """


class _Open:
    """Refuses nothing and tells nobody."""

    def follow(
        self, _method: MethodInfo, _context: CallContext, _request_bytes: int, _model: str | None = None, /
    ) -> AbstractContextManager[None]:
        return nullcontext()


NO_GUARD: Final[Guard] = _Open()
