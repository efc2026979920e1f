"""Triton's own gRPC clients against a server over a socket, on lanes and without."""

import asyncio
import threading

import numpy as np
import pytest

from servable.open_inference import datatypes
from tests.conformance.calls import predict_request, values
from tests.open_inference.asking import assert_equal
from tests.serving import TIMEOUT_S, start

triton = pytest.importorskip("tritonclient.grpc", reason="on Linux only")
triton_aio = pytest.importorskip("tritonclient.grpc.aio", reason="on Linux only")
utils = pytest.importorskip("tritonclient.utils", reason="on Linux only")

MODELS = ("half_plus_two", "dtypes", "strings")
VALUES = {
    "BOOL": [True, False],
    "BYTES": [b"\xff\0", b""],
    "FP16": [0.5, -65504.0],
    "FP32": [0.1, np.nan],
    "FP64": [0.1, -np.inf],
    **{name: [0, 127] for name in ("UINT8", "UINT16", "UINT32", "UINT64")},
    **{name: [-128, 127] for name in ("INT8", "INT16", "INT32", "INT64")},
}


@pytest.fixture(scope="module", params=["private", "public"])
def running(servers, request):
    return servers(*MODELS, runs=request.param)


@pytest.fixture
def client(running):
    with triton.InferenceServerClient(running.address) as connected:
        yield connected


def make_input(name, array, module=triton):
    tensor = module.InferInput(name, list(array.shape), utils.np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array)
    return tensor


def x(*values):
    return make_input("x", np.array(values, np.float32))


def test_server_and_models_are_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("half_plus_two")
    assert client.is_model_ready("half_plus_two", "1")
    assert not client.is_model_ready("half_plus_two", "2")
    assert not client.is_model_ready("unknown")


def test_metadata_is_read(client):
    assert client.get_server_metadata().name == "servable"
    metadata = client.get_model_metadata("half_plus_two", as_json=True)
    assert metadata["versions"] == ["1"]
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": ["-1", "1"]}]


def test_an_inference_is_answered(client):
    reply = client.infer("half_plus_two", [x(1, 2, 3)], request_id="some id", client_timeout=TIMEOUT_S)
    assert reply.as_numpy("y").tolist() == [2.5, 3.0, 3.5]
    assert reply.get_response().id == "some id"


@pytest.mark.parametrize("name", VALUES)
def test_each_datatype_goes_there_and_back(client, name):
    dtype = datatypes.BY_NAME[name].dtype
    array = np.array([VALUES[name]], dtype.numpy)
    tensor = triton.InferInput("x", list(array.shape), name)
    tensor.set_data_from_numpy(array)
    signature = {"signature_name": f"identity_{dtype.name}"}
    reply = client.infer("dtypes", [tensor], parameters=signature, client_timeout=TIMEOUT_S)
    assert_equal(reply.as_numpy("y"), array)


def test_outputs_are_those_that_are_asked_for(client):
    wanted = [triton.InferRequestedOutput(name) for name in ("loud", "bytes")]
    reply = client.infer("strings", [make_input("text", np.array([b"abc"], object))], outputs=wanted)
    assert reply.as_numpy("loud").tolist() == [b"abc!"]
    assert reply.as_numpy("joined") is None
    assert [output.name for output in reply.get_response().outputs] == ["loud", "bytes"]


def test_a_wrong_dtype_is_refused_by_the_graphs_own_check(client):
    with pytest.raises(utils.InferenceServerException, match="to be float but double is provided") as raised:
        client.infer("half_plus_two", [make_input("x", np.array([1.0]))])
    assert raised.value.status() == "StatusCode.INVALID_ARGUMENT"


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
def test_a_compressed_request_is_answered(client, compression):
    assert client.infer("half_plus_two", [x(1)], compression_algorithm=compression).as_numpy("y").tolist() == [2.5]


def test_an_asynchronous_call_is_answered(client):
    answered, results = threading.Event(), []

    def on_answer(result, error):
        results.append((result, error))
        answered.set()

    client.async_infer("half_plus_two", [x(4)], on_answer, client_timeout=TIMEOUT_S)
    assert answered.wait(TIMEOUT_S)
    ((result, error),) = results
    assert error is None
    assert result.as_numpy("y").tolist() == [4.0]


def test_an_asyncio_client_is_answered(running):
    async def talk():
        async with triton_aio.InferenceServerClient(running.address) as client:
            assert await client.is_server_ready()
            inputs = [[make_input("x", np.array([value], np.float32))] for value in range(16)]
            replies = await asyncio.gather(*(client.infer("half_plus_two", each) for each in inputs))
            return [reply.as_numpy("y").item() for reply in replies]

    assert asyncio.run(talk()) == [value / 2 + 2 for value in range(16)]


def test_with_batching_each_caller_of_either_api_gets_its_own_rows(servers):
    running = servers("half_plus_two", enable_batching=True)
    with triton.InferenceServerClient(running.address) as client:
        asked = [[float(number)] * (number % 3 + 1) for number in range(20)]
        predictions = [
            running.prediction.Predict.future(predict_request("half_plus_two", {"x": xs}), timeout=TIMEOUT_S)
            for xs in asked
        ]
        inferences = [client.infer("half_plus_two", [x(*xs)]).as_numpy("y").tolist() for xs in asked]
    wanted = [[0.5 * value + 2.0 for value in xs] for xs in asked]
    assert inferences == wanted
    assert [values(call.result().outputs["y"]) for call in predictions] == wanted


def test_a_server_that_leaves_is_live_and_answers_but_is_not_ready(models):
    running = start(models, "half_plus_two")
    try:
        with triton.InferenceServerClient(running.address) as client:
            running.server.leave()
            assert not client.is_server_ready()
            assert client.is_server_live()
            assert client.infer("half_plus_two", [x(1)]).as_numpy("y").tolist() == [2.5]
    finally:
        running.close()
