"""`servable serve` from the outside: it answers, over TCP and a unix socket, and only once its models are loaded."""

import pytest
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from tests.conformance.calls import TIMEOUT_S, model_spec, predict_request, values
from tests.process.launching import is_open
from tests.process.transport import connect

AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE
LOADING = get_model_status_pb2.ModelVersionStatus.LOADING


@pytest.fixture(scope="module", params=["tcp", "unix"])
def channel(served, request):
    address = served.address
    if request.param == "unix":
        address = served.stderr.wait_for("serving on unix:").split("serving on ")[1].strip()
    with connect(address) as channel:
        yield channel


@pytest.mark.behaviour("5", "--name=value, a bare bool, the last occurrence wins; ours: --name value")
@pytest.mark.behaviour("5", "--port")
@pytest.mark.behaviour("5", "--grpc_socket_path")
@pytest.mark.behaviour("5", "--enable_grpc_healthcheck_service")
@pytest.mark.behaviour("11.3", "channel arguments reach gRPC, the last of a key wins, unknown ones are accepted")
@pytest.mark.behaviour("13.1", "10 testGoodModelConfig, as a process")
@pytest.mark.behaviour("13.1", "14 testGoodGrpcChannelArgs")
@pytest.mark.behaviour("13.1", "22 testPredictUDS")
def test_the_stock_stubs_get_their_answers(channel):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(predict_request("half_plus_two", {"x": [[2.0], [4.0]]}), timeout=TIMEOUT_S)
    assert values(response.outputs["y"]) == [[3.0], [4.0]]
    assert response.model_spec.version.value == 1


@pytest.mark.behaviour("5", "--model_config_file")
@pytest.mark.behaviour("13.1", "10 testGoodModelConfig, as a process")
def test_every_model_of_the_config_is_available(channel):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    for name in ("half_plus_two", "gate"):
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(name))
        (version,) = stub.GetModelStatus(request, timeout=TIMEOUT_S).model_version_status
        assert (version.version, version.state, version.status.error_code) == (1, AVAILABLE, 0)


@pytest.mark.behaviour(
    "5", "an unknown argument is printed on stdout and the server goes on; ours: with the nearest flag, not the usage"
)
def test_an_unknown_argument_is_printed_with_where_flags_are_and_the_server_goes_on(served):
    assert served.stdout.wait_for("unknown argument: ") == (
        "unknown argument: --no_such_flag=1. `servable serve --help` lists all flags.\n"
    )


@pytest.mark.behaviour("5", "--enable_batching")
def test_a_flag_without_effect_is_logged(served):
    assert "WARNING" in served.stderr.wait_for(
        "--flush_filesystem_caches has no meaning here: only TensorFlow's remote file systems keep caches"
    )


BAD = ("garbage_saved_model", "truncated_variables")


@pytest.mark.behaviour("5", "ours: a model that cannot be loaded holds up no start as long as another one serves")
def test_the_server_starts_without_bad_models_as_long_as_another_one_serves(serve, models, model_config):
    base_paths = {name: models.base_path(name) for name in ("gate", *BAD)}
    process = serve(f"--model_config_file={model_config(base_paths)}").wait_until_serving()
    for name in BAD:
        process.stderr.wait_for(f"{name} does not serve yet; the server starts without it")
    with connect(process.address) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(BAD[0]))
        (version,) = stub.GetModelStatus(request, timeout=TIMEOUT_S).model_version_status
    assert (version.version, version.state) == (1, LOADING)


@pytest.mark.behaviour("5", "a start that fails prints its code and message on stdout and ends with 255")
@pytest.mark.behaviour("5", "no port is open before the first models are loaded")
@pytest.mark.behaviour("6.5", "the text of a start that fails names each model with its cause")
def test_a_start_ends_with_the_causes_if_no_model_can_be_loaded(serve, models, model_config):
    bad = {name: models.base_path(name) for name in BAD}
    process = serve(f"--model_config_file={model_config(bad)}", "--max_num_load_retries=0")
    process.stderr.wait_for("loading .* failed")
    assert not is_open(process.port)
    assert process.wait() == 255
    printed = process.stdout.text()
    assert printed.startswith(
        "Failed to start server. Error: UNKNOWN: 2 servable(s) did not become available: {{{name: "
    )
    for name, cause in {"garbage_saved_model": "DATA_LOSS: ", "truncated_variables": "OUT_OF_RANGE: "}.items():
        assert f"{{name: {name} version: 1}} due to error: {cause}" in printed
        assert str(bad[name] / "1") in printed
