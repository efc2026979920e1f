"""gRPC's core beneath a grpc.Server: the one module that uses grpcio's private API.

A lane asks the core for calls and starts operations on them; each operation ends as an event on the lane's queue. The
event's `tag` is what was given when the operation was started. `transport.lanes` tries all of this once, on a server
of its own, before anything relies on it. This module must not know what a call is for.

Source: grpcio's own server (grpc/_server.py) over its Cython layer, 1.66 to 1.85.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import grpc
from grpc._cython import cygrpc

Event = Any
"""What happened on a queue. `tag` is None when nothing did; `success` is False for a call that will never come."""
Tag = Callable[[Event], None]

NOW = 0.0
"""A poll's deadline that has passed: take what is there."""

# Operations keep what the core writes for their call, so most are made anew. These two send nothing of their own: the
# core only reads them, and all that they would release is empty.
_SEND_NO_METADATA = cygrpc.SendInitialMetadataOperation((), 0)
_SEND_OK = cygrpc.SendStatusFromServerOperation((), 0, b"", 0)

_SendMessage = cygrpc.SendMessageOperation
_ReceiveMessage = cygrpc.ReceiveMessageOperation
_ReceiveClose = cygrpc.ReceiveCloseOnServerOperation


class Status(NamedTuple):
    """How a call ends: the code's number, the text in UTF-8."""

    code: int
    details: bytes
    trailing_metadata: Sequence[tuple[str, bytes]]


class Core:
    """The core of one server. Thread-safe once the server has started."""

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
        """Ask for the next call of a method; False when the server is shutting down and no call will come."""
        try:
            error = self._server.request_registered_call(queue, queue, path, tag)
        except ValueError:
            return False
        if error:
            raise _refused(error)
        return True


def receive_message(call: Any, tag: Tag) -> None:
    """Wait for the next message of a call: see `message`."""
    error = call.start_server_batch((_ReceiveMessage(0),), tag)
    if error:
        raise _refused(error)


def receive_close(call: Any, tag: Tag) -> None:
    """Wait for the end of a call, be it answered or cancelled. Without this the core never ends it."""
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
    """What `receive_message` received; None if the client sent none or went away first."""
    received: bytes | None = event.batch_operations[0].message()
    return received


def deadline_s(event: Event) -> float:
    """When a call that has come runs out of time, by `time.time`; far in the future if it has no deadline."""
    deadline: float = event.call_details.deadline
    return deadline


def _refused(error: int) -> RuntimeError:
    return RuntimeError(f"gRPC's core refused an operation with error {error}")
