"""CPU of a Predict between the bytes of the request and those of the reply, without gRPC: us a request.

    python benchmarks/data_plane.py

half_plus_two and an MLP of 64-256-256-10, one row a request: as the first request of its kind, which is parsed; like
earlier ones; and 64 of these in a batch. The difference to a server's CPU a request is gRPC, the kernel and the lane.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.append(str(Path(__file__).parent / "compare"))

import exports
from models import MODELS

from servable.config.batching import BatchingConfig
from servable.data_plane import DataPlane
from servable.execution.loader import SavedModelLoader
from servable.options import ServerOptions
from servable.routing import Handle, Router

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_BATCH = 64
_ROUNDS = 100


class Reply:
    """Where an answer goes; see servable.methods.Reply."""

    message = b""

    def is_active(self) -> bool:
        """Always."""
        return True

    def holds_up_others(self) -> bool:
        """Nobody."""
        return False

    def send(self, message: bytes) -> None:
        """Keep it."""
        self.message = message

    def fail(self, error: Exception) -> None:
        """End the benchmark."""
        raise error


class Plane:
    """A data plane with one model."""

    def __init__(self, name: str, folder: Path, batching: BatchingConfig | None) -> None:
        self.router = Router()
        self.router.add(Handle(name, 1, SavedModelLoader(batching=batching)(folder / "1")))
        self._plane = DataPlane(ServerOptions(), batching, self.router)
        self._plane.start()
        for _ in range(8):
            # The first runs go through other threads, until it is known that they are quick.
            self.ask(_request(name))
            time.sleep(0.05)

    def ask(self, *requests: bytes) -> None:
        """Answer requests that came together."""
        method, replies = self._plane.lane_methods[_PREDICT], [Reply() for _ in requests]
        for request, reply in zip(requests, replies, strict=True):
            method(request, None, reply)
        if self._plane.on_idle is not None:
            self._plane.on_idle()

    def forget(self) -> None:
        """Have the next request be the first of its kind."""
        self.router.routes.notes.clear()


def main() -> None:
    """Measure and print."""
    print("| us a request | first of its kind | known | known, batches of 64 |\n|---|---:|---:|---:|")
    folder = exports.ensure([MODELS[name].export for name in ("half_plus_two", "mlp")])
    for name in ("half_plus_two", "mlp"):
        inline = Plane(name, folder / MODELS[name].export, None)
        batched = Plane(name, folder / MODELS[name].export, BatchingConfig())
        one, many = _request(name), [_request(name)] * _BATCH
        known = _least_us(lambda inline=inline, one=one: inline.ask(one))
        first = _least_us(lambda inline=inline, one=one: (inline.forget(), inline.ask(one)))
        together = _least_us(lambda batched=batched, many=many: batched.ask(*many)) / _BATCH
        print(f"| {name} | {first:.1f} | {known:.1f} | {together:.1f} |")


def _request(name: str) -> bytes:
    return MODELS[name].make_requests()[0]


def _least_us(work: Callable[[], object]) -> float:
    """CPU time of this thread: the least of many, since other work only adds to it."""
    least_s = float("inf")
    for _ in range(_ROUNDS):
        began_s = time.thread_time()
        for _ in range(20):
            work()
        least_s = min(least_s, (time.thread_time() - began_s) / 20)
    return least_s * 1e6


if __name__ == "__main__":
    main()
