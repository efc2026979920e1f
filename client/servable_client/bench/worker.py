"""One process that sends what a plan says: a raw channel, bytes that were made before, undecoded replies.

Calls are futures and the next one is sent from the callback of the last, on grpc's own thread. That took a fifth less
CPU a call than a thread for each slot with blocking calls, and less than asyncio; see benchmarks/README.md.
"""

from __future__ import annotations

import signal
import threading
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from servable_client._network import Network
from servable_client.bench.counters import Counters, bucket_of

_NS_PER_S = 1_000_000_000
_READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run shall do: a value that can be pickled.

    Attributes:
        network: The server.
        path: The full path of the method.
        request: The bytes of the request that all calls send.
        metadata: The headers of all calls.
        timeout_s: The deadline of a call, in seconds.
        concurrency: How many calls may be under way at once, over all processes.
        rate: Calls to send in a second, over all processes, on time whatever the server does; None sends the next
            call when one has ended (a closed loop).
        duration_s: How long to measure, in seconds.
        warmup_s: How long to send before that without counting, in seconds.
        processes: How many processes send.
    """

    network: Network
    path: str
    request: bytes
    metadata: tuple[tuple[str, str | bytes], ...]
    timeout_s: float
    concurrency: int
    rate: float | None
    duration_s: float
    warmup_s: float
    processes: int

    def slots(self, worker: int) -> int:
        """How many calls one of the processes may have under way."""
        return self.concurrency // self.processes + (worker < self.concurrency % self.processes)


def run_worker(plan: Plan, worker: int, counters: Counters, ready: Any, start_ns: Any) -> None:
    """Send what a plan says, from the start that the command sets once all workers are ready.

    Args:
        plan: What to send.
        worker: Which of the processes this is.
        counters: Where to count.
        ready: A barrier of all workers and the command.
        start_ns: A shared number: the start in nanoseconds of the monotonic clock.
    """
    # Ctrl-C reaches the whole group; the command decides what to do about it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = plan.network.connection()
    with _open(connection) as channel:
        call = channel.unary_unary(plan.path)
        # The connection is made before the clock runs. The calls show whether it works.
        call.future(plan.request, timeout=plan.timeout_s, metadata=plan.metadata).exception()
        ready.wait(_READY_S)
        sender = _Sender(plan, worker, counters, call, start_ns.value)
        sender.run()


def _open(connection: Any) -> Any:
    if connection.credentials is None:
        return grpc.insecure_channel(connection.address, connection.options, connection.compression)
    return grpc.secure_channel(connection.address, connection.credentials, connection.options, connection.compression)


class _Sender:
    """The calls of one worker."""

    def __init__(self, plan: Plan, worker: int, counters: Counters, call: Any, start_ns: int) -> None:
        self._plan, self._worker, self._counters, self._call = plan, worker, counters, call
        self._start_ns = start_ns
        self._measure_ns = start_ns + int(plan.warmup_s * _NS_PER_S)
        self._end_ns = self._measure_ns + int(plan.duration_s * _NS_PER_S)
        self._free = threading.Semaphore(plan.slots(worker))

    def run(self) -> None:
        """Send until the end, and wait for the calls that are under way then."""
        _sleep_until(self._start_ns)
        cpu_ns = time.process_time_ns()
        if self._plan.rate is None:
            self._start_loops()
        else:
            self._send_on_time(self._plan.rate)
        for _ in range(self._plan.slots(self._worker)):
            # Held by each slot until its last call has ended; all calls have a deadline.
            self._free.acquire()
        self._counters.set_cpu(self._worker, time.process_time_ns() - cpu_ns)

    def _start_loops(self) -> None:
        for _ in range(self._plan.slots(self._worker)):
            self._free.acquire()
            self._send_next()

    def _send_next(self) -> None:
        """One step of a closed loop: the next call, or the slot back."""
        now_ns = time.monotonic_ns()
        if now_ns >= self._end_ns:
            self._free.release()
        else:
            self._send(now_ns, self._send_next)

    def _send_on_time(self, rate: float) -> None:
        """Each call at its time. One that has to wait for a slot is counted from the time it should have had."""
        number = self._worker
        while True:
            due_ns = self._start_ns + int(number / rate * _NS_PER_S)
            if due_ns >= self._end_ns:
                return
            _sleep_until(due_ns)
            left_s = (self._end_ns - time.monotonic_ns()) / _NS_PER_S
            if not self._free.acquire(timeout=max(0.0, left_s)):
                self._count_unsent(number, rate)
                return
            self._send(due_ns, self._free.release)
            number += self._plan.processes

    def _count_unsent(self, number: int, rate: float) -> None:
        due = int((self._end_ns - self._start_ns) / _NS_PER_S * rate)
        self._counters.add_unsent(self._worker, len(range(number, due, self._plan.processes)))

    def _send(self, since_ns: int, then: Any) -> None:
        plan = self._plan
        # By when it is sent, not by when it should have been: an overload from the start would leave nothing to count.
        counts = time.monotonic_ns() >= self._measure_ns
        future = self._call.future(plan.request, timeout=plan.timeout_s, metadata=plan.metadata)
        future.add_done_callback(partial(self._end, since_ns if counts else None, then))

    def _end(self, since_ns: int | None, then: Any, future: Any) -> None:
        now_ns = time.monotonic_ns()
        if since_ns is not None:
            code = future.code().value[0]
            if code == 0:
                self._counters.count_latency(self._worker, bucket_of(now_ns - since_ns))
            self._counters.count_status(self._worker, code, now_ns)
        then()


def _sleep_until(when_ns: int) -> None:
    left_ns = when_ns - time.monotonic_ns()
    if left_ns > 0:
        time.sleep(left_ns / _NS_PER_S)
