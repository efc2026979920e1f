"""What the processes do that send mutants: many in flight over gRPC, one after another over some HTTP connections."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc

from benchmarks.resilience.mutants import Mutator
from servable_client import wire

# Nothing that is sent takes long, so what is not over by then hangs.
_PATIENCE_S: Final = 30.0
_RELOAD_S: Final = 1.0
_CHANNEL: Final = [("grpc.enable_http_proxy", 0)]
_GRPC_IN_FLIGHT: Final = 64
_HTTP_CONNECTIONS: Final = 4
_CHECK_EVERY: Final = 500
MEANT: Final = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION", "UNIMPLEMENTED"}
# After a mutant of a head, a server may close the connection without a word.
_CLOSED: Final = "closed"
_MEANT_OF_HTTP = {"200", "302", "400", "403", "404", "405", "411", "412", "413", "415", "431", "501", "503", "505"}
_MEANT_OF_HTTP |= {_CLOSED}


@dataclass(frozen=True)
class RightAsk:
    """A Predict that is valid, over both protocols, and its answer's values."""

    path: str
    message: bytes
    target: str
    body: str
    values: list[float]


@dataclass(frozen=True)
class Seeds:
    """Valid requests, of which mutants are made.

    Attributes:
        messages: By the full path of a gRPC method.
        asks: Verbs and targets over HTTP, each with the bodies that it takes.
        right: What is asked now and then.
    """

    messages: dict[str, list[bytes]]
    asks: dict[tuple[bytes, ...], tuple[bytes, ...]]
    right: RightAsk


def send_grpc(address: str, seeds: Seeds, count: int, seed: int) -> Counter[str]:
    """Send mutants of messages to every method in turn.

    Args:
        address: Of the server.
        seeds: Messages by method.
        count: How many mutants.
        seed: Of the mutator.

    Returns:
        The calls by their codes; what is a fault begins with `fault`.
    """
    with grpc.insecure_channel(address, options=_CHANNEL) as channel:
        return _GrpcSender(channel, seeds).send(count, seed)


def send_reloads(address: str, path: str, valid: bytes, count: int, right: RightAsk) -> Counter[str]:
    """Send mutants of a reload one at a time, then the valid one and a Predict that must be right."""
    mutator, outcomes = Mutator(3), Counter[str]()
    with grpc.insecure_channel(address, options=_CHANNEL) as channel:
        reload = channel.unary_unary(path)
        for _ in range(count):
            # A reload waits for what it asks for, and a mutant may ask for what never comes.
            code, details = _code_of(lambda: reload(mutator.message([valid]), timeout=_RELOAD_S))
            is_meant = code != "UNKNOWN" or "did not become available" in details
            outcomes[f"reload {code}" if is_meant else f"fault: reload {code}: {details[:200]}"] += 1
        code, details = _code_of(lambda: reload(valid, timeout=2 * _PATIENCE_S))
        if code != "OK":
            outcomes[f"fault: the valid reload after them: {code} {details}"] += 1
        outcomes[_ask_rightly(channel.unary_unary(right.path), right)] += 1
    return outcomes


def send_http(port: int, seeds: Seeds, count: int, seed: int) -> Counter[str]:
    """The same over HTTP, with mutants of targets, bodies and whole requests."""
    senders = [_HttpSender(port, seeds, seed * _HTTP_CONNECTIONS + number) for number in range(_HTTP_CONNECTIONS)]
    threads = [threading.Thread(target=sender.send, args=(count // len(senders),)) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum((sender.outcomes for sender in senders), Counter[str]())


def send_garbage(port: int) -> str:
    """Send an HTTP server something that it cannot read."""
    garbage = (b"\0" * 9, b"GET /v1/models HTTP/9\r\n\r\n", b"POST /v1/models/echo:predict HTTP/1.1\r\n", b"\x16\x03\1")
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), _PATIENCE_S) as own:
        own.sendall(random.choice(garbage))
        own.shutdown(socket.SHUT_WR)
        own.recv(1000)
    return "garbage over HTTP"


class _GrpcSender:
    """Keeps a number of calls in flight."""

    def __init__(self, channel: grpc.Channel, seeds: Seeds) -> None:
        self._calls = [(channel.unary_unary(path), path, messages) for path, messages in seeds.messages.items()]
        self._right, self._predict = seeds.right, channel.unary_unary(seeds.right.path)
        self._room, self._lock = threading.Semaphore(_GRPC_IN_FLIGHT), threading.Lock()
        self._outcomes: Counter[str] = Counter()

    def send(self, count: int, seed: int) -> Counter[str]:
        mutator = Mutator(seed)
        for number in range(count):
            call, path, messages = self._calls[number % len(self._calls)]
            self._room.acquire()
            begun = call.future(mutator.message(messages), timeout=_PATIENCE_S)
            begun.add_done_callback(lambda call, path=path: self._end(call, path))
            if number % _CHECK_EVERY == 0:
                self._check()
        for _ in range(_GRPC_IN_FLIGHT):
            if not self._room.acquire(timeout=2 * _PATIENCE_S):
                self._outcomes["fault: never answered"] += 1
        self._check()
        return self._outcomes

    def _end(self, call: Any, path: str) -> None:
        code, details = call.code().name, call.details()
        # The INTERNAL that is meant says that the bytes are no message: without a text, or with that of grpcio's own
        # services.
        is_meant = code in MEANT or (code == "INTERNAL" and details in {"", "Exception deserializing request!"})
        with self._lock:
            self._outcomes[code if is_meant else f"fault: {path} {code}: {details[:200]}"] += 1
        self._room.release()

    def _check(self) -> None:
        outcome = _ask_rightly(self._predict, self._right)
        with self._lock:
            self._outcomes[outcome] += 1


def _ask_rightly(predict: Any, right: RightAsk) -> str:
    try:
        reply = wire.PredictResponse.FromString(predict(right.message, timeout=_PATIENCE_S))
    except grpc.RpcError as error:
        return f"fault: a valid request was refused: {error.code().name}"
    return "right" if list(reply.outputs["y"].float_val) == right.values else "fault: wrong answer"


def _code_of(call: Callable[[], object]) -> tuple[str, str]:
    try:
        call()
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return "OK", ""


class _HttpSender:
    """One after another over a connection."""

    def __init__(self, port: int, seeds: Seeds, seed: int) -> None:
        self._port, self._mutator = port, Mutator(seed)
        self._asks, self._right = list(seeds.asks.items()), seeds.right
        self.outcomes: Counter[str] = Counter()
        self._socket: socket.socket | None = None
        self._reader: Any = None

    def send(self, count: int) -> None:
        for number in range(count):
            targets, bodies = self._asks[number % len(self._asks)]
            if self._mutator.is_once_in(8):
                outcome = self._send_whole(targets, bodies)
            else:
                outcome = self._send_framed(targets, bodies)
            self.outcomes[f"HTTP {outcome}" if outcome in _MEANT_OF_HTTP else f"fault: HTTP {outcome}"] += 1
            if number % _CHECK_EVERY == 0:
                self._check()
        self._check()
        self._close()

    def _send_framed(self, targets: tuple[bytes, ...], bodies: tuple[bytes, ...]) -> str:
        """A mutant of the target or the body, framed as it must be, over the connection that there is."""
        ask, body = self._mutator.choice(targets), self._mutator.choice(bodies)
        if self._mutator.is_once_in(3):
            verb, _, target = ask.partition(b" ")
            # Bytes that end the line would make it a mutant of the whole request.
            mutant = bytes(byte for byte in self._mutator.text([target]) if byte > 0x20 and byte != 0x7F)
            ask = verb + b" " + (mutant or b"/")
        else:
            body = self._mutator.text(bodies)
        return self._exchange(_frame(ask, body))

    def _send_whole(self, targets: tuple[bytes, ...], bodies: tuple[bytes, ...]) -> str:
        """A mutant of all of it, over a connection of its own that says that nothing follows."""
        request = self._mutator.text([_frame(self._mutator.choice(targets), self._mutator.choice(bodies))])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), _PATIENCE_S) as own:
            try:
                own.sendall(request)
                own.shutdown(socket.SHUT_WR)
                reply = bytearray()
                while piece := own.recv(1 << 16):
                    reply += piece
                return reply[9:12].decode("latin-1") if reply.startswith(b"HTTP/1.1 ") else _CLOSED
            except TimeoutError:
                return "hangs"
        return _CLOSED

    def _exchange(self, request: bytes) -> str:
        try:
            if self._socket is None:
                self._connect()
            self._socket.sendall(request)  # type: ignore[union-attr]
            reply = http.client.HTTPResponse(self._socket, method="GET")  # type: ignore[arg-type]
            reply.begin()
            reply.read()
            if reply.will_close:
                self._close()
            return str(reply.status)
        except TimeoutError:
            self._close()
            return "hangs"
        except (OSError, http.client.HTTPException) as error:
            self._close()
            return type(error).__name__

    def _connect(self) -> None:
        self._socket = socket.create_connection(("127.0.0.1", self._port), _PATIENCE_S)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _check(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S)
        with contextlib.closing(connection):
            try:
                connection.request("POST", self._right.target, self._right.body)
                is_right = json.loads(connection.getresponse().read()) == {"predictions": self._right.values}
            except (OSError, http.client.HTTPException, ValueError):
                is_right = False
        self.outcomes["right" if is_right else "fault: a valid request was not answered rightly"] += 1


def _frame(ask: bytes, body: bytes) -> bytes:
    return b"%s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s" % (ask, len(body), body)
