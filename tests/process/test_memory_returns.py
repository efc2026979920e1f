"""What huge and refused requests took goes back to the system within seconds, while the process serves on."""

import gzip
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import predict_pb2

from tests.conformance.calls import predict_request, values
from tests.process.launching import ServerProcess, free_port
from tests.process.transport import PATIENCE_S, connect

MIB = 1 << 20
PREDICT = "/tensorflow.serving.PredictionService/Predict"
# Of glibc's heaps and what is loaded lazily.
SLACK_BYTES = 100 * MIB
UNLIMITED = {"grpc.max_send_message_length": -1, "grpc.max_receive_message_length": -1}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def resident_bytes(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def await_return(pid, before):
    """Wait until the process has as little memory as before."""
    ends_at = time.monotonic() + PATIENCE_S
    while (now := resident_bytes(pid)) > before + SLACK_BYTES:
        assert time.monotonic() < ends_at, f"{before / MIB:.0f} MiB became {now / MIB:.0f}"
        time.sleep(0.05)  # There is no event to wait for.


def large_request(size):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half_plus_two"
    x = request.inputs["x"]
    x.dtype = 1
    x.tensor_shape.dim.add().size = size // 4
    x.tensor_content = bytes(size)
    return request.SerializeToString()


def post(port, body, **headers):
    url = f"http://127.0.0.1:{port}/v1/models/half_plus_two:predict"
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=2 * PATIENCE_S) as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture(scope="module")
def server(models):
    port = free_port()
    server = ServerProcess(
        "--model_name=half_plus_two",
        f"--model_base_path={models.base_path('half_plus_two')}",
        f"--rest_api_port={port}",
        "--grpc_max_decompressed_mb=32",
    )
    server.rest_port = port
    try:
        yield server.wait_until_serving()
    finally:
        server.kill()


@pytest.fixture
def channel(server):
    with connect(server.address, **UNLIMITED) as channel:
        request = predict_request("half_plus_two", {"x": [[2.0]]}).SerializeToString()
        answer = predict_pb2.PredictResponse.FromString(channel.unary_unary(PREDICT)(request, timeout=PATIENCE_S))
        assert values(answer.outputs["y"]) == [[3.0]]
        yield channel


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_what_decompresses_to_too_much_leaves_nothing_behind(server, channel, compression):
    before = resident_bytes(server.pid)
    call = channel.unary_unary(PREDICT).future(large_request(320 * MIB), timeout=PATIENCE_S, compression=compression)
    error = call.exception(2 * PATIENCE_S)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "--grpc_max_decompressed_mb" in error.details()
    await_return(server.pid, before)


def test_what_200_megabytes_took_that_were_answered_goes_back(server, channel):
    before = resident_bytes(server.pid)
    answer = channel.unary_unary(PREDICT)(large_request(200 * MIB), timeout=2 * PATIENCE_S)
    assert len(answer) > 200 * MIB
    await_return(server.pid, before)


@pytest.mark.parametrize("zipped", [False, True])
def test_what_large_bodies_took_goes_back(server, channel, zipped):
    before = resident_bytes(server.pid)
    body = json.dumps({"instances": [[1.5] * 2_000_000]}).encode()
    headers = {"Content-Encoding": "gzip"} if zipped else {}
    for _ in range(2):
        assert post(server.rest_port, gzip.compress(body, 1) if zipped else body, **headers) in {200, 400}
    await_return(server.pid, before)
