"""gRPC's core beneath a grpc.Server: the one module that uses grpcio's private API.

A lane requests calls from the core and starts operations on them; each operation ends as an event on the lane's
completion queue. The event's `tag` is the function that was given when the operation was started. `transport.lanes`
tries all of this once, on a server of its own, before anything relies on it. This module does not know what a call is
for.

Source: grpcio's own server (grpc/_server.py) over its Cython layer, 1.66 to 1.85.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import grpc
from grpc._cython import cygrpc

Event = Any
"""An event of a queue. `tag` is None if a poll found none; `success` is False for a requested call that never comes."""
Tag = Callable[[Event], None]

NOW = 0.0
"""The deadline of a poll that does not wait."""
# The core reports no deadline as a time in the far future.
_NO_DEADLINE_S: Final = 9e9

# Most operations hold what the core writes for their call, so they are made anew for each. These two can be shared by
# all calls: the core only reads them, and what it releases after the operation is empty.
_SEND_NO_METADATA = cygrpc.SendInitialMetadataOperation((), 0)
_SEND_OK = cygrpc.SendStatusFromServerOperation((), 0, b"", 0)

_SendMessage = cygrpc.SendMessageOperation
_ReceiveMessage = cygrpc.ReceiveMessageOperation
_ReceiveClose = cygrpc.ReceiveCloseOnServerOperation


class Status(NamedTuple):
    """How a call ends: the code's number, the text in UTF-8."""

    code: int
    details: bytes
    trailing_metadata: Sequence[tuple[str, str | bytes]]


class Core:
    """The core of one grpc.Server. Thread-safe once the server has started."""

    def __init__(self, server: grpc.Server) -> None:
        self._server = server._state.server  # noqa: SLF001

    def register(self, path: str) -> None:
        """Take the calls of a method away from the server's handlers. Only before the server starts."""
        self._server.register_method(path)

    def add_queue(self) -> Any:
        """A queue whose `poll(deadline)` waits for the next event. Only before the server starts."""
        queue = cygrpc.CompletionQueue()
        self._server.register_completion_queue(queue)
        return queue

    def request_call(self, queue: Any, path: str, tag: Tag) -> bool:
        """Request the next call of a method; False if the server is shutting down, so that no call will come."""
        try:
            error = self._server.request_registered_call(queue, queue, path, tag)
        except ValueError:
            return False
        if error:
            raise _refused(error)
        return True


def receive_message(call: Any, tag: Tag) -> None:
    """Request the next message of a call; the event has it: see `message`."""
    error = call.start_server_batch((_ReceiveMessage(0),), tag)
    if error:
        raise _refused(error)


def receive_close(call: Any, tag: Tag) -> None:
    """Register for the completion of a call, answered or cancelled. Without this the core never ends the call."""
    error = call.start_server_batch((_ReceiveClose(0),), tag)
    if error:
        raise _refused(error)


def send_message(call: Any, message: bytes, tag: Tag, *, and_close: bool) -> None:
    """End a call with its reply and the status OK; with `and_close` the event comes when the call is over."""
    send = (_SEND_NO_METADATA, _SendMessage(message, 0), _SEND_OK)
    error = call.start_server_batch((*send, _ReceiveClose(0)) if and_close else send, tag)
    if error:
        raise _refused(error)


def send_status(call: Any, status: Status, tag: Tag, *, and_close: bool) -> None:
    """End a call with a status that is not OK; `and_close` as for `send_message`."""
    metadata = tuple(status.trailing_metadata)
    send = (_SEND_NO_METADATA, cygrpc.SendStatusFromServerOperation(metadata, status.code, status.details, 0))
    error = call.start_server_batch((*send, _ReceiveClose(0)) if and_close else send, tag)
    if error:
        raise _refused(error)


def message(event: Event) -> bytes | None:
    """The message that `receive_message` received; None if the client sent none, or disconnected first."""
    received: bytes | None = event.batch_operations[0].message()
    return received


def deadline_s(event: Event) -> float:
    """The deadline of a call that has arrived, by `time.monotonic`; infinity if it has none.

    The core tells it by the wall clock, which may jump while the call waits.
    """
    deadline: float = event.call_details.deadline
    return deadline - time.time() + time.monotonic() if deadline < _NO_DEADLINE_S else math.inf


def metadata(event: Event) -> Sequence[tuple[str, str | bytes]]:
    """The metadata of a call that has arrived."""
    received: Sequence[tuple[str, str | bytes]] = event.invocation_metadata
    return received


def peer(call: Any) -> str:
    """The address of the other side; a call knows it for as long as it is referred to."""
    address: bytes | str = call.peer()
    return address.decode(errors="replace") if isinstance(address, bytes) else address


def auth_context(call: Any) -> Mapping[str, Sequence[bytes]]:
    """What the connection's security says of the other side."""
    found = cygrpc.auth_context(call) or {}
    return {key.decode(): values for key, values in found.items()}


def _refused(error: int) -> RuntimeError:
    return RuntimeError(f"gRPC's core refused an operation with error {error}")
