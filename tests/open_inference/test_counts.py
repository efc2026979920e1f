"""Inferences are counted as Predict's requests are: each once, by model, signature and the way that it came."""

import numpy as np
import pytest

from tests.metrics_plane.reading import Increase
from tests.open_inference.test_http_clients import http_address

triton_grpc = pytest.importorskip("tritonclient.grpc", reason="on Linux only")
triton_http = pytest.importorskip("tritonclient.http", reason="on Linux only")
utils = pytest.importorskip("tritonclient.utils", reason="on Linux only")

COUNT, LATENCY = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency_count"


@pytest.fixture(params=["GRPC", "REST"])
def entrypoint(request):
    return request.param


@pytest.fixture
def infer(http_server, entrypoint):
    """Sends a float to a model by one of Triton's clients."""
    module = triton_grpc if entrypoint == "GRPC" else triton_http
    address = http_server.address if entrypoint == "GRPC" else http_address(http_server)

    def send(model):
        tensor = module.InferInput("x", [1], "FP32")
        tensor.set_data_from_numpy(np.ones(1, np.float32))
        with module.InferenceServerClient(address) as client:
            return client.infer(model, [tensor])

    return send


def test_an_inference_is_counted_once(http_server, infer, entrypoint):
    increase = Increase(http_server.server)
    for _ in range(3):
        infer("half_plus_two")
    of = {"api": "ModelInfer", "entrypoint": entrypoint, "model_name": "half_plus_two"}
    assert increase.of("servable_requests_total", signature_name="serving_default", status="OK", **of) == 3
    assert increase.of("servable_request_seconds_count", **of) == 3
    assert increase.of(COUNT, model_name="half_plus_two", status="OK") == increase.of(COUNT) == 3
    name = "ModelInfer" if entrypoint == "GRPC" else "modelinfer"
    assert increase.of(LATENCY, API=name, entrypoint=entrypoint) == 3


def test_a_failed_inference_is_counted_by_its_code_and_the_name_that_was_sent(http_server, infer, entrypoint):
    increase = Increase(http_server.server)
    with pytest.raises(utils.InferenceServerException):
        infer("nope")
    assert increase.of(COUNT, model_name="nope", status="NOT_FOUND") == increase.of(COUNT) == 1
    assert increase.of("servable_requests_total", api="ModelInfer", entrypoint=entrypoint) == 1
