"""Estimates of runs by size: what proves them, what does not change them, and what an attacker can do with them."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.run_costs import LongestRuns, RunCost, RunCosts

QUICK_S, LONG_S = 1e-4, 1.0


def prove(cost, seconds=QUICK_S, now_s=0.0, runs=3):
    for _ in range(runs):
        cost.note_cpu(seconds)
        cost.note(seconds, now_s)


def overrun(cost, seconds=LONG_S, now_s=0.0):
    """A run that the watchdog takes for too long."""
    cost.suspend()
    cost.resume()
    cost.note(seconds, now_s, was_overdue=True)


def is_trusted(cost, now_s=0.0):
    return now_s < cost.trusted_until_s


def runs_until_trusted(cost, seconds=QUICK_S):
    runs = 0
    while not is_trusted(cost):
        cost.note(seconds, 0.0)
        runs += 1
        assert runs <= 5000
    return runs


def test_nothing_is_trusted_before_a_few_runs_have_proved_it():
    cost = RunCost()
    assert (cost.run_s, cost.cpu_s) == (math.inf, math.inf)
    assert runs_until_trusted(cost) == 3
    assert cost.run_s == QUICK_S


def test_the_shortest_of_the_first_runs_counts_as_the_others_prepare():
    cost = RunCost()
    for seconds in (2.0, 3e-4, 2e-4):
        cost.note(seconds, 0.0)
    assert cost.run_s == 2e-4


def test_sizes_share_an_estimate_only_between_two_powers_of_two():
    costs = RunCosts()
    assert costs.of(64) is costs.of(127)
    assert costs.of(127) is not costs.of(128)
    costs.assume(64, QUICK_S)
    assert is_trusted(costs.of(100), now_s=0.0)
    assert not any(is_trusted(costs.of(size)) for size in (0, 63, 128, 1 << 40))


def test_an_estimate_ages():
    cost = RunCost()
    prove(cost, now_s=1000.0)
    assert is_trusted(cost, 1059.0)
    assert not is_trusted(cost, 1061.0)
    cost.note(QUICK_S, 1061.0)
    assert is_trusted(cost, 1062.0)


@pytest.mark.parametrize("was_overdue", [False, True])
def test_refused_runs_prove_nothing_and_change_nothing(was_overdue):
    cost = RunCost()
    for _ in range(1000):
        cost.note_failure(1e-5, was_overdue=was_overdue)
    assert not is_trusted(cost)
    prove(cost, LONG_S)
    for _ in range(1000):
        cost.note_failure(1e-5, was_overdue=was_overdue)
    assert cost.run_s == LONG_S


def test_a_run_that_fails_after_a_long_time_withdraws_the_trust():
    cost = RunCost()
    prove(cost)
    cost.note_failure(LONG_S, was_overdue=True)
    assert runs_until_trusted(cost) == 16


def test_while_a_run_is_overdue_nothing_is_trusted_whatever_is_noted():
    cost = RunCost()
    prove(cost)
    cost.suspend()
    assert not is_trusted(cost)
    for _ in range(100):
        cost.note(QUICK_S, 0.0)
    assert not is_trusted(cost)
    cost.resume()
    cost.note(QUICK_S, 0.0)
    assert is_trusted(cost)


def test_a_run_that_was_only_held_up_for_a_moment_costs_no_trust():
    cost = RunCost()
    prove(cost)
    overrun(cost, seconds=0.004)
    assert is_trusted(cost)


def test_each_overrun_takes_twice_as_many_runs_to_forget_but_not_without_end():
    cost = RunCost()
    prove(cost)
    took = []
    for _ in range(12):
        overrun(cost)
        took.append(runs_until_trusted(cost))
    assert took == [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096, 4096]


def test_many_runs_without_an_overrun_are_forgiven():
    cost = RunCost()
    prove(cost)
    for _ in range(4):
        overrun(cost)
        runs_until_trusted(cost)
    prove(cost, runs=3 * 4096)
    overrun(cost)
    assert runs_until_trusted(cost) < 128


def test_one_slow_run_among_quick_ones_lowers_the_trust_each_time():
    """The time of a run depends on its values: of 100,000 runs every other that is trusted takes a second."""
    cost, overruns = RunCost(), 0
    for _ in range(100_000):
        if is_trusted(cost):
            overrun(cost)
            overruns += 1
        else:
            cost.note(QUICK_S, 0.0)
    assert overruns < 40


def test_what_waited_for_others_moves_an_estimate_little():
    cost = RunCost()
    prove(cost)
    for index in range(300):
        cost.note(QUICK_S if index % 3 == 0 else 0.005, 0.0)
    assert cost.run_s < 1e-3


def test_a_model_that_became_slow_is_estimated_as_slow():
    cost = RunCost()
    prove(cost)
    for _ in range(60):
        cost.note(0.005, 0.0)
    assert cost.run_s > 1e-3


def test_the_cpu_of_some_runs_is_asked_for():
    cost = RunCost()
    assert all(cost.wants_cpu() for _ in range(3))
    prove(cost)
    assert sum(cost.wants_cpu() for _ in range(1600)) == 100


SECONDS = st.floats(1e-6, 10.0)


@settings(deadline=None)
@given(st.lists(st.tuples(SECONDS, st.booleans(), st.booleans()), max_size=200))
def test_an_estimate_stays_between_the_shortest_and_the_longest_run(runs):
    cost = RunCost()
    for seconds, fails, was_overdue in runs:
        if fails:
            cost.note_failure(seconds, was_overdue=was_overdue)
        else:
            cost.note(seconds, 0.0, was_overdue=was_overdue)
    completed = [seconds for seconds, fails, _ in runs if not fails]
    if completed:
        assert min(completed) * 0.999 <= cost.run_s <= max(completed) * 1.001
    if len(completed) < 3:
        assert not is_trusted(cost)


def test_a_size_that_was_not_seen_may_take_as_much_longer_as_it_is_larger():
    longest = LongestRuns()
    assert longest.estimate_s(4) == 0
    longest.note(4, 0.5)  # Of all runs the first one prepares the graph.
    assert longest.estimate_s(4) == 0.5
    assert longest.estimate_s(4 << 17) == 0
    for _ in range(200):
        longest.note(4, 1e-4)
    assert longest.estimate_s(4 << 17) == pytest.approx(1e-4 * 2**17, rel=0.01)


def test_a_size_between_those_that_were_seen_takes_no_longer_than_the_next_larger_one():
    longest = LongestRuns()
    for size, seconds in ((1, 9.0), (4, 0.1), (1024, 0.3)):
        longest.note(size, seconds)
    assert longest.estimate_s(64) == 0.3


def test_refused_runs_make_no_run_short_and_late_ones_make_it_long():
    longest = LongestRuns()
    longest.note(4, 0.5)
    for _ in range(100):
        longest.note_failure(4, 1e-5)
    assert longest.estimate_s(4) == 0.5
    longest.note_failure(4, 2.0)
    assert longest.estimate_s(4) == 2.0
