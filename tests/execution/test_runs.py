"""The two ways to run a graph give the same; and which one is used when TensorFlow's private API is missing."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from servable.errors import DeadlineExceeded
from servable.execution import runs
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns, best_runs
from tests.execution.running import run

# The cache would keep a probe's outcome for the other tests.
choose = best_runs.__wrapped__


@pytest.fixture(params=[PrivateRuns, PublicRuns], ids=["private", "public"])
def ways(request):
    return request.param()


@pytest.fixture
def session():
    graph = tf.Graph()
    with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
        x = tf.compat.v1.placeholder(tf.float32, None, name="x")
        tf.identity(x * 2.0, name="y")
        tf.strings.as_string(x, name="text")
        yield session


def test_the_private_api_of_this_tensorflow_works():
    assert isinstance(choose(), PrivateRuns)


@pytest.mark.parametrize("timed", [False, True])
@pytest.mark.parametrize(
    "x", [np.float32(3.0), np.arange(6, dtype=np.float32).reshape(2, 3), np.zeros((0,), np.float32)]
)
def test_both_ways_give_the_same(ways, session, timed, x):
    if timed:
        results = ways.prepare_timed(session, ["x:0"], ["y:0"])([x], 60.0)
    else:
        results = ways.prepare(session, ["x:0"], ["y:0"])([x])
    np.testing.assert_array_equal(results[0], x * 2)


def test_strings_come_as_bytes(ways, session):
    (text,) = ways.prepare(session, ["x:0"], ["text:0"])([np.array([1.0], np.float32)])
    assert [value.startswith(b"1") for value in text] == [True]


@pytest.mark.parametrize("timeout_s", [0.2, 1e-9])
def test_a_time_limit_ends_a_run(ways, models, timeout_s):
    model = SavedModelLoader(runs=ways)(models.version_path("gate"))
    with pytest.raises(DeadlineExceeded, match="Timed out waiting for notification"):
        run(model, "pass", {"x": np.array([1.0], np.float32)}, timeout_s)
    model.close()


@pytest.mark.parametrize("timeout_s", [1e9, float(1 << 40)])
def test_a_time_limit_beyond_all_bounds_is_none(ways, session, timeout_s):
    timed = ways.prepare_timed(session, ["x:0"], ["y:0"])
    assert timed([np.float32(1.0)], timeout_s)[0] == 2.0


class ChangedSession(tf.compat.v1.Session):
    """A session of a TensorFlow whose private API is another."""

    def _make_callable_from_options(self, options):
        raise AttributeError("no such thing any more")


class OtherSignatureSession(tf.compat.v1.Session):
    def _call_tf_sessionrun(self, options):
        raise AssertionError("is never reached: the arguments do not fit")


class WrongSession(tf.compat.v1.Session):
    def _make_callable_from_options(self, options):
        return lambda *arrays: [np.array(7, np.float32)]


@pytest.mark.parametrize(
    ("session_class", "cause"),
    [
        (ChangedSession, "AttributeError: no such thing any more"),
        (OtherSignatureSession, "TypeError: "),
        (WrongSession, "RuntimeError: an identity of 2 gave 7.0 and 2.0"),
    ],
)
def test_without_the_private_api_runs_are_public_and_the_log_says_why(monkeypatch, caplog, session_class, cause):
    monkeypatch.setattr(tf.compat.v1, "Session", session_class)
    assert isinstance(choose(), PublicRuns)
    (record,) = [record for record in caplog.records if record.name == runs.__name__]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(f"TensorFlow {tf.__version__} lacks the private API for fast runs ({cause}")


def test_the_choice_is_made_once():
    assert best_runs() is best_runs()
