"""SessionRunner over fake sessions: when a run gets a time limit, how dtypes are checked, and the results."""

import numpy as np
import pytest
import tensorflow as tf

from servable import wire
from servable.errors import DeadlineExceeded, InvalidArgument, OutOfRange
from servable.execution import loaded_model
from servable.execution.loaded_model import SessionRunner

X = np.array([1.0], np.float32)


class Clock:
    """Stands still unless a run takes time."""

    def __init__(self):
        self.now_s = 100.0

    def monotonic(self):
        return self.now_s


class FakeSession:
    """A GraphSession of one output: each run takes as long as the test sets, and is recorded with its limit."""

    def __init__(self, clock, dtypes=None, may_not_end=False, result=X):
        self._clock, self._dtypes, self._result = clock, dtypes or {}, result
        self.may_not_end, self.batches_itself = may_not_end, False
        self.run_takes_s, self.error = 0.0, None
        self.limits = []

    def dtype_of(self, tensor_name):
        return self._dtypes.get(tensor_name)

    def prepare(self, feeds, fetches):
        return lambda arrays: self._run(None)

    def prepare_timed(self, feeds, fetches):
        return lambda arrays, timeout_s: self._run(timeout_s)

    def _run(self, timeout_s):
        self.limits.append(timeout_s)
        self._clock.now_s += self.run_takes_s
        if self.error is not None:
            raise self.error
        return [self._result]


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(loaded_model, "time", clock)
    return clock


@pytest.fixture
def session(clock):
    return FakeSession(clock)


def of(session):
    return SessionRunner(session, ["x:0"], ["y:0"])


def run_for(session, runner, seconds):
    session.run_takes_s = seconds
    runner.run([X], None)
    session.run_takes_s = 0.0
    session.limits.clear()


@pytest.mark.parametrize("timeout_s", [None, 0.001, 60.0])
def test_a_quick_run_has_no_limit(session, timeout_s):
    assert of(session).run([X], timeout_s) == [X]
    assert session.limits == [None]


@pytest.mark.parametrize(("timeout_s", "limit"), [(None, None), (10.1, None), (9.9, 9.9), (0.5, 0.5)])
def test_a_run_that_once_took_more_than_a_tenth_of_the_time_has_a_limit(session, timeout_s, limit):
    runner = of(session)
    run_for(session, runner, 1.0)
    runner.run([X], timeout_s)
    assert session.limits == [limit]


def test_a_run_that_failed_counts_like_any_other(session):
    runner = of(session)
    session.run_takes_s, session.error = 1.0, tf.errors.AbortedError(None, None, "")
    with pytest.raises(Exception, match="ABORTED"):
        runner.run([X], None)
    session.error = None
    runner.run([X], 5.0)
    assert session.limits == [None, 5.0]


def test_quick_runs_let_a_slow_one_be_forgotten(session):
    runner = of(session)
    run_for(session, runner, 1.0)
    # 0.95 to the 14th power is less than a half, a tenth of the five seconds; to the 13th it is more.
    for _ in range(15):
        runner.run([X], 5.0)
    assert session.limits == [5.0] * 14 + [None]


def test_the_longest_of_several_is_remembered(session):
    runner = of(session)
    for seconds in (1.0, 3.0, 1.0):
        run_for(session, runner, seconds)
    runner.run([X], 25.0)
    assert session.limits == [25.0]


@pytest.mark.parametrize(("timeout_s", "limit"), [(None, None), (3600.0, 3600.0)])
def test_a_graph_that_may_not_end_always_has_a_limit_if_there_is_a_deadline(clock, timeout_s, limit):
    session = FakeSession(clock, may_not_end=True)
    of(session).run([X], timeout_s)
    assert session.limits == [limit]


@pytest.mark.parametrize("timeout_s", [0.0, -1.0])
def test_after_the_deadline_nothing_that_needs_a_limit_is_run(session, timeout_s):
    runner = of(session)
    run_for(session, runner, 1.0)
    with pytest.raises(DeadlineExceeded) as caught:
        runner.run([X], timeout_s)
    assert caught.value.message == "Timed out waiting for notification"
    assert session.limits == []


def test_an_error_of_tensorflow_keeps_its_code_and_text(session):
    session.error = tf.errors.OutOfRangeError(None, None, "in the words of its C++")
    with pytest.raises(OutOfRange) as caught:
        of(session).run([X], None)
    assert caught.value.message == "in the words of its C++"


def test_a_wrong_dtype_is_reported_by_the_number_of_its_argument_and_nothing_is_run(clock):
    """DirectSession numbers arguments by the names of their tensors."""
    session = FakeSession(clock, {"b:0": wire.DT_FLOAT, "a:0": wire.DT_INT64})
    runner = SessionRunner(session, ["b:0", "a:0"], ["y:0"])
    numbers = np.array([1])
    for feeds, message in {
        (0, 0): "Expects arg[0] to be int64 but float is provided",
        (1, 1): "Expects arg[1] to be float but int64 is provided",
        (1, 0): "Expects arg[0] to be int64 but float is provided",
    }.items():
        with pytest.raises(InvalidArgument) as caught:
            runner.run([(X, numbers)[feed] for feed in feeds], None)
        assert caught.value.message == message
    assert session.limits == []
    assert runner.run([X, numbers], None) == [X]


def test_a_tensor_of_unknown_dtype_takes_what_comes(session):
    assert of(session).run([np.array([b"bytes"], object)], None) == [X]


@pytest.mark.parametrize(
    ("dtype", "result", "array"),
    [
        (wire.DT_FLOAT, np.float32(2.5), np.array(2.5, np.float32)),
        (wire.DT_STRING, b"a scalar", np.array(b"a scalar", object)),
        (wire.DT_STRING, np.array([b"a"], object), np.array([b"a"], object)),
    ],
)
def test_a_result_is_an_array_whatever_tensorflow_gives(clock, dtype, result, array):
    session = FakeSession(clock, {"y:0": dtype}, result=result)
    runner = of(session)
    (got,) = runner.run([X], None)
    assert list(runner.fetch_dtypes) == [dtype]
    assert (got.dtype, got.shape, got.tolist()) == (array.dtype, array.shape, array.tolist())
