"""When it is quiet: nothing refused for a moment, and nobody busy who would refuse."""

import threading
import time

import pytest

from servable.transport.refusals import Refusals
from tests.process.transport import PATIENCE_S


def waited_s(refusals, grace_s, is_busy=lambda: False):
    began_at = time.monotonic()
    refusals.await_quiet(grace_s, is_busy)
    return time.monotonic() - began_at


@pytest.mark.parametrize("grace_s", [PATIENCE_S, 1e10, float("inf")])
def test_without_a_refusal_it_is_quiet_soon(grace_s):
    assert 0.05 < waited_s(Refusals(), grace_s) < PATIENCE_S / 2


@pytest.mark.parametrize("grace_s", [0, -1.0])
def test_without_a_grace_nothing_is_waited_for(grace_s):
    assert waited_s(Refusals(), grace_s, lambda: True) < PATIENCE_S / 2


def test_what_was_refused_before_does_not_count():
    refusals = Refusals()
    refusals.note()
    refusals.await_quiet(PATIENCE_S)
    assert not refusals._noted.is_set()


def test_each_refusal_is_waited_for_but_not_for_ever():
    refusals, over = Refusals(), threading.Event()

    def insist():
        while not over.wait(0.01):
            refusals.note()

    insisting = threading.Thread(target=insist, daemon=True)
    insisting.start()
    assert 0.5 < waited_s(refusals, PATIENCE_S) < PATIENCE_S / 2
    over.set()
    insisting.join()


def test_somebody_busy_is_waited_for_as_long_as_the_grace_lasts():
    assert waited_s(Refusals(), 1.5, lambda: True) >= 1.5


def test_somebody_who_was_busy_may_refuse_calls_now():
    refusals, asked = Refusals(), []

    def is_busy():
        asked.append(1)
        if len(asked) == 1:
            refusals.note()  # It stops to be busy while it is asked.
        return False

    refusals.await_quiet(PATIENCE_S, is_busy)
    assert len(asked) == 2
