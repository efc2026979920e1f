"""A run ends with its caller's deadline: the caller gets the error, and the thread that ran is free for the next call.

Each server here has one thread for requests, so that a run which goes on would leave no one to answer. No test
waits on a clock but for the deadline that it sets itself.
"""

import numpy as np
import pytest

from servable.errors import DeadlineExceeded
from servable.execution.loader import SavedModelLoader
from servable.inference.predict import Predict
from servable.routing import Router, Routes
from servable.servables import Handle
from tests.conformance.calls import DEADLINE_EXCEEDED, RUNS, TIMEOUT_S, predict, predict_request, refusal, values
from tests.serving import RUNS as WAYS_TO_RUN

SHORT_S = 0.5
X = {"x": np.array([1.0], np.float32)}
QUICK = {"iterations": np.array([3], np.int64)}
# Some hours' worth of iterations.
ENDLESS = {"iterations": np.array([1 << 40], np.int64)}


@pytest.fixture(params=RUNS)
def runs(request):
    return request.param


@pytest.fixture
def gate(servers, runs):
    return servers("gate", runs=runs, grpc_max_threads=1)


@pytest.fixture
def slow(servers, runs):
    return servers("slow", runs=runs, grpc_max_threads=1)


def give_up(running, *request):
    return refusal(running.prediction.Predict, predict_request(*request), timeout_s=SHORT_S)


def count(running, inputs=QUICK):
    return values(predict(running, "slow", inputs).outputs["counted"])


@pytest.mark.behaviour("1.4", "a deadline ends the run")
def test_a_blocked_run_ends_and_the_next_call_is_answered(gate):
    # A slow machine may take all of the first call's time to prepare its run.
    for _ in range(2):
        assert give_up(gate, "gate", X, "pass").code is DEADLINE_EXCEEDED
    assert values(predict(gate, "gate", signature="await_arrival").outputs["arrived"]) is True


@pytest.mark.behaviour("1.4", "a deadline ends the run")
def test_a_run_that_blocks_only_now_ends_and_the_next_call_is_answered(gate):
    predict(gate, "gate", signature="open")
    assert values(predict(gate, "gate", X, "pass").outputs["y"]) == [1.0]
    assert give_up(gate, "gate", X, "pass").code is DEADLINE_EXCEEDED
    assert values(predict(gate, "gate", signature="open").outputs["opened"]) is True
    assert values(predict(gate, "gate", X, "pass").outputs["y"]) == [1.0]


@pytest.mark.behaviour("1.4", "a deadline ends the run")
@pytest.mark.behaviour("12", "Predict: deadline inside Run")
def test_an_endless_run_ends_and_the_next_call_is_answered(slow):
    assert give_up(slow, "slow", ENDLESS).code is DEADLINE_EXCEEDED
    assert count(slow) == [3]


@pytest.mark.behaviour("1.4", "a deadline ends the run")
def test_an_endless_run_of_a_model_known_to_be_quick_ends_too(slow):
    for _ in range(5):
        assert count(slow) == [3]
    assert give_up(slow, "slow", ENDLESS).code is DEADLINE_EXCEEDED
    assert count(slow) == [3]


@pytest.mark.behaviour("1.4", "no deadline, and one that is far")
def test_a_call_without_a_deadline_is_answered(slow):
    assert values(slow.prediction.Predict(predict_request("slow", QUICK)).outputs["counted"]) == [3]


@pytest.mark.behaviour("1.4", "no deadline, and one that is far")
@pytest.mark.parametrize("timeout_s", [TIMEOUT_S, 3e6, 1e8])
def test_a_far_deadline_is_no_limit(slow, timeout_s):
    """RunOptions takes milliseconds up to 2147483647, some 25 days."""
    response = slow.prediction.Predict(predict_request("slow", QUICK), timeout=timeout_s)
    assert values(response.outputs["counted"]) == [3]


@pytest.mark.behaviour("1.4", "a deadline's text")
@pytest.mark.behaviour("12", "Predict: deadline inside Run")
@pytest.mark.parametrize("quick_runs_before", [0, 3])
def test_the_server_s_own_words_are_the_original_s(models, runs, quick_runs_before):
    """A caller never reads them: its own deadline passes first."""
    servable = SavedModelLoader(runs=WAYS_TO_RUN[runs]())(models.version_path("slow"))
    answer = Predict(Router(Routes([Handle("slow", 1, servable)])))
    for _ in range(quick_runs_before):
        answer(predict_request("slow", QUICK).SerializeToString(), None)
    with pytest.raises(DeadlineExceeded) as error:
        answer(predict_request("slow", ENDLESS).SerializeToString(), SHORT_S)
    assert error.value.message == "Timed out waiting for notification"
