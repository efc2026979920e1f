"""The adaptive limit: in simulated overloads, when servers change, under attack, and as a counter."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable.admission.adaptive import AdaptiveLimit, AdaptiveSettings
from servable.errors import Code
from tests.admission.simulated_servers import (
    RunTime,
    Simulation,
    best_goodput,
    constant,
    exponential,
    linear,
    lognormal,
    mixed,
    unloaded_p99_s,
)

S = 0.005
LONGEST = 3.0
LEAST_GOODPUT = 0.9

# Workers, what a run takes, rows of a batch, and how many calls a second such a server can answer at most.
SERVERS: dict[str, tuple[int, RunTime, int, float]] = {
    "one worker, constant": (1, constant(S), 1, 1 / S),
    "four workers, constant": (4, constant(S), 1, 4 / S),
    "32 workers, constant": (32, constant(S), 1, 32 / S),
    "one worker, exponential": (1, exponential(S), 1, 1 / S),
    "four workers, exponential": (4, exponential(S), 1, 4 / S),
    "four workers, lognormal": (4, lognormal(S), 1, 4 / S),
    "batches of 16, rows are cheap": (1, linear(0.8 * S, 0.05 * S), 16, 16 / (1.6 * S)),
    "batches of 8, rows are dear": (1, linear(0.4 * S, 0.2 * S), 8, 8 / (2 * S)),
}


def simulate(name: str, load: float, seed: int) -> tuple[float, float]:
    """The goodput in parts of the best, and the 99th percentile in parts of the unloaded, once the limit has learnt."""
    workers, run_time, rows, capacity = SERVERS[name]
    simulation = Simulation(workers, run_time, rows, seed)
    simulation.rate = load * capacity
    limit = AdaptiveLimit(clock=simulation.clock)
    simulation.run_until(4_000 / capacity, limit)
    outcome = simulation.run_until(16_000 / capacity, limit)
    alone_s = unloaded_p99_s(run_time)
    best = best_goodput(workers, run_time, rows, simulation.rate, LONGEST * alone_s)
    return outcome.goodput / best, outcome.p99_s / alone_s


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("load", [2, 5])
@pytest.mark.parametrize("name", SERVERS)
def test_under_overload_goodput_stays_and_what_is_admitted_is_fast(name: str, load: float, seed: int) -> None:
    goodput, slowness = simulate(name, load, seed)
    assert goodput >= LEAST_GOODPUT
    assert slowness <= LONGEST * 1.05
