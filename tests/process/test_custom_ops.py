"""Flags that bring ops and functions: with them a server serves what it could not, or says what cannot be had."""

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.conformance.calls import TIMEOUT_S, predict_request, values
from tests.models import op_library
from tests.models.exporting import save_tf2, tf
from tests.process.command_lines import outcomes
from tests.process.transport import connect

MODULE = """
from servable.python_functions import provide

@provide("the_function")
def shift(x):
    if x.size == 0:
        raise ValueError("x must not be empty")
    if x[0] < 0:
        raise KeyError("secret")
    return x + 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A library with an op, a module with a function, and a model for each."""
    folder = tmp_path_factory.mktemp("custom")
    op_library.compile_op_library(folder / "halve.so")
    op_library.build_model(folder / "halving" / "1")
    op_library.build_model(folder / "unknown" / "1", "NobodyHasThis")
    (folder / "functions_of_test.py").write_text(MODULE)
    (folder / "failing_of_test.py").write_text("raise RuntimeError('out of order')")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def call(x):
        return {"y": tf.numpy_function(lambda _: None, [x], tf.float32, name="the_function")}

    save_tf2(tf.Module(), folder / "calling" / "1", call)
    return folder


@pytest.fixture(scope="module", autouse=True)
def python_path(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder))
        yield


@pytest.mark.behaviour(
    "7.1",
    "ours: --custom_op_libraries and --import bring ops before any model; the original links TF Text and "
    "TFDF statically and takes no others",
)
def test_ops_of_a_library_and_functions_of_a_module_are_served(serve, folder, model_config):
    config = model_config({name: folder / name for name in ("halving", "calling")})
    flags = [f"--custom_op_libraries={folder}/halve.so", "--import=functions_of_test"]
    server = serve(f"--model_config_file={config}", *flags).wait_until_serving()
    with connect(server.address) as channel:
        predict = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict
        for name, y in (("halving", [1.0, 2.0]), ("calling", [3.0, 5.0])):
            response = predict(predict_request(name, {"x": [2.0, 4.0]}), timeout=TIMEOUT_S)
            assert values(response.outputs["y"]) == y
        with pytest.raises(grpc.RpcError) as refused:
            predict(predict_request("calling", {"x": [-1.0]}), timeout=TIMEOUT_S)
    assert refused.value.code() is grpc.StatusCode.UNKNOWN
    assert "secret" not in refused.value.details()
    assert "Traceback" not in refused.value.details()
    server.stderr.wait_for("KeyError")


REFUSALS = {
    "--custom_op_libraries=/no/such.so": "NOT_FOUND: --custom_op_libraries: /no/such.so; No such file",
    "--import=no_such_module": "NOT_FOUND: --import=no_such_module: No module named 'no_such_module'. ",
    "--import=failing_of_test": "FAILED_PRECONDITION: --import=failing_of_test: RuntimeError: out of order. ",
}


@pytest.fixture(scope="module")
def results(folder):
    """The outcomes of command lines in one process; the op is there from the last but one on."""
    inspect = ["inspect", folder / "halving"]
    served = (["serve", "--model_base_path=/nowhere", flag] for flag in REFUSALS)
    library = f"--custom_op_libraries={folder}/halve.so"
    *refused, without, given, missing = outcomes(
        *served, inspect, [*inspect, library], [*inspect[:1], folder / "unknown", "--import=no_such_module"]
    )
    return {**dict(zip(REFUSALS, refused, strict=True)), "without": without, "given": given, "missing": missing}


@pytest.mark.behaviour("7.1", "ours: a library or a module that cannot be had ends the start with 255 and one line")
@pytest.mark.parametrize("flag", REFUSALS)
def test_what_cannot_be_loaded_ends_the_start_in_one_line(results, flag):
    assert results[flag]["status"] == 255
    assert results[flag]["stdout"].startswith(f"Failed to start server. Error: {REFUSALS[flag]}")
    assert results[flag]["stdout"].count("\n") == 1


def test_inspect_takes_the_same_flags(results):
    # Lines are broken at 80 columns.
    reports = {name: " ".join(results[name]["stdout"].split()) for name in ("without", "given")}
    assert f'has no op "{op_library.OP}"' in reports["without"]
    assert "has no op" not in reports["given"]
    assert (results["without"]["status"], results["given"]["status"]) == (0, 0)


def test_inspect_reports_what_cannot_be_loaded(results):
    assert results["missing"]["status"] == 1
    assert results["missing"]["stderr"].startswith("NOT_FOUND: --import=no_such_module: ")
