"""Waiting for models: what counts as having arrived, as having failed, and as neither."""

import threading

import pytest

from servable.errors import Cancelled, DataLoss
from servable.lifecycle.arrivals import Arrivals
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.states import ServableId, State, VersionState

SOON_S = 0
BOUND_S = 30
CUT = DataLoss("cut")


@pytest.fixture
def monitor():
    return StateMonitor()


def publish(monitor, name, number, *states, error=None):
    for state in states:
        monitor.publish(ServableId(name, number), VersionState(state, error))


def serve(monitor, name, number=1):
    publish(monitor, name, number, State.START, State.LOADING, State.AVAILABLE)


def fail(monitor, name, number=1):
    publish(monitor, name, number, State.START, State.LOADING)
    publish(monitor, name, number, State.END, error=CUT)


def test_nobody_is_waited_for_where_nothing_is_new(monitor):
    arrivals = Arrivals(monitor, [])
    assert arrivals.wait_until_settled(SOON_S)
    assert arrivals.wait_until_any(SOON_S)


@pytest.mark.parametrize("arrive", [serve, fail])
def test_a_model_has_settled_with_its_first_version_that_serves_or_failed(monitor, arrive):
    arrivals = Arrivals(monitor, ["m"])
    publish(monitor, "m", 2, State.START, State.LOADING)
    assert not arrivals.wait_until_settled(SOON_S)
    assert arrivals.unsettled() == {"m"}
    arrive(monitor, "m", 1)
    assert arrivals.wait_until_settled(SOON_S)
    assert arrivals.unsettled() == set()


def test_all_models_must_settle(monitor):
    arrivals = Arrivals(monitor, ["a", "b"])
    serve(monitor, "a")
    assert not arrivals.wait_until_settled(SOON_S)
    fail(monitor, "b")
    assert arrivals.wait_until_settled(SOON_S)
    assert (arrivals.is_available("a"), arrivals.is_available("b")) == (True, False)


def test_other_models_do_not_count(monitor):
    arrivals = Arrivals(monitor, ["m"])
    serve(monitor, "other")
    assert not arrivals.wait_until_settled(SOON_S)


@pytest.mark.behaviour("4.2", "old END states do not count")
def test_what_was_before_does_not_count(monitor):
    serve(monitor, "served")
    fail(monitor, "failed")
    arrivals = Arrivals(monitor, ["served", "failed"])
    assert arrivals.unsettled() == {"served", "failed"}
    assert not arrivals.is_available("served")


@pytest.mark.behaviour("4.2", "old END states do not count")
def test_the_end_of_a_version_of_before_does_not_count(monitor):
    # The model was in a config before, left, and is new again while its old version is still on its way out.
    serve(monitor, "m")
    publish(monitor, "m", 2, State.START, State.LOADING)
    arrivals = Arrivals(monitor, ["m"])
    publish(monitor, "m", 1, State.UNLOADING, State.END)
    publish(monitor, "m", 2, State.UNLOADING, State.END, error=Cancelled("nobody wants it"))
    assert not arrivals.wait_until_settled(SOON_S)
    serve(monitor, "m")
    assert arrivals.wait_until_settled(SOON_S)
    assert arrivals.is_available("m")


@pytest.mark.behaviour("4.2", "the highest version that serves or has ended decides")
@pytest.mark.behaviour("13.14", "servable_state_monitor_test")
@pytest.mark.parametrize(
    ("arrive", "expected"),
    [
        ([(2, serve)], True),
        ([(2, fail)], False),
        # The highest that serves or has ended decides; those that are on their way do not.
        ([(2, fail), (1, serve)], False),
        ([(2, serve), (1, fail)], True),
        ([(1, serve)], True),
        ([], False),
    ],
)
def test_the_highest_version_that_has_settled_decides(monitor, arrive, expected):
    arrivals = Arrivals(monitor, ["m"])
    publish(monitor, "m", 3, State.START, State.LOADING)
    for number, how in arrive:
        how(monitor, "m", number)
    assert arrivals.is_available("m") is expected


def test_who_is_given_up_is_waited_for_no_longer(monitor):
    arrivals = Arrivals(monitor, ["a", "b"])
    arrivals.give_up(["b", "c"])
    serve(monitor, "a")
    assert arrivals.wait_until_settled(SOON_S)
    assert arrivals.wait_until_any(SOON_S)


def test_any_is_there_when_all_were_tried_and_one_serves(monitor):
    arrivals = Arrivals(monitor, ["a", "b"])
    serve(monitor, "a")
    assert not arrivals.wait_until_any(SOON_S)
    # Tried once, and to be tried again.
    publish(monitor, "b", 1, State.START, State.LOADING)
    assert not arrivals.wait_until_any(SOON_S)
    publish(monitor, "b", 1, State.LOADING, error=CUT)
    assert arrivals.wait_until_any(SOON_S)
    assert not arrivals.wait_until_settled(SOON_S)


def test_while_none_serves_any_waits_for_all_retries(monitor):
    arrivals = Arrivals(monitor, ["a", "b"])
    publish(monitor, "a", 1, State.LOADING, error=CUT)
    publish(monitor, "b", 1, State.LOADING, error=CUT)
    assert not arrivals.wait_until_any(SOON_S)
    fail(monitor, "a")
    assert not arrivals.wait_until_any(SOON_S)
    fail(monitor, "b")
    assert arrivals.wait_until_any(SOON_S)


def test_after_the_stop_nothing_is_heard(monitor):
    arrivals = Arrivals(monitor, ["m"])
    arrivals.stop()
    serve(monitor, "m")
    assert not arrivals.wait_until_settled(SOON_S)
    assert arrivals.states.names() == []


@pytest.mark.parametrize(
    "arrive", [lambda monitor, arrivals: serve(monitor, "m"), lambda _, arrivals: arrivals.give_up("m")]
)
def test_who_waits_is_woken(monitor, arrive):
    arrivals = Arrivals(monitor, ["m"])
    ended = threading.Event()
    waiter = threading.Thread(target=lambda: arrivals.wait_until_settled(None) and ended.set(), daemon=True)
    waiter.start()
    arrive(monitor, arrivals)
    assert ended.wait(BOUND_S)


@pytest.mark.parametrize("timeout_s", [BOUND_S, 1e300, None])
def test_any_time_to_wait_is_taken(monitor, timeout_s):
    # gRPC tells of a call without a deadline in other ways than None, too: by a time that no clock counts to.
    arrivals = Arrivals(monitor, ["m"])
    threading.Timer(0.05, serve, (monitor, "m")).start()
    assert arrivals.wait_until_settled(timeout_s)


def test_a_start_waits_for_a_lower_version_when_the_highest_has_failed_for_good(monitor):
    arrivals = Arrivals(monitor, ["m"])
    publish(monitor, "m", 2, State.START)
    publish(monitor, "m", 1, State.START)
    publish(monitor, "m", 2, State.END, error=CUT)
    assert not arrivals.wait_until_any(SOON_S)
    publish(monitor, "m", 1, State.AVAILABLE)
    assert arrivals.wait_until_any(SOON_S)
