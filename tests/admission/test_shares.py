"""Which caller gets a place."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.admission.shares import Shares


def take(shares, caller, limit):
    may_take = shares.in_flight < limit and shares.may_take(caller, limit)
    if may_take:
        shares.take(caller)
    return may_take


def fill(shares, limit, *callers):
    """Each caller in turn takes what it gets, until none gets anything; who has how many places."""
    taken = True
    while taken:
        taken = sum(take(shares, caller, limit) for caller in callers) > 0
    return [shares.held_by(caller) for caller in callers]


def test_a_lone_caller_leaves_a_fifth():
    assert fill(Shares(), 100, "greedy") == [80]


def test_greedy_callers_have_the_same_share_and_leave_some():
    places = fill(Shares(), 1000, *"abcde")
    assert max(places) - min(places) <= 1
    assert 900 < sum(places) < 1000


@pytest.mark.parametrize("limit", [2, 3, 4, 10, 1000])
def test_who_has_nothing_finds_a_place_beside_the_greedy(limit):
    shares = Shares()
    fill(shares, limit, "greedy", *(["greedier"] if limit > 3 else []))
    assert take(shares, "modest", limit)


def test_one_place_is_for_anyone():
    assert fill(Shares(), 1, "a") == [1]


def test_many_names_get_no_more_than_there_is_and_leave_no_trace():
    shares = Shares()
    names = [name for name in map(str, range(10_000)) if take(shares, name, 100)]
    assert len(names) == 100
    for name in names:
        shares.give_back(name)
    assert (shares._places, shares.in_flight) == ({}, 0)


def test_many_names_with_a_place_each_keep_nobody_from_what_is_free():
    shares = Shares()
    assert all(take(shares, str(number), 1000) for number in range(500))
    assert fill(shares, 1000, "busy") == [400]


def test_a_limit_that_shrinks_below_what_is_taken_harms_nothing():
    shares = Shares()
    fill(shares, 100, "a", "b")
    assert not take(shares, "a", 2)
    for _ in range(shares.held_by("a")):
        shares.give_back("a")
    assert shares.held_by("a") == 0


@settings(deadline=None)
@given(st.integers(1, 30), st.randoms(use_true_random=False))
def test_places_are_counted_right_whatever_happens(limit, chance: random.Random):
    shares, held = Shares(), []
    for _ in range(60):
        caller = chance.choice([*"abcdef", None])
        if chance.random() < 0.6:
            if shares.in_flight < limit and (caller is None or shares.may_take(caller, limit)):
                shares.take(caller)
                held.append(caller)
        elif held:
            shares.give_back(held.pop(chance.randrange(len(held))))
        named = [name for name in held if name is not None]
        assert shares._places == {name: named.count(name) for name in set(named)}
        assert shares.in_flight == len(held) <= limit
