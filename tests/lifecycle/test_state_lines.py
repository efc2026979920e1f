"""What the log says of a version: one line for each state that it enters, with fields to ask for, and no other line."""

import logging
from pathlib import Path

import pytest

from servable.errors import DataLoss
from servable.lifecycle.version import ServableId
from tests.lifecycle.stepping import Bench

PATH = Path("/base/1")
MANAGER = "servable.lifecycle.manager"


@pytest.fixture
def lines(caplog):
    """The lines since the last look: level, and fields that always are there."""
    caplog.set_level(logging.DEBUG, MANAGER)

    def take():
        taken = [record for record in caplog.records if record.name == MANAGER]
        caplog.clear()
        assert all(record.fields["model"] == "m" for record in taken)
        return taken

    return take


def said(records):
    return [(record.levelname, record.fields["version"], record.fields["state"]) for record in records]


def test_the_life_of_a_version_is_a_line_a_state(lines):
    bench = Bench()
    bench.aspire(1)
    assert said(lines()) == [("INFO", 1, "LOADING")]
    bench.clock.now_s += 2.5
    bench.end_load()
    (available,) = lines()
    assert said([available]) == [("INFO", 1, "AVAILABLE")]
    assert available.fields["seconds"] == 2.5
    assert available.getMessage() == f"{ServableId('m', 1)} is available after 2.5 s: no signature"
    bench.aspire()
    assert said(lines()) == [("INFO", 1, "UNLOADING")]
    bench.clock.now_s += 0.5
    bench.settle()
    (ended,) = lines()
    assert (said([ended]), ended.fields["seconds"]) == ([("INFO", 1, "END")], 0.5)


def test_a_failure_that_is_tried_again_and_the_last_one_are_a_line_each(lines):
    bench = Bench(max_retries=1, retry_interval_s=10)
    bench.loader.errors[PATH] = DataLoss("cut")
    bench.aspire(1)
    bench.end_load()
    loading, failed = lines()
    assert said([loading, failed]) == [("INFO", 1, "LOADING"), ("ERROR", 1, "LOADING")]
    assert (failed.fields["code"], failed.fields["attempt"]) == ("DATA_LOSS", 1)
    bench.clock.now_s += 10
    bench.take_posts()
    bench.end_load()
    assert said(lines()) == [("INFO", 1, "LOADING"), ("ERROR", 1, "END")]


def test_an_unforeseen_failure_is_one_line_with_its_traceback_which_the_state_does_not_keep(lines):
    bench = Bench()
    bench.loader.errors[PATH] = ZeroDivisionError("of ours")
    bench.aspire(1)
    bench.end_load()
    _loading, failed = lines()
    assert failed.exc_info[0] is ZeroDivisionError
    assert failed.fields["code"] == "INTERNAL"
    assert bench.monitor.versions("m")[1].error.__cause__ is None


def test_a_version_that_is_not_wanted_any_more_says_so(lines):
    bench = Bench(threads=1)
    bench.aspire(1, 2)
    lines()
    # The first load is under way, the other waits.
    bench.aspire()
    assert said(lines()) == [("INFO", 1, "END")]
    bench.settle()
    assert said(lines()) == [("INFO", 2, "UNLOADING"), ("INFO", 2, "END")]


def test_polls_that_change_nothing_say_nothing(lines):
    bench = Bench()
    bench.serve(1)
    lines()
    for _ in range(3):
        bench.aspire(1)
        bench.settle()
    assert lines() == []
