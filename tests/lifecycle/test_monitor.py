"""The monitor's listeners, and waiting for models: which count as available, as failed, and as neither.

The states that are read from the monitor are tested in tests/conformance/test_model_status.py.
"""

import threading

import pytest

from servable.errors import Cancelled, DataLoss
from servable.lifecycle.monitor import LoadProgress, StateMonitor
from servable.lifecycle.version import ServableId, State, VersionState

ONE = ServableId("m", 1)
AVAILABLE, END = VersionState(State.AVAILABLE), VersionState(State.END)


def test_a_removed_listener_is_not_called_and_the_others_are():
    monitor, first, second = StateMonitor(), [], []
    remove = monitor.listen(lambda *call: first.append(call))
    monitor.listen(lambda *call: second.append(call))
    monitor.publish(ONE, AVAILABLE)
    remove()
    monitor.publish(ONE, END)
    assert first == [(ONE, AVAILABLE)]
    assert second == [(ONE, AVAILABLE), (ONE, END)]


def test_a_listener_may_remove_itself_while_it_is_called():
    monitor, states = StateMonitor(), []

    def listener(servable, state):
        states.append(state)
        remove()

    remove = monitor.listen(listener)
    monitor.publish(ONE, AVAILABLE)
    monitor.publish(ONE, END)
    assert states == [AVAILABLE]


def test_a_listener_may_read_and_publish():
    monitor = StateMonitor()

    def listener(servable, state):
        if state == AVAILABLE:
            monitor.publish(servable, END)

    monitor.listen(listener)
    monitor.publish(ONE, AVAILABLE)
    assert monitor.versions("m") == {1: END}


# Waiting for models.

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


def test_without_new_models_no_wait_blocks(monitor):
    progress = LoadProgress(monitor, [])
    assert progress.wait_until_settled(SOON_S)
    assert progress.wait_until_all_attempted(SOON_S)


@pytest.mark.parametrize("arrive", [serve, fail])
def test_a_model_has_settled_with_its_first_version_that_serves_or_failed(monitor, arrive):
    progress = LoadProgress(monitor, ["m"])
    publish(monitor, "m", 2, State.START, State.LOADING)
    assert not progress.wait_until_settled(SOON_S)
    assert progress.pending() == {"m"}
    arrive(monitor, "m", 1)
    assert progress.wait_until_settled(SOON_S)
    assert progress.pending() == set()


def test_all_models_must_settle(monitor):
    progress = LoadProgress(monitor, ["a", "b"])
    serve(monitor, "a")
    assert not progress.wait_until_settled(SOON_S)
    fail(monitor, "b")
    assert progress.wait_until_settled(SOON_S)
    assert (progress.is_available("a"), progress.is_available("b")) == (True, False)


def test_other_models_do_not_count(monitor):
    progress = LoadProgress(monitor, ["m"])
    serve(monitor, "other")
    assert not progress.wait_until_settled(SOON_S)


@pytest.mark.behaviour("4.2", "old END states do not count")
def test_states_of_before_do_not_count(monitor):
    serve(monitor, "served")
    fail(monitor, "failed")
    progress = LoadProgress(monitor, ["served", "failed"])
    assert progress.pending() == {"served", "failed"}
    assert not progress.is_available("served")


@pytest.mark.behaviour("4.2", "old END states do not count")
def test_the_end_of_a_version_of_before_does_not_count(monitor):
    # The model was in a config before, was removed, and is new again while its old version still unloads.
    serve(monitor, "m")
    publish(monitor, "m", 2, State.START, State.LOADING)
    progress = LoadProgress(monitor, ["m"])
    publish(monitor, "m", 1, State.UNLOADING, State.END)
    publish(monitor, "m", 2, State.UNLOADING, State.END, error=Cancelled("not wanted"))
    assert not progress.wait_until_settled(SOON_S)
    serve(monitor, "m")
    assert progress.wait_until_settled(SOON_S)
    assert progress.is_available("m")


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
    progress = LoadProgress(monitor, ["m"])
    publish(monitor, "m", 3, State.START, State.LOADING)
    for number, how in arrive:
        how(monitor, "m", number)
    assert progress.is_available("m") is expected


def test_models_that_were_taken_out_are_not_waited_for(monitor):
    progress = LoadProgress(monitor, ["a", "b"])
    progress.stop_waiting_for(["b", "c"])
    serve(monitor, "a")
    assert progress.wait_until_settled(SOON_S)
    assert progress.wait_until_all_attempted(SOON_S)


def test_all_were_attempted_when_each_was_tried_and_one_serves(monitor):
    progress = LoadProgress(monitor, ["a", "b"])
    serve(monitor, "a")
    assert not progress.wait_until_all_attempted(SOON_S)
    # Tried once, and to be tried again.
    publish(monitor, "b", 1, State.START, State.LOADING)
    assert not progress.wait_until_all_attempted(SOON_S)
    publish(monitor, "b", 1, State.LOADING, error=CUT)
    assert progress.wait_until_all_attempted(SOON_S)
    assert not progress.wait_until_settled(SOON_S)


def test_while_none_serves_all_retries_are_waited_for(monitor):
    progress = LoadProgress(monitor, ["a", "b"])
    publish(monitor, "a", 1, State.LOADING, error=CUT)
    publish(monitor, "b", 1, State.LOADING, error=CUT)
    assert not progress.wait_until_all_attempted(SOON_S)
    fail(monitor, "a")
    assert not progress.wait_until_all_attempted(SOON_S)
    fail(monitor, "b")
    assert progress.wait_until_all_attempted(SOON_S)


def test_after_the_stop_no_state_is_followed(monitor):
    progress = LoadProgress(monitor, ["m"])
    progress.stop()
    serve(monitor, "m")
    assert not progress.wait_until_settled(SOON_S)
    assert progress.states.names() == []


@pytest.mark.parametrize(
    "arrive", [lambda monitor, progress: serve(monitor, "m"), lambda _, progress: progress.stop_waiting_for("m")]
)
def test_a_thread_that_waits_is_woken(monitor, arrive):
    progress = LoadProgress(monitor, ["m"])
    ended = threading.Event()
    waiter = threading.Thread(target=lambda: progress.wait_until_settled(None) and ended.set(), daemon=True)
    waiter.start()
    arrive(monitor, progress)
    assert ended.wait(BOUND_S)


@pytest.mark.parametrize("timeout_s", [BOUND_S, 1e300, None])
def test_any_time_to_wait_is_taken(monitor, timeout_s):
    # gRPC reports no deadline as None, or as a time in the far future.
    progress = LoadProgress(monitor, ["m"])
    threading.Timer(0.05, serve, (monitor, "m")).start()
    assert progress.wait_until_settled(timeout_s)


def test_a_start_waits_for_a_lower_version_when_the_highest_has_failed_for_good(monitor):
    progress = LoadProgress(monitor, ["m"])
    publish(monitor, "m", 2, State.START)
    publish(monitor, "m", 1, State.START)
    publish(monitor, "m", 2, State.END, error=CUT)
    assert not progress.wait_until_all_attempted(SOON_S)
    publish(monitor, "m", 1, State.AVAILABLE)
    assert progress.wait_until_all_attempted(SOON_S)
