"""Room for calls: what is taken, what is refused, and that all of it is given back."""

import contextlib
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable.admission.adaptive import AdaptiveSettings
from servable.admission.admission import LARGE_BYTES, Admission
from servable.admission.settings import AdmissionSettings
from servable.calls import NO_CONTEXT, LocalContext
from servable.errors import Code, ResourceExhausted


def admission(**settings):
    return Admission(AdmissionSettings(**settings))


def caller(name):
    return LocalContext([("x-caller-id", name)])


def refusals(of):
    (family,) = [family for family in of.families() if family.name == "servable_refused_calls"]
    return {reason: count for (reason,), count in family.values.items() if count}


def bytes_in_flight(of):
    (family,) = [family for family in of.families() if family.name == "servable_request_bytes_in_flight"]
    return family.values[()]


def test_without_limits_nothing_is_refused_or_taken():
    limits = admission()
    assert limits.refusal(10**9) is None
    assert limits.begin(NO_CONTEXT, 10**9) is None
    assert limits.admit(None, "m") is None
    assert not limits.follows_all


def test_a_call_over_the_limit_of_all_calls_is_refused_as_it_arrives():
    limits = admission(calls=2)
    assert limits.refusal(2) is None
    refused = limits.refusal(3)
    assert refused.message == "Too much at once: 2 calls are in flight (--max_calls_in_flight); try again later"
    assert refusals(limits) == {"calls": 1}


def test_a_refusal_says_when_to_try_again_and_its_copies_do_too():
    refused = admission(calls=1).refusal(2)
    assert refused.retry_after_s == copy.copy(refused).retry_after_s


def test_not_all_refused_calls_are_told_to_come_at_once():
    limits = admission(calls=1)
    told_s = {limits.refusal(2).retry_after_s for _ in range(100)}
    assert len(told_s) > 5
    assert 0.5 <= min(told_s) <= max(told_s) <= 1


def begin_all(limits, name, model=None, most=1000):
    """The tickets of as many calls of a caller as are let in."""
    tickets = []
    with contextlib.suppress(ResourceExhausted):
        while len(tickets) < most:
            tickets.append(limits.begin(caller(name), 1))
            if model is not None:
                limits.admit(tickets[-1], model)
    return tickets


def test_a_greedy_caller_leaves_a_fifth_of_all_calls_to_others():
    limits = admission(calls=100, caller_key="x-caller-id")
    assert len(begin_all(limits, "greedy")) == 80
    assert len(begin_all(limits, "modest", most=5)) == 5
    assert refusals(limits) == {"caller": 1}


def test_a_greedy_caller_leaves_room_with_each_model_too():
    limits = admission(calls_per_model=10, caller_key="x-caller-id")
    greedy = begin_all(limits, "greedy", "m")
    assert len(limits._by_model["m"]._places) == 1
    assert limits._by_model["m"].in_flight == 8
    begin_all(limits, "modest", "m", most=1)
    assert limits._by_model["m"].in_flight == 9
    for ticket in greedy:
        ticket.release(Code.OK, 0.1)
    assert limits._by_model["m"].in_flight == 1


def test_an_adaptive_limit_learns_that_it_is_reached_by_one_caller_alone():
    limits, seen = admission(is_adaptive=True, caller_key="x-caller-id"), set()
    for _ in range(50):
        for ticket in begin_all(limits, "lone", "m"):
            # So short that no time of the real clock, by which probes are ended, is before it.
            ticket.release(Code.OK, 1e-9)
        seen.add(limits._adaptive["m"].limit)
    assert max(seen) > AdaptiveSettings().initial


def test_small_messages_take_no_bytes():
    assert admission(request_bytes=1).begin(NO_CONTEXT, LARGE_BYTES - 1) is None


def test_large_messages_share_the_bytes():
    limits = admission(request_bytes=3 * LARGE_BYTES)
    first = limits.begin(NO_CONTEXT, 2 * LARGE_BYTES)
    with pytest.raises(ResourceExhausted, match="--max_request_mb_in_flight"):
        limits.begin(NO_CONTEXT, 2 * LARGE_BYTES)
    assert limits.begin(NO_CONTEXT, 10) is None
    first.release(Code.OK, 0.1)
    limits.begin(NO_CONTEXT, 2 * LARGE_BYTES).release(Code.OK, 0.1)
    assert bytes_in_flight(limits) == 0
    assert refusals(limits) == {"bytes": 1}


def test_one_message_is_always_taken_however_large():
    limits = admission(request_bytes=LARGE_BYTES)
    huge = limits.begin(NO_CONTEXT, 100 * LARGE_BYTES)
    with pytest.raises(ResourceExhausted):
        limits.begin(NO_CONTEXT, LARGE_BYTES)
    huge.release(Code.OK, 0.1)


def test_a_caller_with_many_calls_takes_no_room_from_others():
    limits = admission(calls_per_caller=2, caller_key="x-caller-id")
    tickets = [limits.begin(caller("greedy"), 1) for _ in range(2)]
    with pytest.raises(ResourceExhausted, match="2 calls of this caller are in flight"):
        limits.begin(caller("greedy"), 1)
    limits.begin(caller("modest"), 1).release(Code.OK, 0.1)
    tickets[0].release(Code.CANCELLED, 0.1)
    limits.begin(caller("greedy"), 1)


def test_those_who_do_not_say_who_they_are_share_one_name():
    limits = admission(calls_per_caller=1, caller_key="x-caller-id")
    limits.begin(NO_CONTEXT, 1)
    with pytest.raises(ResourceExhausted):
        limits.begin(LocalContext([("other", "key")]), 1)


def test_names_of_callers_are_kept_only_while_they_have_calls():
    limits = admission(calls_per_caller=1, caller_key="x-caller-id")
    for number in range(1000):
        limits.begin(caller(f"{number}" * 1000), 1).release(Code.OK, 0.1)
    assert not limits._callers._places


def test_a_model_with_many_calls_takes_no_room_from_others():
    limits = admission(calls_per_model=1)
    busy, refused, idle = (limits.begin(NO_CONTEXT, 1) for _ in range(3))
    limits.admit(busy, "busy")
    with pytest.raises(ResourceExhausted, match="--max_calls_in_flight_per_model"):
        limits.admit(refused, "busy")
    limits.admit(idle, "idle")
    for ticket in (busy, refused, idle):
        ticket.release(Code.OK, 0.1)
    assert not limits._by_model


def test_the_adaptive_limit_counts_each_model_by_itself_and_gets_all_back():
    limits = admission(is_adaptive=True)
    tickets = []

    def take_all():
        while True:
            tickets.append(limits.begin(NO_CONTEXT, 1))
            limits.admit(tickets[-1], "busy")

    with pytest.raises(ResourceExhausted, match="--adaptive_concurrency"):
        take_all()
    other = limits.begin(NO_CONTEXT, 1)
    limits.admit(other, "idle")
    for ticket in (*tickets, other):
        ticket.release(Code.OK, 0.1)
    assert {model: limit.in_flight for model, limit in limits._adaptive.items()} == {"busy": 0, "idle": 0}


_CALLS = st.tuples(
    st.sampled_from(["a", "b", "c"]), st.sampled_from(["m", "n"]), st.sampled_from([1, LARGE_BYTES, 3 * LARGE_BYTES])
)


@given(st.lists(st.one_of(_CALLS, st.integers(0, 10)), max_size=60))
def test_whatever_comes_and_goes_no_limit_is_passed_and_all_is_given_back(steps):
    limits = admission(calls_per_model=3, calls_per_caller=2, caller_key="x-caller-id", request_bytes=4 * LARGE_BYTES)
    tickets = []
    for step in steps:
        if isinstance(step, int):
            if tickets:
                tickets.pop(step % len(tickets)).release(Code.OK, 0.1)
            continue
        name, model, size = step
        ticket = None
        try:
            ticket = limits.begin(caller(name), size)
            limits.admit(ticket, model)
        except ResourceExhausted:
            if ticket is not None:
                ticket.release(Code.RESOURCE_EXHAUSTED, 0.1)
        else:
            tickets.append(ticket)
        assert bytes_in_flight(limits) <= 4 * LARGE_BYTES
        assert all(count <= 2 for count in limits._callers._places.values())
        assert all(shares.in_flight <= 3 for shares in limits._by_model.values())
    for ticket in tickets:
        ticket.release(Code.OK, 0.1)
    assert bytes_in_flight(limits) == 0
    assert not limits._callers._places
    assert not limits._by_model
