"""Triton's own HTTP clients against a server over a socket: JSON, the binary extension, gzip, asyncio, errors."""

import asyncio

import numpy as np
import pytest

from servable.open_inference import datatypes
from tests.open_inference.asking import assert_equal
from tests.open_inference.test_grpc_clients import VALUES

triton = pytest.importorskip("tritonclient.http", reason="on Linux only")
triton_aio = pytest.importorskip("tritonclient.http.aio", reason="on Linux only")
utils = pytest.importorskip("tritonclient.utils", reason="on Linux only")


def http_address(running):
    (port,) = running.server.http_ports
    return f"127.0.0.1:{port}"


@pytest.fixture
def client(http_server):
    with triton.InferenceServerClient(http_address(http_server)) as connected:
        yield connected


def make_input(name, array, *, binary=True, datatype=None):
    tensor = triton.InferInput(name, list(array.shape), datatype or utils.np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array, binary_data=binary)
    return tensor


def x(*values, binary=True):
    return make_input("x", np.array(values, np.float32), binary=binary)


def test_server_and_models_are_ready(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("half_plus_two")
    assert client.is_model_ready("half_plus_two", "1")
    assert not client.is_model_ready("half_plus_two", "2")
    assert not client.is_model_ready("unknown")


def test_metadata_is_read(client):
    assert client.get_server_metadata()["name"] == "servable"
    metadata = client.get_model_metadata("dtypes", query_params={"signature_name": "identity_half"})
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP16", "shape": [-1]}]


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("binary_out", [None, False, True])
def test_an_inference_is_answered(client, binary, binary_out):
    outputs = None if binary_out is None else [triton.InferRequestedOutput("y", binary_data=binary_out)]
    reply = client.infer("half_plus_two", [x(1, 2, 3, binary=binary)], outputs=outputs, request_id="some id")
    assert reply.as_numpy("y").tolist() == [2.5, 3.0, 3.5]
    assert reply.get_response()["id"] == "some id"


@pytest.mark.parametrize("name", VALUES)
def test_each_datatype_goes_there_and_back(client, name):
    dtype = datatypes.BY_NAME[name].dtype
    array = np.array([VALUES[name]], dtype.numpy)
    signature = {"signature_name": f"identity_{dtype.name}"}
    reply = client.infer("dtypes", [make_input("x", array, datatype=name)], parameters=signature)
    assert_equal(reply.as_numpy("y"), array)


def test_brain_floats_go_there_and_back(client):
    dtype = datatypes.BY_NAME["BF16"].dtype.numpy
    array = np.array([[1.5, -2.0]], dtype)
    try:
        tensor = make_input("x", array, datatype="BF16")
    except utils.InferenceServerException:
        pytest.skip("this release of Triton's client takes float32 for BF16")
    reply = client.infer("dtypes", [tensor], parameters={"signature_name": "identity_bfloat16"})
    assert reply.as_numpy("y").astype(np.float32).tolist() == [[1.5, -2.0]]


@pytest.mark.parametrize("binary", [False, True])
def test_a_request_with_gzip_is_answered(client, binary):
    reply = client.infer("half_plus_two", [x(1, binary=binary)], request_compression_algorithm="gzip")
    assert reply.as_numpy("y").tolist() == [2.5]


@pytest.mark.parametrize(
    ("model", "tensor", "status", "words"),
    [
        ("unknown", x(1), "404", "Servable not found for request: Latest"),
        ("half_plus_two", make_input("z", np.zeros(1, np.float32)), "400", "Signature input alias: x"),
        ("half_plus_two", make_input("x", np.zeros(1)), "400", "to be float but double is provided"),
    ],
)
def test_an_error_is_read_and_the_next_request_answered(client, model, tensor, status, words):
    with pytest.raises(utils.InferenceServerException, match=words) as raised:
        client.infer(model, [tensor])
    assert raised.value.status() == status
    assert client.infer("half_plus_two", [x(1)]).as_numpy("y").tolist() == [2.5]


def test_a_large_tensor_is_answered_whichever_way_it_goes(client):
    values = np.linspace(0, 1, 150_528, dtype=np.float32)
    for binary in (False, True):
        reply = client.infer("half_plus_two", [make_input("x", values, binary=binary)])
        np.testing.assert_allclose(reply.as_numpy("y"), values / 2 + 2, rtol=1e-6)


def test_an_asyncio_client_is_answered(http_server):
    async def talk():
        async with triton_aio.InferenceServerClient(http_address(http_server)) as client:
            assert await client.is_server_ready()
            calls = (client.infer("half_plus_two", [x(value, binary=value % 2)]) for value in range(16))
            return [reply.as_numpy("y").item() for reply in await asyncio.gather(*calls)]

    assert asyncio.run(talk()) == [value / 2 + 2 for value in range(16)]
