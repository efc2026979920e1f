"""How a fake server misbehaves on order: the faults, the orders still to be carried out, the call that a fault acts on.

Any ServingError is a fault too: it becomes the status, hints included. `Call.cut` is the only code that knows sockets.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from servable_client import wire
from servable_client.errors import ServingError
from servable_client.testing._methods import METHODS
from servable_client.testing._requests import Request

Answer = Callable[[], bytes]
"""Makes the bytes of the right reply, or raises a ServingError."""

HEALTH = {"Check", "Watch"}
_METHODS = {method.name for method in METHODS.values()} | HEALTH
# Linux and macOS list the open files of a process here.
_OPEN_FILES = Path("/dev/fd")


class Fault(Protocol):
    """What is done to one call instead of just answering it."""

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:
        """Answer the call, wrongly.

        Args:
            method: The method's simple name, as `Predict`.
            call: The call.
            answer: Makes the right reply.

        Returns:
            The bytes to send; what is returned for a call that is over is not sent.
        """


@dataclass(frozen=True, slots=True)
class Delay:
    """Answers rightly, but late.

    Attributes:
        seconds: How much later.
    """

    seconds: float

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        return answer() if call.wait(self.seconds) else b""


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answers: the call lasts until its client gives up or the server stops."""

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        call.wait(None)
        return b""


@dataclass(frozen=True, slots=True)
class Cut:
    """Breaks the TCP connection after the request was read; the client may connect again. Linux and macOS.

    A call that its client makes before it has noticed fails too, as on any network.
    """

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        call.cut()
        call.wait(None)
        return b""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Answers OK, with bytes that are no message.

    Attributes:
        data: The bytes; by default a field that claims to be longer than the reply.
    """

    data: bytes = b"\x0a\x7f"

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        return self.data


@dataclass(frozen=True, slots=True)
class WrongShape:
    """Answers OK, with results that do not fit.

    The tensors of Predict claim a row more than they hold; Classify, Regress and MultiInference answer one result too
    few. Other methods are answered rightly.
    """

    def apply(self, method: str, call: Call, answer: Answer) -> bytes:  # noqa: ARG002
        spoil = _SPOILERS.get(method)
        return answer() if spoil is None else spoil(answer())


def _claim_a_row_more(reply: bytes) -> bytes:
    response = wire.PredictResponse.FromString(reply)
    for tensor in response.outputs.values():
        dims = tensor.tensor_shape.dim
        if dims:
            dims[0].size += 1
        else:
            dims.add().size = 2
        # One value for several elements would be legal: TensorFlow repeats the last one. Content must match exactly.
        _force_content(tensor)
    return response.SerializeToString()


def _force_content(tensor: wire.TensorProto) -> None:
    if not tensor.tensor_content:
        # Strings and empty tensors: one byte is too few for the lengths of two strings, and too many for no element.
        tensor.tensor_content = b"\x01"


def _drop_classification(reply: bytes) -> bytes:
    response = wire.ClassificationResponse.FromString(reply)
    del response.result.classifications[-1:]
    return response.SerializeToString()


def _drop_regression(reply: bytes) -> bytes:
    response = wire.RegressionResponse.FromString(reply)
    del response.result.regressions[-1:]
    return response.SerializeToString()


def _drop_inference(reply: bytes) -> bytes:
    response = wire.MultiInferenceResponse.FromString(reply)
    del response.results[-1:]
    return response.SerializeToString()


_SPOILERS: dict[str, Callable[[bytes], bytes]] = {
    "Predict": _claim_a_row_more,
    "Classify": _drop_classification,
    "Regress": _drop_regression,
    "MultiInference": _drop_inference,
}


class Orders:
    """Orders in the order they were given. Thread-safe."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault | ServingError, times: int | None, method: str | None, model: str | None) -> None:
        """Take an order.

        Raises:
            ValueError: if there is no such method, or times is less than 1.
        """
        if method is not None and method not in _METHODS:
            raise ValueError(f"no method {method!r}; there are: {', '.join(sorted(_METHODS))}")
        if times is not None and times < 1:
            raise ValueError(f"times is {times}; it must be at least 1, or None for all calls")
        with self._lock:
            self._orders.append(_Order(fault, times, method, model))

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._orders.clear()

    def take(self, request: Request) -> Fault | ServingError | None:
        """What to do to a request; None for nothing."""
        with self._lock:
            order = next((each for each in self._orders if each.fits(request)), None)
            if order is None:
                return None
            if order.times is not None:
                order.times -= 1
                if order.times == 0:
                    self._orders.remove(order)
            return order.fault


@dataclass(slots=True)
class _Order:
    fault: Fault | ServingError
    times: int | None
    method: str | None
    model: str | None

    def fits(self, request: Request) -> bool:
        method_fits = request.method == self.method or (self.method is None and request.method not in HEALTH)
        return method_fits and self.model in {None, request.model}


class Call:
    """A call that is being answered."""

    def __init__(self, context: Any) -> None:
        """Follow a call by its grpc.ServicerContext."""
        self._context = context
        self._ended = threading.Event()
        # add_callback refuses when the call is over already.
        if not context.add_callback(self._ended.set):
            self._ended.set()

    def wait(self, seconds: float | None) -> bool:
        """Wait so long, or until the call is over: cancelled, past its deadline, or the server stopped.

        Args:
            seconds: None waits for the end of the call.

        Returns:
            Whether the call still goes on.
        """
        return not self._ended.wait(seconds)

    def cut(self) -> None:
        """Break the connection that the call came by, and with it all other calls on it."""
        peer_port = int(self._context.peer().rsplit(":", 1)[1])
        for connection in _list_sockets():
            with closing(connection):
                if _peer_port(connection) == peer_port:
                    connection.shutdown(socket.SHUT_RDWR)


def _list_sockets() -> Iterator[socket.socket]:
    """Duplicates of all TCP sockets of this process; grpc does not hand out its own."""
    for name in os.listdir(_OPEN_FILES):
        with suppress(OSError):
            duplicate = os.dup(int(name))
            try:
                connection = socket.socket(fileno=duplicate)
            except OSError:
                # Most files are no sockets; a refused descriptor still belongs to the caller.
                os.close(duplicate)
            else:
                yield connection


def _peer_port(connection: socket.socket) -> int | None:
    """The port at the other end; None for what is not an IPv4 or IPv6 connection."""
    try:
        name = connection.getpeername()
    except OSError:
        return None
    return int(name[1]) if isinstance(name, tuple) and len(name) > 1 else None
