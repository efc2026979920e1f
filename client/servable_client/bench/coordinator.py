"""The processes of a run: started, followed, ended. They are spawned, since grpc does not survive a fork."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from threading import BrokenBarrierError
from typing import Any

from servable_client.bench.counters import Counters, Latencies
from servable_client.bench.worker import Plan, run_worker
from servable_client.errors import ClientError

_NS_PER_S = 1e9
_START_S = 0.05
_READY_S = 60.0
_LOOK_S = 0.5


class BenchFailed(ClientError):
    """A run that could not be made."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A run so far.

    Attributes:
        elapsed_s: Seconds of measuring; negative while it warms up.
        latencies: The calls that succeeded.
        failed: How many did not.
    """

    elapsed_s: float
    latencies: Latencies
    failed: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a run has measured.

    Attributes:
        elapsed_s: Seconds from the first call that counts to the end of the last one.
        latencies: The latencies of the calls that succeeded.
        statuses: How many calls ended with each status, by its name.
        unsent: How many calls of a rate could not be sent before the end.
        cpu_s: The CPU seconds of the sending processes.
        is_whole: Whether it ran to its end, and was not interrupted.
    """

    elapsed_s: float
    latencies: Latencies
    statuses: dict[str, int]
    unsent: int
    cpu_s: float
    is_whole: bool


def run(plan: Plan, on_progress: Callable[[Progress], None]) -> Result:
    """Carry out a plan.

    Args:
        plan: The plan.
        on_progress: Called twice a second with the progress.

    Raises:
        BenchFailed: if a worker did not start, or died.
    """
    context = multiprocessing.get_context("spawn")
    counters = Counters(context, plan.processes)
    ready, start_ns = context.Barrier(plan.processes + 1), context.RawValue("q", 0)
    workers = [
        context.Process(target=run_worker, args=(plan, index, counters, ready, start_ns), daemon=True)
        for index in range(plan.processes)
    ]
    with _interrupts() as interrupted:
        try:
            for worker in workers:
                worker.start()
            measure_ns = _release(plan, ready, start_ns)
            is_whole = _follow(workers, counters, measure_ns, on_progress, interrupted)
        finally:
            for worker in workers:
                worker.terminate()
                worker.join()
    return _read(plan, counters, measure_ns, is_whole=is_whole)


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets. A KeyboardInterrupt could be raised inside a library that swallows it, and be lost."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before = signal.signal(signal.SIGINT, lambda *_: interrupted.set())
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)


def _release(plan: Plan, ready: Any, start_ns: Any) -> int:
    """Start the clock; returns when measuring begins."""
    # Set before the barrier opens, and far enough ahead for the slowest of the connections.
    deadline = time.monotonic() + _READY_S
    while ready.n_waiting < plan.processes:
        if ready.broken or time.monotonic() > deadline:
            raise BenchFailed("a process of the benchmark did not start")
        time.sleep(0.01)
    start_ns.value = time.monotonic_ns() + int(_START_S * _NS_PER_S)
    try:
        ready.wait(_READY_S)
    except BrokenBarrierError:
        raise BenchFailed("a process of the benchmark did not start") from None
    return int(start_ns.value) + int(plan.warmup_s * _NS_PER_S)


def _follow(
    workers: Sequence[BaseProcess],
    counters: Counters,
    measure_ns: int,
    on_progress: Callable[[Progress], None],
    interrupted: threading.Event,
) -> bool:
    """Wait for the end; returns whether it was reached."""
    for worker in workers:
        while worker.is_alive():
            if interrupted.is_set():
                return False
            worker.join(_LOOK_S)
            on_progress(_progress(counters, measure_ns))
        if worker.exitcode:
            raise BenchFailed(f"a process of the benchmark ended with status {worker.exitcode}")
    return True


def _progress(counters: Counters, measure_ns: int) -> Progress:
    statuses = counters.statuses()
    statuses.pop("OK", None)
    return Progress((time.monotonic_ns() - measure_ns) / _NS_PER_S, counters.latencies(), sum(statuses.values()))


def _read(plan: Plan, counters: Counters, measure_ns: int, *, is_whole: bool) -> Result:
    planned_ns = measure_ns + int(plan.duration_s * _NS_PER_S)
    # A closed loop ends with calls that were begun in time and ended after it.
    until_ns = max(planned_ns, counters.last_ns()) if is_whole else time.monotonic_ns()
    elapsed_s = max(until_ns - measure_ns, 1) / _NS_PER_S
    cpu_s = counters.cpu_ns() / _NS_PER_S
    return Result(elapsed_s, counters.latencies(), counters.statuses(), counters.unsent(), cpu_s, is_whole)
