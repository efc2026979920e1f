"""A call that fails lets go of its version at once, whatever failed: no version waits for the garbage collector.

An exception keeps the frames it went through, and with them the handle. In a cycle it would keep them for as long as a
quiet server has no reason to collect.
"""

import gc

import grpc
import pytest

from servable.execution.loader import SavedModelLoader
from tests import serving
from tests.conformance import example_calls
from tests.conformance.calls import RUNS, TIMEOUT_S, predict_request
from tests.conformance.operating import model, operate
from tests.models.exporting import tf

MODELS = ("half_plus_two", "odd_wiring", "odd_heads", "gate", "python_function")
METADATA_OF_NOTHING = b"\n\x0f\n\rhalf_plus_two"

# What is called, of which model, with which request, and what it is refused with.
FAILING = {
    "unknown signature": ("Predict", "half_plus_two", predict_request("half_plus_two", signature="nope"), "FAILED_PRECONDITION"),
}


@pytest.fixture(scope="module", params=RUNS)
def server(request, models, tmp_path_factory):
    configs = [model(name, models.base_path(name)) for name in MODELS]
    loader = SavedModelLoader(runs=serving.RUNS[request.param]())
    with operate(tmp_path_factory.mktemp("server"), *configs, loader=loader) as server:
        server.configs = configs
        yield server


@pytest.fixture
def no_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def end(server, name):
    server.reload(*[config for config in server.configs if config.name != name])
    try:
        server.await_states(name, {1: "END"})
    finally:
        gc.enable()
        server.reload(*server.configs)


CASES = {
    "sig": ("Predict", predict_request("half_plus_two", signature="nope")),
    "count": ("Predict", predict_request("half_plus_two")),
    "filter": ("Predict", predict_request("half_plus_two", {"x": [[1.0]]}, outputs=["nope"])),
    "tensor": ("Predict", predict_request("half_plus_two", {"x": tf.compat.v1.make_tensor_proto([1.0]).__class__(dtype=1, tensor_content=b"abc", tensor_shape=tf.TensorShape([1]).as_proto())})),
    "dtype": ("Predict", predict_request("half_plus_two", {"x": [[1]]})),
    "missing_fetch": ("Predict", predict_request("odd_wiring", {"x": [1.0]}, "missing_fetch")),
    "missing_feed": ("Predict", predict_request("odd_wiring", {"x": [1.0]}, "missing_feed")),
    "unfed": ("Predict", predict_request("odd_wiring", {"x": [1.0]}, "unfed")),
    "nothing_out": ("Predict", predict_request("odd_wiring", {"x": [1.0]}, "nothing_out")),
    "twice_fed": ("Predict", predict_request("odd_wiring", {"a": [1.0], "b": [1.0]}, "twice_fed")),
    "pyfunc": ("Predict", predict_request("python_function", {"x": [1.0]})),
    "classify_sig": ("Classify", example_calls.classification("odd_heads", "nope", example_calls.xs(1.0))),
    "classify_out": ("Classify", example_calls.classification("odd_heads", "classify_scores_rank_1", example_calls.xs(1.0))),
    "classify_in": ("Classify", example_calls.classification("odd_heads", "classify_ok")),
    "regress_out": ("Regress", example_calls.regression("odd_heads", "regress_rank_3", example_calls.xs(1.0))),
    "regress_tf": ("Regress", example_calls.regression("half_plus_two", "regress_x_to_y", example_calls.plain(example_calls.example(y=1.0)))),
    "multi_tf": ("MultiInference", example_calls.multi_inference(example_calls.task("half_plus_two", "regress_x_to_y"), given=example_calls.plain(example_calls.example(y=1.0)))),
    "multi_sig": ("MultiInference", example_calls.multi_inference(example_calls.task("half_plus_two", "nope"), given=example_calls.xs(1.0))),
    "pass_deadline": ("Predict", predict_request("gate", {"x": [1.0]}, "pass")),
    "init_op": ("Predict", predict_request("python_function", signature="__saved_model_init_op")),
}


@pytest.mark.parametrize("case", CASES)
def test_x(server, no_collector, case):
    api, request = CASES[case]
    with pytest.raises(grpc.RpcError) as caught:
        getattr(server.running.prediction, api)(request, timeout=0.5 if "deadline" in case else TIMEOUT_S)
    print(case, caught.value.code(), caught.value.details()[:80])
    spec = request.tasks[0].model_spec if api == "MultiInference" else request.model_spec
    end(server, spec.name)
