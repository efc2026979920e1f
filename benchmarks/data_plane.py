"""CPU and time of a Predict between the bytes of the request and those of the reply, without gRPC: us a request.

    python benchmarks/data_plane.py

half_plus_two and an MLP of 64-256-256-10, one row a request: as the first request of its kind, which is parsed; like
earlier ones; and 64 of these together, batched. CPU is that of the whole process, so that of runs on other threads is
counted. Each request is answered before the next is sent, and each answer is compared with TensorFlow's own. The
difference to a server's CPU a request is gRPC, the kernel and the lane.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.append(str(Path(__file__).parent / "compare"))

import exports
from messages import PREDICT, find_difference, read_reply
from models import MODELS

from servable import wire
from servable.calls import NO_CONTEXT
from servable.codec.decoding import decode
from servable.config.batching import BatchingConfig
from servable.data_plane import DataPlane
from servable.errors import ServingError
from servable.execution.loader import SavedModelLoader
from servable.methods import Reply
from servable.options import ServerOptions
from servable.routing import Router
from servable.servables import Handle

_BATCH = 64
_ROUNDS, _REQUESTS_A_ROUND = 40, 20
_WARMING_S = 0.5
_TIMEOUT_S = 30.0
# No message has a field of this number, so a parser skips it.
_UNKNOWN_FIELD = 1000


class Answer(Reply):
    """Receives an answer for a caller who waits for it. No other call waits for the thread."""

    context, tracker = NO_CONTEXT, None

    def __init__(self) -> None:
        self._arrived, self._message = threading.Event(), b""
        self._error: ServingError | None = None

    def is_active(self) -> bool:
        """Always."""
        return True

    def may_run_here(self) -> bool:
        """Always."""
        return True

    def other_calls_waiting(self) -> bool:
        """Never."""
        return False

    def send(self, message: bytes) -> None:
        """Keep it."""
        self._message = message
        self._arrived.set()

    def fail(self, error: ServingError) -> None:
        """Keep what went wrong."""
        self._error = error
        self._arrived.set()

    def wait(self) -> bytes:
        """The reply.

        Raises:
            ServingError: if the request failed.
            TimeoutError: if nothing came.
        """
        if not self._arrived.wait(_TIMEOUT_S):
            raise TimeoutError("a request was not answered")
        if self._error is not None:
            raise self._error
        return self._message


class Plane:
    """A data plane with one model, called as a lane calls it."""

    def __init__(self, name: str, directory: Path, batching: BatchingConfig | None) -> None:
        """Load the model and start."""
        self._name = name
        self.router = Router()
        self.router.add(Handle(name, 1, SavedModelLoader(batching=batching)(directory)))
        self._plane = DataPlane(ServerOptions(), batching, self.router)
        self._method = self._plane.lane_methods[PREDICT]
        request, message = MODELS[name].request, wire.PredictRequest()
        message.MergeFromString(request)
        self._expected = _run_by_tensorflow(directory, decode(message.inputs["x"]))
        self._right: set[bytes] = set()
        self._plane.start()
        self._warm(request)

    def __enter__(self) -> Plane:  # noqa: PYI034  (Self is of Python 3.11)
        return self

    def __exit__(self, *_: object) -> None:
        self._plane.stop()

    def ask(self, *requests: bytes) -> list[bytes]:
        """The replies to requests that come together, when all are there."""
        answers = [Answer() for _ in requests]
        called = [self._method(request, None, answer) for request, answer in zip(requests, answers, strict=True)]
        # As a lane does when it has nothing else to do.
        for deferred in {each for each in called if each is not None}:
            deferred.run()
        return [answer.wait() for answer in answers]

    def check(self, replies: Sequence[bytes]) -> None:
        """Hold replies against what TensorFlow says.

        Raises:
            RuntimeError: if one of them differs.
        """
        for reply in replies:
            if reply not in self._right:
                difference = find_difference(read_reply(PREDICT, reply), self._expected)
                if difference:
                    raise RuntimeError(f"{self._name}: {difference}")
                self._right.add(reply)

    def _warm(self, request: bytes) -> None:
        """Call until the model's first runs are over and the data plane has estimates of their time."""
        ends_s = time.monotonic() + _WARMING_S
        while time.monotonic() < ends_s:
            self.check(self.ask(request))


def main() -> None:
    """Measure and print."""
    print("CPU / time, us a request\n")
    print("| | first of its kind | like earlier ones | 64 together, batched |\n|---|---:|---:|---:|")
    folder = exports.ensure([MODELS[name].export for name in ("half_plus_two", "mlp")])
    for name in ("half_plus_two", "mlp"):
        directory, request = folder / MODELS[name].export / "1", MODELS[name].request
        unlike = (_lengthen(request, size) for size in itertools.count())
        with Plane(name, directory, None) as plane:
            known = _measure(plane, lambda request=request: [request])
            first = _measure(plane, lambda unlike=unlike: [next(unlike)])
        with Plane(name, directory, BatchingConfig()) as plane:
            together = _measure(plane, lambda request=request: [request] * _BATCH)
        print(f"| {name} | {first} | {known} | {together} |")


def _measure(plane: Plane, make_requests: Callable[[], Sequence[bytes]]) -> str:
    """CPU of the process and time for a request: each the least of many rounds, since other work only adds to it."""
    least_cpu_s, least_s = float("inf"), float("inf")
    for _ in range(_ROUNDS):
        rounds = [make_requests() for _ in range(_REQUESTS_A_ROUND)]
        replies: list[bytes] = []
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        for requests in rounds:
            replies += plane.ask(*requests)
        cpu_s, taken_s = time.process_time() - began_cpu_s, time.perf_counter() - began_s
        plane.check(replies)
        least_cpu_s, least_s = min(least_cpu_s, cpu_s / len(replies)), min(least_s, taken_s / len(replies))
    return f"{1e6 * least_cpu_s:.1f} / {1e6 * least_s:.1f}"


def _lengthen(request: bytes, size: int) -> bytes:
    """The same request in more bytes: requests of different lengths are never alike."""
    # A varint of two bytes each: the tag with wire type 2, and the length.
    tag, length = _UNKNOWN_FIELD << 3 | 2, 128 + size
    padding = bytes(part for value in (tag, length) for part in (value & 0x7F | 0x80, value >> 7)) + bytes(length)
    return request + padding


def _run_by_tensorflow(directory: Path, values: Any) -> dict[str, Any]:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(directory))
    outputs = loaded.signatures["serving_default"](x=tf.constant(values))
    return {alias: tensor.numpy() for alias, tensor in outputs.items()}


if __name__ == "__main__":
    main()
