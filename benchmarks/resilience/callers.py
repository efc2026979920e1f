"""Callers that never pause for long, over both protocols, and check every answer.

Each request has a number of its own, which the model gives back with its name and version: an answer that is wrong, or
another caller's, is seen. What was answered rightly was acknowledged.
"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from benchmarks.resilience.servers import Server
from servable_client import wire

RIGHT, WRONG = "right", "wrong"
GRPC, REST = "gRPC", "REST"
MODEL = "echo"
_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_CHANNEL = [
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
]
_FAILURE_PAUSE_S = 0.02
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Call:
    """A call and what came of it: RIGHT, WRONG, or why it failed. Times are time.monotonic's."""

    protocol: str
    sent_s: float
    done_s: float
    outcome: str
    version: int


class Callers:
    """Threads that call a server from entry to exit, and know what came of their calls."""

    def __init__(self, server: Server, *, each: int = 2, pause_s: float = 0.005, timeout_s: float = 10.0) -> None:
        """Nothing is called yet.

        Args:
            server: Serves the model `echo` of control_plane/tiny_models.py.
            each: Threads for each protocol.
            pause_s: Between a thread's calls.
            timeout_s: Of a call.
        """
        self._server, self._pause_s, self._timeout_s = server, pause_s, timeout_s
        self._calls: list[Call] = []
        self._ended, self._news = threading.Event(), threading.Condition()
        kinds = [(GRPC, self._call_grpc), (REST, self._call_rest)] * each
        self._threads = [threading.Thread(target=self._go_on, args=kind, daemon=True) for kind in kinds]

    def __enter__(self) -> Callers:  # noqa: PYI034  (Self is of Python 3.11)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_about: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(self._timeout_s + 10)

    def calls(self) -> Sequence[Call]:
        """All calls that are over."""
        with self._news:
            return list(self._calls)

    def outcomes(self) -> Counter[str]:
        """How many calls ended in which way."""
        return Counter(call.outcome for call in self.calls())

    def wait_until_right(self, since_s: float, longest_s: float, version: int = 0) -> float:
        """Wait until a call over each protocol that was sent after a time has been answered rightly.

        Args:
            since_s: The time (time.monotonic).
            longest_s: How long to wait at most.
            version: Which version must have answered; 0 for any.

        Returns:
            The seconds from that time to the later one's answer; infinity if it did not come.
        """

        def find() -> Sequence[Call]:
            right = [
                next((c for c in self._calls if c.protocol == protocol and _is_after(c, since_s, version)), None)
                for protocol in (GRPC, REST)
            ]
            return [call for call in right if call is not None]

        with self._news:
            self._news.wait_for(lambda: len(find()) == 2, longest_s)
            found = find()
        return max(call.done_s for call in found) - since_s if len(found) == 2 else float("inf")

    def longest_gap_s(self) -> float:
        """The longest time in which no call of one of the protocols was answered rightly."""
        gaps = [0.0]
        for protocol in (GRPC, REST):
            times = sorted(c.done_s for c in self.calls() if c.protocol == protocol and c.outcome == RIGHT)
            gaps += [later - sooner for sooner, later in itertools.pairwise(times)]
        return max(gaps)

    def _go_on(self, protocol: str, connect: Callable[[], _Connection]) -> None:
        connection = connect()
        while not self._ended.wait(self._pause_s):
            sent_s = time.monotonic()
            outcome, version = connection.call(next(_numbers))
            call = Call(protocol, sent_s, time.monotonic(), outcome, version)
            with self._news:
                self._calls.append(call)
                self._news.notify_all()
            if outcome != RIGHT:
                self._ended.wait(_FAILURE_PAUSE_S)
        connection.close()

    def _call_grpc(self) -> _Connection:
        return GrpcConnection(self._server.address, self._timeout_s)

    def _call_rest(self) -> _Connection:
        return RestConnection(self._server.rest_port, self._timeout_s)


def _is_after(call: Call, since_s: float, version: int) -> bool:
    return call.outcome == RIGHT and call.sent_s >= since_s and version in (0, call.version)


class _Connection:
    """A way to call."""

    def call(self, number: int) -> tuple[str, int]:
        """Call, and give the outcome and the version that answered."""
        raise NotImplementedError

    def close(self) -> None:
        """End the connection."""
        raise NotImplementedError


class GrpcConnection(_Connection):
    """Calls over a channel of its own."""

    def __init__(self, address: str, timeout_s: float, credentials: grpc.ChannelCredentials | None = None) -> None:
        """Connect with the first call, over TLS with credentials."""
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options=_CHANNEL)
        else:
            self._channel = grpc.secure_channel(address, credentials, options=_CHANNEL)
        self._predict = self._channel.unary_unary(_PREDICT)
        self._timeout_s = timeout_s

    def call(self, number: int) -> tuple[str, int]:
        """Call, and give the outcome and the version that answered."""
        try:
            reply = wire.PredictResponse.FromString(self._predict(echo_request(number), timeout=self._timeout_s))
        except grpc.RpcError as error:
            return error.code().name, 0
        echo, model = reply.outputs["echo"].int64_val, reply.outputs["model"].string_val
        is_right = list(echo) == [number] and list(model) == [MODEL.encode()]
        version = reply.model_spec.version.value
        is_right &= list(reply.outputs["version"].int64_val) == [version]
        return RIGHT if is_right else f"{WRONG}: {reply}"[:200], version

    def close(self) -> None:
        """End the channel."""
        self._channel.close()


class RestConnection(_Connection):
    """Calls over one connection, and over another once that is lost."""

    def __init__(self, port: int, timeout_s: float) -> None:
        """Connect with the first call."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def call(self, number: int) -> tuple[str, int]:
        """Call, and give the outcome and the version that answered."""
        try:
            self._connection.request("POST", f"/v1/models/{MODEL}:predict", json.dumps({"inputs": {"x": [number]}}))
            reply = self._connection.getresponse()
            status, body = reply.status, reply.read()
        except TimeoutError:
            self._connection.close()
            return "no answer in time", 0
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            return type(error).__name__, 0
        return _judge(status, body, number)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def _judge(status: int, body: bytes, number: int) -> tuple[str, int]:
    if status != http.client.OK:
        return f"HTTP {status}", 0
    outputs: dict[str, Any] = json.loads(body)["outputs"]
    is_right = outputs["echo"] == [number] and outputs["model"] == MODEL
    return RIGHT if is_right else f"{WRONG}: {outputs}"[:200], outputs["version"]


def echo_request(number: int) -> bytes:
    """A Predict of the model `echo`."""
    request = wire.PredictRequest()
    request.model_spec.name = MODEL
    tensor = request.inputs["x"]
    tensor.dtype = wire.DT_INT64
    tensor.tensor_shape.dim.add(size=1)
    tensor.int64_val.append(number)
    return request.SerializeToString()


def wrong(outcomes: Counter[str]) -> list[str]:
    """The faults in outcomes: answers that were wrong."""
    return [f"{count} {outcome}" for outcome, count in outcomes.items() if outcome.startswith(WRONG)]


def describe_losses(outcomes: Counter[str]) -> str:
    """What callers lost, in words."""
    failed = {outcome: count for outcome, count in outcomes.items() if outcome != RIGHT}
    losses = ", ".join(f"{count} {outcome}" for outcome, count in failed.items())
    return f"no answer that was given; failed: {losses or 'no call'}"
