"""Calls as they arrive: held in a pause, which begins when it is quiet: nothing held for a moment, and nobody busy."""

import threading
import time

import pytest

from servable.transport.arrivals import Arrivals
from tests.process.transport import PATIENCE_S


def waited_s(arrivals, grace_s, is_busy=lambda: False):
    began_at = time.monotonic()
    with arrivals.paused(grace_s, is_busy):
        return time.monotonic() - began_at


def test_calls_begin_at_once_before_and_after_a_pause_and_wait_in_it():
    arrivals, began = Arrivals(), []
    arrivals.begin_or_hold(lambda: began.append("before"))
    assert began == ["before"]
    with arrivals.paused(0):
        assert arrivals.are_held
        arrivals.begin_or_hold(lambda: began.append("first"))
        arrivals.begin_or_hold(lambda: began.append("second"))
        assert began == ["before"]
    assert began == ["before", "first", "second"]
    assert not arrivals.are_held
    arrivals.begin_or_hold(lambda: began.append("after"))
    assert began[-1] == "after"


def test_a_thread_of_a_call_waits_for_the_end_of_a_pause():
    arrivals, went_on = Arrivals(), threading.Event()
    arrivals.wait()

    def wait():
        arrivals.wait()
        went_on.set()

    waiting = threading.Thread(target=wait)
    with arrivals.paused(0):
        waiting.start()
        assert not went_on.wait(0.02)
    waiting.join(PATIENCE_S)
    assert went_on.is_set()


def test_a_thread_of_a_call_waits_for_a_long_pause_no_longer_than_its_bound():
    arrivals = Arrivals()
    with arrivals.paused(0):
        arrivals.wait()
        assert arrivals.are_held


def test_calls_are_released_whatever_happens_in_a_pause_and_in_other_calls(caplog):
    arrivals, began = Arrivals(), []

    def pause():
        with arrivals.paused(0):
            arrivals.begin_or_hold(lambda: 1 // 0)
            arrivals.begin_or_hold(lambda: began.append("second"))
            raise LookupError

    with pytest.raises(LookupError):
        pause()
    assert began == ["second"]
    assert "A call that was held could not begin" in caplog.text


@pytest.mark.parametrize("grace_s", [PATIENCE_S, 1e10, float("inf")])
def test_without_a_call_it_is_quiet_soon(grace_s):
    assert 0.01 < waited_s(Arrivals(), grace_s) < PATIENCE_S / 2


@pytest.mark.parametrize("grace_s", [0, -1.0])
def test_without_a_grace_nothing_is_waited_for(grace_s):
    assert waited_s(Arrivals(), grace_s, lambda: True) < PATIENCE_S / 2


def test_what_arrived_before_does_not_count():
    arrivals = Arrivals()
    arrivals.note()
    with arrivals.paused(PATIENCE_S):
        assert not arrivals._noted.is_set()


def test_each_call_is_waited_for_but_not_for_ever():
    arrivals, over, began = Arrivals(), threading.Event(), []

    def insist():
        while not over.wait(0.001):
            arrivals.begin_or_hold(lambda: began.append(1))

    insisting = threading.Thread(target=insist, daemon=True)
    insisting.start()
    assert 0.09 < waited_s(arrivals, PATIENCE_S) < PATIENCE_S / 2
    over.set()
    insisting.join()
    assert began


def test_a_busy_thread_is_waited_for_as_long_as_the_grace_lasts():
    assert waited_s(Arrivals(), 1.5, lambda: True) >= 1.5


def test_a_thread_that_was_busy_may_take_calls_now():
    arrivals, asked = Arrivals(), []

    def is_busy():
        asked.append(1)
        if len(asked) == 1:
            arrivals.note()  # It stops to be busy while it is asked.
        return False

    with arrivals.paused(PATIENCE_S, is_busy):
        assert len(asked) == 2


def test_a_thread_that_was_busy_for_long_may_take_calls_too():
    # Insistent callers would not be waited for as long as that.
    arrivals, asked, idle_from = Arrivals(), [], time.monotonic() + 0.3

    def is_busy():
        if time.monotonic() < idle_from:
            return True
        asked.append(1)
        if len(asked) == 1:
            arrivals.note()
        return False

    with arrivals.paused(PATIENCE_S, is_busy):
        assert len(asked) == 2
