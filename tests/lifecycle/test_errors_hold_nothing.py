"""A call that fails releases its version at once, whatever failed: no version waits for the garbage collector.

An exception keeps the frames it went through, and with them the handle. In a cycle it would keep them for as long as a
quiet server has no reason to collect.
"""

import contextlib
import gc
import sys

import grpc
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2

from servable.execution.loader import SavedModelLoader
from tests import serving
from tests.conformance.calls import RUNS, TIMEOUT_S, model_spec, predict_request
from tests.conformance.example_calls import classification, example, multi_inference, plain, regression, task, xs
from tests.conformance.operating import eventually, model, operate
from tests.models.exporting import tf

MODELS = ("half_plus_two", "odd_wiring", "odd_heads", "gate", "python_function")
NOT_PARSED = tf.make_tensor_proto([1.0])
NOT_PARSED.ClearField("float_val")
NOT_PARSED.tensor_content = b"\0"
WITHOUT_X = plain(example(y=1.0))

# API, model, and a request that is refused once its version is found: by us, when a run is prepared, or in the run.
FAILING = {
    "a signature": ("Predict", "half_plus_two", predict_request("half_plus_two", signature="nope")),
    "an input": ("Predict", "half_plus_two", predict_request("half_plus_two")),
    "a tensor": ("Predict", "half_plus_two", predict_request("half_plus_two", {"x": NOT_PARSED})),
    "an output": ("Predict", "half_plus_two", predict_request("half_plus_two", {"x": [[1.0]]}, outputs=["nope"])),
    "a dtype": ("Predict", "half_plus_two", predict_request("half_plus_two", {"x": [[1]]})),
    "a fetch": ("Predict", "odd_wiring", predict_request("odd_wiring", {"x": [1.0]}, "missing_fetch")),
    "a feed": ("Predict", "odd_wiring", predict_request("odd_wiring", {"x": [1.0]}, "missing_feed")),
    "no fetch": ("Predict", "odd_wiring", predict_request("odd_wiring", {"x": [1.0]}, "nothing_out")),
    "two feeds": ("Predict", "odd_wiring", predict_request("odd_wiring", {"a": [1.0], "b": [1.0]}, "twice_fed")),
    "a run": ("Predict", "odd_wiring", predict_request("odd_wiring", {"x": [1.0]}, "unfed")),
    "the init op": (
        "Predict",
        "python_function",
        predict_request("python_function", signature="__saved_model_init_op"),
    ),
    "a Python op": ("Predict", "python_function", predict_request("python_function", {"x": [1.0]})),
    "Classify: an input": ("Classify", "odd_heads", classification("odd_heads", "classify_ok")),
    "Classify: an output": (
        "Classify",
        "odd_heads",
        classification("odd_heads", "classify_scores_rank_1", xs(1.0)),
    ),
    "Regress: an output": ("Regress", "odd_heads", regression("odd_heads", "regress_rank_3", xs(1.0))),
    "Regress: a run": ("Regress", "half_plus_two", regression("half_plus_two", "regress_x_to_y", WITHOUT_X)),
    "MultiInference: a signature": (
        "MultiInference",
        "half_plus_two",
        multi_inference(task("half_plus_two", "nope"), given=xs(1.0)),
    ),
    "MultiInference: a run": (
        "MultiInference",
        "half_plus_two",
        multi_inference(task("half_plus_two", "regress_x_to_y"), given=WITHOUT_X),
    ),
    "GetModelMetadata: a field": (
        "GetModelMetadata",
        "half_plus_two",
        get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=model_spec("half_plus_two"), metadata_field=["signature_def", "nope"]
        ),
    ),
}
PASS = predict_request("gate", {"x": [1.0]}, "pass")


@pytest.fixture(scope="module", params=RUNS)
def server(request, models, tmp_path_factory):
    configs = [model(name, models.base_path(name)) for name in MODELS]
    loader = SavedModelLoader(runs=serving.RUNS[request.param]())
    with operate(tmp_path_factory.mktemp("server"), *configs, loader=loader) as server:
        for name in MODELS:
            server.await_states(name, {1: "AVAILABLE"})
        yield server


@contextlib.contextmanager
def holding_nothing(server, name):
    """What happens inside leaves no reference to a model's handle behind, without a collection."""
    handle = server.running.server._router.routes.get(name, 1)
    gc.collect()
    gc.disable()
    try:
        before = sys.getrefcount(handle)
        yield
        eventually(lambda: sys.getrefcount(handle), before)
    finally:
        gc.enable()


@pytest.mark.behaviour("14", "a call that fails, is cancelled or times out releases its version, in every API")
@pytest.mark.parametrize("what", FAILING)
def test_a_call_that_fails_lets_go_of_its_version(server, what):
    api, name, request = FAILING[what]
    with holding_nothing(server, name), pytest.raises(grpc.RpcError):
        getattr(server.running.prediction, api)(request, timeout=TIMEOUT_S)


@pytest.mark.behaviour("14", "a call that fails, is cancelled or times out releases its version, in every API")
def test_a_deadline_that_passes_in_a_run_lets_go_of_the_version(server):
    with holding_nothing(server, "gate"):
        with pytest.raises(grpc.RpcError) as caught:
            server.running.prediction.Predict(PASS, timeout=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.behaviour("14", "a call that fails, is cancelled or times out releases its version, in every API")
def test_a_cancelled_call_releases_the_version_when_its_time_is_over(server):
    with holding_nothing(server, "gate"):
        call = server.running.prediction.Predict.future(PASS, timeout=0.5)
        server.running.prediction.Predict(predict_request("gate", signature="await_arrival"), timeout=TIMEOUT_S)
        call.cancel()


@pytest.mark.behaviour("14", "a call that fails, is cancelled or times out releases its version, in every API")
def test_after_all_that_every_version_ends_when_it_is_removed(server):
    """Once more for all models; this one comes last."""
    for api, _, request in FAILING.values():
        with pytest.raises(grpc.RpcError):
            getattr(server.running.prediction, api)(request, timeout=TIMEOUT_S)
    gc.disable()
    try:
        server.reload()
        for name in MODELS:
            server.await_states(name, {1: "END"})
    finally:
        gc.enable()
