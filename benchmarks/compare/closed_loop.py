"""A closed loop by h2load: each stream sends its next call when the last is answered."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from process import ServerProcess

_WARM_S = 0.2
_PATIENCE_S = 60.0
_FRAME_BYTES = 5
_MANY_BURSTS = 20
_ROUNDS_OF_ALL = 1.5


@dataclass(frozen=True)
class Visit:
    """What one load of one server showed.

    Attributes:
        requests_s: Answers a second.
        cpu_us: CPU of the server for an answer.
        latencies_ms: Of each call.
        fault: What went wrong; empty if nothing did.
    """

    requests_s: float = 0.0
    cpu_us: float = 0.0
    latencies_ms: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty(0))
    fault: str = ""


@dataclass(frozen=True)
class Call:
    """What is sent again and again.

    Attributes:
        method: The path of the call.
        body: A file with one framed request.
        reply_bytes: The size of a right reply: gRPC's errors have none, and are HTTP 200 to h2load all the same.
        run_s: A rough guess at what a call takes.
    """

    method: str
    body: Path
    reply_bytes: int
    run_s: float = 0.0


def frame(message: bytes) -> bytes:
    """A message as gRPC sends it, not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class Load:
    """h2load as it runs against a server."""

    def __init__(self, server: ServerProcess, call: Call, load: str, seconds: float) -> None:
        """Start it; `seconds` come after what the load needs to become steady."""
        connections, streams = load.split("x")
        self._in_flight, self._call = _count_in_flight(load), call
        self.warm_s = _WARM_S + self._in_flight * call.run_s
        self._log = call.body.with_name(f"{server.name}-{server.port}.tsv")
        command = [
            "h2load",
            f"-D{1e3 * (self.warm_s + seconds) + 100:.0f}ms",
            f"-c{connections}",
            f"-m{streams}",
            "-t1",
        ]
        # Windows of 1 GB, so that large bodies do not wait for the sender's side.
        command += ["-w30", "-W30", f"--log-file={self._log}", "-d", str(call.body)]
        command += ["-H", "te: trailers", "-H", "content-type: application/grpc"]
        self._process = subprocess.Popen(
            [*command, f"http://{server.address}{call.method}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, begun_s: float, ended_s: float, cpu_s: float) -> Visit:
        """Wait for its end and read what it wrote about a span of wall time, in which the server took CPU time."""
        try:
            said, _ = self._process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.stop()
            return Visit(fault="h2load did not end")
        fault = self._find_fault(said)
        if fault:
            return Visit(fault=fault)
        log = np.loadtxt(self._log, dtype=np.int64, ndmin=2) if self._log.stat().st_size else np.empty((0, 3), np.int64)
        ends_s, latencies_ms = (log[:, 0] + log[:, 2]) / 1e6, log[:, 2] / 1e3
        inside = (ends_s > begun_s) & (ends_s <= ended_s)
        requests_s = _rate(ends_s, begun_s, ended_s, self._in_flight)
        if not requests_s:
            return Visit(fault=f"fewer than two calls were answered within {ended_s - begun_s:.1f} s")
        cpu_us = 1e6 * cpu_s / (ended_s - begun_s) / requests_s
        return Visit(requests_s, cpu_us, latencies_ms[inside])

    def stop(self) -> None:
        """End it at once, if it still runs."""
        self._process.kill()
        self._process.wait()

    def _find_fault(self, said: str) -> str:
        counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said)
        data = re.search(r"\((\d+)\) data", said)
        if counts is None or data is None:
            return f"h2load failed: {said.strip()[-300:]}"
        done, succeeded, *bad = (int(count) for count in counts.groups())
        if done != succeeded or any(bad):
            return f"{done - succeeded} of {done} calls failed: {counts[0]}"
        wanted = self._call.reply_bytes + _FRAME_BYTES
        # Up to a reply for each stream may have come in part, or whole but for its status.
        if not succeeded * wanted <= int(data[1]) <= (succeeded + self._in_flight) * wanted:
            return f"{succeeded} replies of {wanted} bytes were due, {data[1]} bytes came: some were errors"
        return ""


@contextmanager
def running(server: ServerProcess, call: Call, load: str, seconds: float) -> Iterator[Load]:
    """A load that has become steady."""
    loaded = Load(server, call, load, seconds)
    try:
        time.sleep(loaded.warm_s)
        yield loaded
    finally:
        loaded.stop()


def visit(server: ServerProcess, call: Call, load: str, seconds: float) -> Visit:
    """Load a server for so many seconds, after it has become steady; then let it come to rest.

    It takes longer if all that is in flight could not be answered once in that time.
    """
    seconds = max(seconds, _ROUNDS_OF_ALL * _count_in_flight(load) * call.run_s)
    with running(server, call, load, seconds) as loaded:
        begun_s, cpu_s = time.time(), server.cpu_s()
        time.sleep(seconds)
        cpu_s, ended_s = server.cpu_s() - cpu_s, time.time()
        seen = loaded.finish(begun_s, ended_s, cpu_s)
    server.wait_until_idle()
    return seen


def _count_in_flight(load: str) -> int:
    connections, streams = load.split("x")
    return int(connections) * int(streams)


def _rate(ends_s: np.ndarray[Any, Any], begun_s: float, ended_s: float, in_flight: int) -> float:
    """Answers a second within a span of time.

    Batches are answered in bursts of up to all calls in flight. Where a span holds few of these, one more or one less
    would matter, so that time is counted from the last answer before the span to the last in it.
    """
    ends_s = np.sort(ends_s)
    first, last = np.searchsorted(ends_s, (begun_s, ended_s), side="right") - 1
    first = max(first, 0)
    if last <= first:
        return 0.0
    many = last - first > _MANY_BURSTS * in_flight
    return float((last - first) / ((ended_s - begun_s) if many else (ends_s[last] - ends_s[first])))
