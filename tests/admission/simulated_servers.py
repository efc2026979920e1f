"""Servers and callers in simulated time: what a limit does to goodput and latency, in milliseconds of real time."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from servable.errors import Code

RunTime = Callable[[random.Random, int], float]
"""Gives the seconds that so many rows take."""


class Limit(Protocol):
    def try_begin(self) -> bool: ...
    def end(self, code: Code, seconds: float) -> None: ...


class FixedLimit:
    """As many calls as it is told."""

    def __init__(self, limit: int) -> None:
        self._free = limit

    def try_begin(self) -> bool:
        self._free -= 1
        if self._free < 0:
            self._free += 1
            return False
        return True

    def end(self, code: Code, seconds: float) -> None:
        self._free += 1


def constant(seconds: float) -> RunTime:
    return lambda _rng, _rows: seconds


def exponential(mean_s: float) -> RunTime:
    return lambda rng, _rows: rng.expovariate(1 / mean_s)


def lognormal(mean_s: float) -> RunTime:
    return lambda rng, _rows: mean_s * rng.lognormvariate(-0.5, 1.0)


def linear(fixed_s: float, row_s: float) -> RunTime:
    return lambda _rng, rows: fixed_s + row_s * rows


def mixed(share: float, seconds: float, usual: RunTime) -> RunTime:
    """Calls of which a share, an attacker's, take so many seconds."""
    return lambda rng, rows: seconds if rng.random() < share else usual(rng, rows)


@dataclass
class Outcome:
    """Of the calls that ended after some moment: how many a second, and their latencies in order."""

    goodput: float
    seconds: list[float]

    @property
    def p99_s(self) -> float:
        return self.seconds[int(0.99 * len(self.seconds))]


class Simulation:
    """A queue, first in first out, before some workers that run up to `rows` calls at once; Poisson callers.

    Attributes:
        now_s: The simulated time.
        run_time, workers, rate: May be changed between calls of `run_until`.
    """

    def __init__(self, workers: int, run_time: RunTime, rows: int = 1, seed: int = 1) -> None:
        self.workers, self.run_time, self.rate = workers, run_time, 1.0
        self.now_s = 0.0
        self._rows, self._rng = rows, random.Random(seed)
        self._queue: deque[float] = deque()
        self._running: list[tuple[float, int, list[float]]] = []
        self._runs = 0

    def clock(self) -> float:
        return self.now_s

    def run_until(self, end_s: float, limit: Limit) -> Outcome:
        """Let callers call until a moment."""
        began_s = self.now_s
        seconds = sorted(self._calls(end_s, limit))
        return Outcome(len(seconds) / (end_s - began_s), seconds)

    def _calls(self, end_s: float, limit: Limit) -> Iterator[float]:
        arrival_s = self.now_s + self._rng.expovariate(self.rate)
        while True:
            if self._running and self._running[0][0] < arrival_s:
                self.now_s, _, begun = heapq.heappop(self._running)
                for begun_s in begun:
                    limit.end(Code.OK, self.now_s - begun_s)
                    yield self.now_s - begun_s
            elif arrival_s < end_s:
                self.now_s = arrival_s
                if limit.try_begin():
                    self._queue.append(arrival_s)
                arrival_s += self._rng.expovariate(self.rate)
            else:
                self.now_s = end_s
                return
            self._start_runs()

    def _start_runs(self) -> None:
        while self._queue and len(self._running) < self.workers:
            begun = [self._queue.popleft() for _ in range(min(self._rows, len(self._queue)))]
            self._runs += 1
            end_s = self.now_s + self.run_time(self._rng, len(begun))
            heapq.heappush(self._running, (end_s, self._runs, begun))


def unloaded_p99_s(run_time: RunTime) -> float:
    rng = random.Random(0)
    return sorted(run_time(rng, 1) for _ in range(10_000))[9_900]


def best_goodput(workers: int, run_time: RunTime, rows: int, rate: float, longest_s: float) -> float:
    """The most that any fixed limit gives whose 99th percentile holds a bound."""
    limits = sorted({math.ceil(1.2**power) for power in range(40) if 1.2**power <= 3 * workers * rows + 2})
    best = 0.0
    for limit in limits:
        simulation = Simulation(workers, run_time, rows)
        simulation.rate = rate
        outcome = simulation.run_until(3_000 / rate, FixedLimit(limit))
        if outcome.p99_s <= longest_s:
            best = max(best, outcome.goodput)
    return best
