"""Calls at fixed times, in an open loop; each is timed from when it was due."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import grpc
import numpy as np
from closed_loop import Visit
from process import ServerProcess

_TIMEOUT_S = 60.0
_LEAD_S = 0.05
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def open_channel(address: str) -> grpc.Channel:
    """A connection of its own, for messages of any size."""
    return grpc.insecure_channel(address, options=[*_UNLIMITED, ("grpc.use_local_subchannel_pool", 1)])


def describe_error(error: BaseException) -> str:
    """The code and the text of a call's error; any other error's own text."""
    return f"{error.code().name}: {error.details()}" if isinstance(error, grpc.Call) else str(error)


@dataclass
class Stream:
    """Calls of one kind.

    Attributes:
        channel: Where they go.
        method: The path of the call.
        requests: What is sent, in turn.
        rate: Calls a second.
        reply_bytes: The size of a right reply.
        latencies_ms: From when a call was due to its reply.
        faults: What went wrong.
    """

    channel: grpc.Channel
    method: str
    requests: Sequence[bytes]
    rate: float
    reply_bytes: int
    latencies_ms: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def note(self, due_s: float, done: grpc.Future) -> None:
        """Take down how a call ended."""
        latency_ms = 1e3 * (time.monotonic() - due_s)
        error = done.exception()
        if error is not None:
            self.faults.append(describe_error(error))
        elif len(done.result()) != self.reply_bytes:
            self.faults.append(f"a reply of {len(done.result())} bytes where {self.reply_bytes} were due")
        self.latencies_ms.append(latency_ms)


def send(streams: Sequence[Stream], seconds: float) -> None:
    """Send the calls of all streams, and wait for the replies."""
    calls = [stream.channel.unary_unary(stream.method) for stream in streams]
    start_s = time.monotonic() + _LEAD_S
    plan = sorted(
        (start_s + number / stream.rate, index, number)
        for index, stream in enumerate(streams)
        for number in range(max(round(stream.rate * seconds), 1))
    )
    answered = threading.Semaphore(0)
    for due_s, index, number in plan:
        time.sleep(max(due_s - time.monotonic(), 0))
        stream = streams[index]
        request = stream.requests[number % len(stream.requests)]
        future = calls[index].future(request, timeout=_TIMEOUT_S)
        future.add_done_callback(functools.partial(_end, stream, due_s, answered))
    for _ in plan:
        if not answered.acquire(timeout=2 * _TIMEOUT_S):
            raise RuntimeError("calls were never answered, nor did they time out")


def _end(stream: Stream, due_s: float, answered: threading.Semaphore, done: grpc.Future) -> None:
    try:
        stream.note(due_s, done)
    finally:
        answered.release()


def visit(server: ServerProcess, stream: Stream, seconds: float) -> Visit:
    """Load a server for so many seconds."""
    begun_s, cpu_s = time.monotonic(), server.cpu_s()
    send([stream], seconds)
    cpu_s, taken_s = server.cpu_s() - cpu_s, time.monotonic() - begun_s
    count = len(stream.latencies_ms)
    fault = f"{len(stream.faults)} of {count} calls failed: {stream.faults[0]}" if stream.faults else ""
    return Visit(count / taken_s, 1e6 * cpu_s / count, np.array(stream.latencies_ms), fault)
