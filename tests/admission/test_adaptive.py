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
    outcome = simulation.run_until(12_000 / capacity, limit)
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


@pytest.mark.parametrize("name", SERVERS)
def test_at_capacity_goodput_stays_and_what_is_admitted_is_fast(name: str) -> None:
    # The limit of one worker goes between 3 and 4 here, and 3 is what the bound allows.
    goodput, slowness = simulate(name, load=1, seed=1)
    assert goodput >= LEAST_GOODPUT
    assert slowness <= LONGEST * 1.25


@pytest.mark.parametrize("name", SERVERS)
def test_at_half_the_capacity_hardly_anything_is_refused(name: str) -> None:
    # What is admitted may then wait as long as chance makes it: bursts are no overload.
    workers, run_time, rows, capacity = SERVERS[name]
    simulation = Simulation(workers, run_time, rows)
    simulation.rate = capacity / 2
    limit = AdaptiveLimit(clock=simulation.clock)
    simulation.run_until(4_000 / capacity, limit)
    assert simulation.run_until(8_000 / capacity, limit).goodput >= LEAST_GOODPUT * simulation.rate


def overloaded(workers: int, run_time: RunTime) -> tuple[Simulation, AdaptiveLimit]:
    simulation = Simulation(workers, run_time)
    simulation.rate = 2 * workers / S
    limit = AdaptiveLimit(clock=simulation.clock)
    simulation.run_until(5_000 * S / workers, limit)
    return simulation, limit


CALLS_TO_HEAL = 2_000
"""Twenty windows of the usual size."""


def test_it_heals_when_half_of_the_workers_go() -> None:
    simulation, limit = overloaded(8, exponential(S))
    simulation.workers = 4
    simulation.run_until(simulation.now_s + CALLS_TO_HEAL * S / 4, limit)
    outcome = simulation.run_until(simulation.now_s + CALLS_TO_HEAL * S / 4, limit)
    assert outcome.goodput >= LEAST_GOODPUT * 4 / S
    assert outcome.p99_s <= LONGEST * unloaded_p99_s(exponential(S))


def test_it_heals_when_there_are_twice_as_many_workers() -> None:
    simulation, limit = overloaded(4, constant(S))
    simulation.workers, simulation.rate = 8, 16 / S
    simulation.run_until(simulation.now_s + CALLS_TO_HEAL * S / 8, limit)
    outcome = simulation.run_until(simulation.now_s + CALLS_TO_HEAL * S / 8, limit)
    assert outcome.goodput >= LEAST_GOODPUT * 8 / S
    assert outcome.p99_s <= LONGEST * S


@pytest.mark.parametrize(("factor", "probes"), [(0.2, 1), (0.5, 3), (2.0, 1), (10.0, 1), (100.0, 1)])
def test_it_heals_when_the_model_becomes_slower_or_faster_for_good(factor: float, probes: int) -> None:
    simulation, limit = overloaded(4, constant(S))
    simulation.run_time, simulation.rate = constant(factor * S), 8 / (factor * S)
    # A probe of 30 calls, one at a time, may take 2 % of the time: the next comes after 1500 times a call's latency.
    longest_s = probes * 1_550 * S * max(1.0, factor)
    simulation.run_until(simulation.now_s + longest_s, limit)
    outcome = simulation.run_until(simulation.now_s + 4_000 * factor * S, limit)
    assert outcome.goodput >= LEAST_GOODPUT * 4 / (factor * S)
    assert outcome.p99_s <= LONGEST * factor * S * 1.05


def test_it_does_not_drift_under_an_overload_that_lasts() -> None:
    simulation, limit = overloaded(4, exponential(S))
    for _ in range(8):
        outcome = simulation.run_until(simulation.now_s + 2_500 * S, limit)
        assert outcome.p99_s <= LONGEST * unloaded_p99_s(exponential(S))
        assert outcome.goodput >= LEAST_GOODPUT * 4 / S


@pytest.mark.parametrize(
    ("share", "factor"), [(0.05, 100.0), (0.3, 10.0), (0.05, 0.01), (0.5, 0.01), (0.95, 0.01)], ids=str
)
def test_very_slow_or_fast_calls_of_an_attacker_neither_close_nor_open_the_limit(share: float, factor: float) -> None:
    simulation, limit = overloaded(8, exponential(S))
    attack = mixed(share, factor * S, exponential(S))
    mean_s = share * factor * S + (1 - share) * S
    simulation.run_time, simulation.rate = attack, 16 / mean_s
    simulation.run_until(simulation.now_s + 600 * max(mean_s, S), limit)
    # As long as it lasts, the workers are kept busy, with a queue in proportion.
    limits = []
    for _ in range(50):
        simulation.run_until(simulation.now_s + 20 * mean_s, limit)
        limits.append(limit.limit)
    assert sorted(limits)[25] >= 8
    assert max(limits) < 1024
    # And once it is over the limit is as before, after at most two probes.
    simulation.run_time, simulation.rate = exponential(S), 16 / S
    simulation.run_until(simulation.now_s + 3_000 * S + 1_500 * mean_s, limit)
    outcome = simulation.run_until(simulation.now_s + 2_000 * S, limit)
    assert outcome.goodput >= LEAST_GOODPUT * 8 / S
    assert outcome.p99_s <= LONGEST * unloaded_p99_s(exponential(S)) * 1.1


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def run_alone(limit: AdaptiveLimit, clock: Clock, calls: int, seconds: float = S) -> None:
    for _ in range(calls):
        assert limit.try_begin()
        clock.now_s += seconds
        limit.end(Code.OK, seconds)


def fill(limit: AdaptiveLimit) -> int:
    begun = 0
    while limit.try_begin():
        begun += 1
    return begun


def begin_probe(limit: AdaptiveLimit, clock: Clock) -> int:
    """Overload a limit until it probes; how many calls are in flight then."""
    fill(limit)
    for _ in range(10_000):
        if limit.limit == 1:
            return limit.in_flight
        clock.now_s += S / 16
        limit.end(Code.OK, S)
        fill(limit)
    raise AssertionError("there was no probe")


def test_a_call_that_hangs_does_not_hold_up_a_probe() -> None:
    clock = Clock()
    limit = AdaptiveLimit(clock=clock)
    begin_probe(limit, clock)
    while limit.in_flight > 1:
        limit.end(Code.OK, 2 * S)
    # One call of before the probe never ends, so none may begin at first.
    assert not limit.try_begin()
    clock.now_s += 10 * S
    limit.try_begin()
    assert limit.try_begin()


def test_a_probe_whose_own_call_hangs_is_given_up() -> None:
    clock = Clock()
    limit = AdaptiveLimit(clock=clock)
    for _ in range(begin_probe(limit, clock)):
        limit.end(Code.OK, 2 * S)
    assert limit.try_begin()
    assert not limit.try_begin()
    clock.now_s += 1_000 * S
    limit.try_begin()
    assert limit.limit > 1


def test_while_nothing_is_refused_there_are_no_probes() -> None:
    clock = Clock()
    limit = AdaptiveLimit(clock=clock)
    for _ in range(2_000):
        run_alone(limit, clock, 1)
        assert limit.limit == AdaptiveSettings().initial
    assert limit.baseline_s == pytest.approx(S)


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.RESOURCE_EXHAUSTED, Code.INTERNAL])
def test_calls_that_fail_by_themselves_say_nothing(code: Code) -> None:
    clock = Clock()
    limit = AdaptiveLimit(clock=clock)
    run_alone(limit, clock, 1_000)
    before = limit.limit, limit.baseline_s
    for seconds in (1e-6, 1e6):
        for _ in range(2_000):
            assert limit.try_begin()
            limit.end(code, seconds)
    assert (limit.limit, limit.baseline_s) == before


def test_deadlines_that_no_call_could_hold_say_nothing() -> None:
    clock = Clock()
    limit = AdaptiveLimit(clock=clock)
    run_alone(limit, clock, 1_000)
    for _ in range(5_000):
        assert limit.try_begin()
        limit.end(Code.DEADLINE_EXCEEDED, S / 2)
    assert limit.limit == AdaptiveSettings().initial


@pytest.mark.parametrize("code", [Code.DEADLINE_EXCEEDED, Code.CANCELLED, Code.UNAVAILABLE])
def test_if_most_calls_are_too_late_the_limit_shrinks(code: Code) -> None:
    clock = Clock()
    limit = AdaptiveLimit(clock=clock)
    run_alone(limit, clock, 1_000)
    for _ in range(200):
        assert limit.try_begin()
        limit.end(code, 2 * S)
    assert limit.limit < AdaptiveSettings().initial


def test_a_model_that_was_away_is_served_again_at_once() -> None:
    simulation, limit = overloaded(4, constant(S))
    for _ in range(5_000):
        if limit.try_begin():
            limit.end(Code.UNAVAILABLE, 1e-5)
    simulation.run_until(simulation.now_s + 1_000 * S, limit)
    assert simulation.run_until(simulation.now_s + 1_000 * S, limit).goodput >= LEAST_GOODPUT * 4 / S


def test_an_end_without_a_beginning_is_an_error() -> None:
    limit = AdaptiveLimit()
    assert limit.try_begin()
    limit.end(Code.OK, S)
    with pytest.raises(RuntimeError, match="had not begun"):
        limit.end(Code.OK, S)
    assert limit.in_flight == 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: AdaptiveSettings(least=0),
        lambda: AdaptiveSettings(least=5, initial=4),
        lambda: AdaptiveSettings(initial=5, most=4),
        lambda: AdaptiveSettings(tolerance=1.0),
        lambda: AdaptiveSettings(quantile=1.0),
        lambda: AdaptiveSettings(probe_share=0.0),
        lambda: AdaptiveSettings(window_calls=0),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], AdaptiveSettings]) -> None:
    with pytest.raises(ValueError, match=r"must|does not hold"):
        make()


SECONDS = st.one_of(
    st.floats(0, 1e3),
    st.sampled_from([0.0, -1.0, math.inf, -math.inf, math.nan, 1e-300, 1e300]),
)
STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(Code), SECONDS, st.floats(0, 10), st.integers(1, 30)), max_size=40
)


@given(steps=STEPS, least=st.integers(1, 4), more=st.integers(0, 4), most=st.integers(8, 40))
def test_whatever_callers_do_the_limit_and_the_calls_stay_within_bounds(
    steps: list[tuple[bool, Code, float, float, int]], least: int, more: int, most: int
) -> None:
    clock = Clock()
    settings = AdaptiveSettings(least=least, initial=least + more, most=most, window_calls=5, probe_calls=2)
    limit, in_flight = AdaptiveLimit(settings, clock), 0
    for begins, code, seconds, pause_s, times in steps:
        clock.now_s += pause_s
        for _ in range(times):
            if begins:
                in_flight += limit.try_begin()
            elif in_flight:
                limit.end(code, seconds)
                in_flight -= 1
            assert limit.in_flight == in_flight
            assert 0 <= in_flight <= most
            assert least <= limit.limit <= most
    # With nothing in flight there is always room.
    for _ in range(in_flight):
        limit.end(Code.OK, 1.0)
    assert limit.try_begin()


def test_threads_that_begin_and_end_lose_no_place() -> None:
    limit = AdaptiveLimit(AdaptiveSettings(window_calls=5, probe_calls=2))

    def call() -> None:
        for _ in range(2_000):
            if limit.try_begin():
                limit.end(Code.OK, 1e-3)

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert limit.in_flight == 0
    assert limit.try_begin()
