"""docs/transcoding.md is true: the real Envoy, configured as it says, answers JSON, errors with their details too."""

import contextlib
import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from servable import cli
from tests.mesh import envoy
from tests.process.launching import PATIENCE_S, free_port

pytestmark = pytest.mark.skipif(not envoy.IS_INSTALLED, reason=envoy.WHY_NOT)

PAGE = (Path(__file__).parents[2] / "docs" / "transcoding.md").read_text(encoding="utf-8")
PREDICT = "tensorflow.serving.PredictionService/Predict"
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def block(language, after):
    """The first block of code in this language after these words of the page."""
    return re.search(rf"```{language}\n(.*?)```", PAGE.partition(after)[2], re.DOTALL)[1]


@pytest.fixture
def gateway(servers, tmp_path):
    """A context in which the page's Envoy stands before a server with these flags; it yields Envoy's port."""

    @contextlib.contextmanager
    def run(**flags):
        descriptors, path, port = tmp_path / "servable.binpb", tmp_path / "envoy.yaml", free_port()
        assert cli.main(["protos", "--descriptor_set", str(descriptors)]) == 0
        _, _, server_port = servers("half_plus_two", **flags).address.partition(":")
        text = block("yaml", "## Envoy")
        for theirs, ours in {
            "address: 0.0.0.0, port_value: 8080": f"address: 127.0.0.1, port_value: {port}",
            "address: 127.0.0.1, port_value: 8500": f"address: 127.0.0.1, port_value: {server_port}",
            "/etc/envoy/servable.binpb": str(descriptors),
        }.items():
            assert text.count(theirs) == 1
            text = text.replace(theirs, ours)
        path.write_text(text)
        with envoy.running(path, port):
            yield port

    return run


def post(port, method, body):
    """The HTTP status and the JSON of the body."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/{method}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with NO_PROXY.open(request, timeout=PATIENCE_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_json_is_answered_and_an_error_has_its_details(gateway):
    body = json.loads(re.search(r"'\n(.*)'", block("", "A call, as"), re.DOTALL)[1])
    with gateway() as port:
        status, answer = post(port, PREDICT, body)
        assert (status, answer["outputs"]["y"]["float_val"]) == (200, [3, 4])
        assert answer["model_spec"]["version"] == "1"
        body["model_spec"]["name"] = "half_plus_too"
        assert post(port, PREDICT, body) == (404, json.loads(block("json", "An error has")))
        assert post(port, "grpc.health.v1.Health/Check", {"service": "half_plus_two"}) == (200, {"status": "SERVING"})


def test_tensors_of_more_than_envoy_s_default_limit_pass(gateway):
    tensor = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": 1_000_000}]}, "float_val": [2] * 1_000_000}
    with gateway() as port:
        status, answer = post(port, PREDICT, {"model_spec": {"name": "half_plus_two"}, "inputs": {"x": tensor}})
    assert (status, answer["outputs"]["y"]["float_val"]) == (200, [3] * 1_000_000)


def test_an_error_without_details_is_code_and_message(gateway):
    with gateway(grpc_error_details=False) as port:
        assert post(port, PREDICT, {"model_spec": {"name": "half_plus_too"}}) == (
            404,
            {"code": 5, "message": "Servable not found for request: Latest(half_plus_too)"},
        )
