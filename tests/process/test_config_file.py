"""`--model_config_file` while the server runs, as in the original's own tests: read again, and read once."""

import os
import signal

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from tests.conformance.calls import NOT_FOUND, TIMEOUT_S, predict_request, refused, values
from tests.conformance.operating import eventually
from tests.process.transport import connect

TWO = predict_request("half_plus_two", {"x": [[2.0]]})
THREE = predict_request("half_plus_three", {"x": [[2.0]]})
UNKNOWN = NOT_FOUND, "Servable not found for request: Latest(half_plus_three)"


def answer(stub, request):
    """What is answered; None if the model is not there."""
    try:
        return values(stub.Predict(request, timeout=TIMEOUT_S).outputs["y"])
    except grpc.RpcError as error:
        if error.code() is NOT_FOUND:
            return None
        raise


@pytest.mark.behaviour("5", "--model_config_file_poll_wait_seconds")
@pytest.mark.behaviour("6.6", "the file is read again each period and applied like a reload")
@pytest.mark.behaviour("13.1", "12 testModelConfigReload, 13 testModelConfigReloadWithZeroPollPeriod")
def test_a_file_that_is_read_again_brings_its_new_model(serve, models, model_config):
    config = model_config({"half_plus_two": models.base_path("half_plus_two")})
    process = serve(f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1").wait_until_serving()
    with connect(process.address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        assert answer(stub, TWO) == [[3.0]]
        assert answer(stub, THREE) is None
        os.replace(model_config({"half_plus_three": models.base_path("half_plus_three")}), config)
        eventually(lambda: answer(stub, THREE), [[4.0]])
        eventually(lambda: answer(stub, TWO), None)
        config.write_text("improperly formatted")
        process.stderr.wait_for("Failed to read ModelServerConfig file: INVALID_ARGUMENT: Invalid protobuf file")
        assert answer(stub, THREE) == [[4.0]]
    process.signal(signal.SIGTERM)
    assert process.wait() == 0


@pytest.mark.behaviour("5", "--file_system_poll_wait_seconds")
@pytest.mark.behaviour("6.6", "0 or less: the file is read once")
@pytest.mark.behaviour("13.1", "12 testModelConfigReload, 13 testModelConfigReloadWithZeroPollPeriod")
def test_a_file_that_is_read_once_may_change_as_it_likes(serve, models, model_config, tmp_path):
    base_path = tmp_path / "half_plus_two"
    base_path.mkdir()
    (base_path / "1").symlink_to(models.version_path("half_plus_two"))
    config = model_config({"half_plus_two": base_path})
    process = serve(f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=0").wait_until_serving()
    with connect(process.address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        os.replace(model_config({"half_plus_three": models.base_path("half_plus_three")}), config)
        # Base paths are looked at every second: a second has passed when this version is there.
        (base_path / "2").symlink_to(models.version_path("half_plus_three"))
        eventually(lambda: answer(stub, TWO), [[4.0]])
        assert refused(stub.Predict, THREE) == UNKNOWN
