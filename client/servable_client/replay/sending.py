"""Recorded calls sent again: when, how many at once, and what came back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import grpc
import numpy as np

from servable_client._network import Network
from servable_client.bench.counters import BUCKETS, Latencies, bucket_of
from servable_client.errors import ClientError, Code
from servable_client.replay.comparison import Tolerance, find_difference
from servable_client.replay.recorded import METHODS, Recorded

_SERVICE = "/tensorflow.serving.PredictionService/"
_NS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Plan:
    """How calls are sent.

    Attributes:
        network: The server.
        metadata: The headers of all calls.
        timeout_s: The deadline of a call.
        concurrency: How many calls may be under way at once.
        rate: Calls to send in a second; None: not by a rate.
        speed: How many times as fast as recorded; None: as fast as the concurrency allows.
        tolerance: For the comparison.
        most_differences: So many differences are kept in words.
    """

    network: Network
    metadata: tuple[tuple[str, str | bytes], ...]
    timeout_s: float
    concurrency: int
    rate: float | None
    speed: float | None
    tolerance: Tolerance
    most_differences: int


@dataclass(slots=True)
class Result:
    """What came of it. Written under the sender's lock.

    Attributes:
        sent: Calls that were sent.
        statuses: How they ended, by the name of the code.
        unexpected: Those that ended otherwise than recorded, by `recorded -> got`.
        compared: Replies that could be compared.
        different: Those of them that differ.
        differences: The first in words: the number of the request, and where its reply differs.
        latency_counts: The latencies of those that succeeded, in buckets.
        elapsed_s: From the first call to the end of the last.
        late_s: By how much the last call was sent too late.
        has_times: Whether the log says when calls were made.
        failure: Why the log could not be read to its end; empty if it was.
        is_whole: Whether nobody stopped it before the end.
    """

    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    unexpected: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    different: int = 0
    differences: list[tuple[int, str]] = field(default_factory=list)
    latency_counts: Any = field(default_factory=lambda: np.zeros(BUCKETS, np.int64))
    elapsed_s: float = 0.0
    late_s: float = 0.0
    has_times: bool = True
    failure: str = ""
    is_whole: bool = True

    @property
    def latencies(self) -> Latencies:
        """The latencies of the calls that succeeded, from the time at which each should have been sent."""
        return Latencies(self.latency_counts)

    @property
    def is_good(self) -> bool:
        """Whether everything ended as recorded."""
        return not (self.different or self.unexpected or self.failure)


class Sender:
    """Sends recorded calls once."""

    def __init__(self, plan: Plan) -> None:
        """Send nothing yet."""
        self._plan = plan
        self._lock = threading.Lock()
        self._free = threading.Semaphore(plan.concurrency)
        self._stopped = threading.Event()
        self._first_s: float | None = None
        self.result = Result()

    def stop(self) -> None:
        """Send nothing more. What is under way is waited for. May be called by a signal handler."""
        self._stopped.set()

    def run(self, calls: Iterable[Recorded]) -> Result:
        """Send all, and wait for the answers."""
        connection = self._plan.network.connection()
        with _open(connection) as channel:
            methods = {kind: channel.unary_unary(_SERVICE + name) for kind, name in METHODS.items()}
            began_s = time.monotonic()
            try:
                self._send_all(calls, methods, began_s)
            except (ClientError, OSError) as error:
                self.result.failure = str(error)
            for _ in range(self._plan.concurrency):
                # Each is held until its call has ended; all calls have a deadline.
                self._free.acquire()
            self.result.elapsed_s = time.monotonic() - began_s
        return self.result

    def _send_all(self, calls: Iterable[Recorded], methods: dict[str, Any], began_s: float) -> None:
        for call in calls:
            due_s = self._due_s(call, began_s)
            if due_s is not None:
                self._stopped.wait(max(due_s - time.monotonic(), 0))
            # In pieces, so that a stop is seen while all calls are under way.
            while not self._stopped.is_set() and not self._free.acquire(timeout=0.1):
                pass
            if self._stopped.is_set():
                self.result.is_whole = False
                return
            self._send(call, methods[call.kind], due_s)

    def _due_s(self, call: Recorded, began_s: float) -> float | None:
        """When to send a call; None for at once."""
        plan = self._plan
        if plan.rate is not None:
            return began_s + self.result.sent / plan.rate
        if call.time_s is None:
            self.result.has_times = False
        if plan.speed is None or call.time_s is None:
            return None
        if self._first_s is None:
            self._first_s = call.time_s
        return began_s + max(call.time_s - self._first_s, 0) / plan.speed

    def _send(self, call: Recorded, method: Any, due_s: float | None) -> None:
        now_s = time.monotonic()
        since_s = now_s if due_s is None else min(due_s, now_s)
        self.result.late_s = now_s - since_s
        self.result.sent += 1
        request = call.request.SerializeToString()
        future = method.future(request, timeout=self._plan.timeout_s, metadata=self._plan.metadata)
        future.add_done_callback(partial(self._end, call, since_s))

    def _end(self, call: Recorded, since_s: float, future: Any) -> None:
        latency_ns = int((time.monotonic() - since_s) * _NS_PER_S)
        try:
            code = Code(future.code().value[0])
            difference = None
            if code is Code.OK and call.code is Code.OK and call.reply is not None:
                difference = self._compare(call, future.result())
            with self._lock:
                self._note(call, code, latency_ns, difference)
        finally:
            self._free.release()

    def _compare(self, call: Recorded, reply: bytes) -> str:
        """Where the reply differs; empty if it does not."""
        try:
            got = type(call.reply).FromString(reply)
            return find_difference(call.reply, got, self._plan.tolerance) or ""
        except Exception as error:  # noqa: BLE001  (whatever it is: the slot is needed, and the run goes on)
            return f"the reply cannot be compared: {error}"

    def _note(self, call: Recorded, code: Code, latency_ns: int, difference: str | None) -> None:
        result = self.result
        result.statuses[code.name] += 1
        if code is Code.OK:
            result.latency_counts[bucket_of(latency_ns)] += 1
        if code is not call.code:
            result.unexpected[f"{call.code.name} -> {code.name}"] += 1
        if difference is not None:
            result.compared += 1
            result.different += bool(difference)
        if difference and len(result.differences) < self._plan.most_differences:
            result.differences.append((call.number, difference))


def _open(connection: Any) -> Any:
    if connection.credentials is None:
        return grpc.insecure_channel(connection.address, connection.options, connection.compression)
    return grpc.secure_channel(connection.address, connection.credentials, connection.options, connection.compression)
