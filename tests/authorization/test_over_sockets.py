"""Authorization end to end: a real server over sockets, by gRPC on both paths and by HTTP."""

import hashlib
import json
import logging
import time
import urllib.error
import urllib.request

import grpc
import pytest
from tensorflow_serving.apis import model_management_pb2, predict_pb2

from tests import serving
from tests.authorization import issuing
from tests.authorization.conftest import BEARER

INFER, MONITOR = "/inference.GRPCInferenceService/ModelInfer", "/tensorflow.ProfilerService/Monitor"
PREDICT = "/tensorflow.serving.PredictionService/Predict"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
RELOAD = "/tensorflow.serving.ModelService/HandleReloadConfigRequest"
RULES = """
issuer { issuer: "https://login.example.com/" audience: "servable" jwks_file: "jwks.json" }
rule {
  who { jwt { issuer: "https://login.example.com/" claim { name: "groups" value: "team-a" } } }
  may: [PREDICT, METADATA] models: "half_plus_two"
}
rule { who { name: "deploy job" bearer_sha256: "%s" } may: [STATUS, RELOAD, PROFILE, METRICS, CONSOLE] models: "*" }
"""


@pytest.fixture(scope="module")
def rules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules")
    (folder / "jwks.json").write_text(issuing.KEYS)
    path = folder / "rules.textproto"
    path.write_text(RULES % hashlib.sha256(BEARER.encode()).hexdigest())
    return path


@pytest.fixture(scope="module", params=["private", "public"])
def running(request, models, rules):
    """Both paths: lanes, and grpcio's own threads."""
    running = serving.start(
        models, "half_plus_two", runs=request.param, authorization_file=str(rules), authorization_poll_s=0.05,
        rest_api_port=serving_port(), console="true",
    )  # fmt: skip
    yield running
    running.close()


def serving_port():
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def predict_request(model="half_plus_two"):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs["x"].dtype = 1
    request.inputs["x"].float_val.append(2.0)
    request.inputs["x"].tensor_shape.dim.add(size=1)
    return request.SerializeToString()


def code(running, method, message, *metadata):
    try:
        running.call(method, message, metadata=metadata)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def token(value):
    return "authorization", f"Bearer {value}"


def http_status(running, path, value=None, data=None):
    port = running.server.http_ports[0]
    headers = {} if value is None else {"authorization": f"Bearer {value}"}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    try:
        with urllib.request.urlopen(asked, timeout=60) as reply:
            return reply.status, None
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("www-authenticate")


CODES = grpc.StatusCode


def test_a_call_without_credentials_is_unauthenticated(running):
    for method in (
        PREDICT,
        STATUS,
        RELOAD,
        "/inference.GRPCInferenceService/ModelInfer",
    ):
        assert code(running, method, b"") is CODES.UNAUTHENTICATED, method


def test_a_token_may_do_what_its_rule_says_and_nothing_else(running):
    metadata = token(issuing.sign())
    assert code(running, PREDICT, predict_request(), metadata) is CODES.OK
    assert code(running, STATUS, b"", metadata) is CODES.PERMISSION_DENIED
    assert code(running, RELOAD, b"", metadata) is CODES.PERMISSION_DENIED


def test_a_model_that_is_not_there_answers_as_one_that_is_denied(running):
    told = []
    for model in ("half_plus_two", "absent"):
        with pytest.raises(grpc.RpcError) as caught:
            running.call(PREDICT, predict_request(model), metadata=[token(issuing.sign(groups="none"))])
        told.append((caught.value.code(), caught.value.details(), caught.value.trailing_metadata()))
    assert told[0] == told[1]


def test_hints_name_no_model_to_who_may_not_see_all(running):
    with pytest.raises(grpc.RpcError) as caught:
        running.call(PREDICT, predict_request("half_plus_twa"), metadata=[token(issuing.sign())])
    assert caught.value.code() is CODES.PERMISSION_DENIED
    assert b"half_plus_two" not in b"".join(v for k, v in caught.value.trailing_metadata() if k.endswith("-bin"))


def test_an_expired_token_is_unauthenticated(running):
    assert code(running, PREDICT, predict_request(), token(issuing.sign(exp=1))) is CODES.UNAUTHENTICATED


def test_two_headers_are_unauthenticated(running):
    assert code(running, PREDICT, predict_request(), token(BEARER), token(issuing.sign())) is CODES.UNAUTHENTICATED


def test_http_answers_401_with_a_challenge(running):
    body = json.dumps({"instances": [1.0]}).encode()
    path = "/v1/models/half_plus_two:predict"
    assert http_status(running, path, None, body) == (401, 'Bearer realm="servable"')
    assert http_status(running, path, "wrong", body) == (401, 'Bearer realm="servable", error="invalid_token"')
    assert http_status(running, path, issuing.sign(), body) == (200, None)
    assert http_status(running, path, BEARER, body)[0] == 403


@pytest.mark.parametrize(
    "path", ["/v1/models/half_plus_two", "/v2", "/v2/models/half_plus_two", "/", "/console/models", "/openapi.json"]
)
def test_each_path_is_closed_to_who_shows_nothing(running, path):
    assert http_status(running, path)[0] == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"])
def test_health_stays_open(running, path):
    assert http_status(running, path) == (200, None)


def test_a_reload_is_audited(running, caplog):
    caplog.set_level(logging.INFO)
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.config.add(name="half_plus_two", base_path="/absent", model_platform="tensorflow")
    code(running, RELOAD, request.SerializeToString(), token(issuing.sign()))
    lines = [json.loads(line.getMessage()) for line in caplog.records if line.name == "servable.audit"]
    assert [(line["action"], line["code"]) for line in lines] == [("reload", "PERMISSION_DENIED")]
    assert BEARER not in caplog.text


def test_rules_that_change_hold_for_the_next_call(running, rules):
    text = rules.read_text()
    rules.write_text(text.replace("team-a", "team-b"))
    try:
        ends_s = time.monotonic() + 10
        while code(running, PREDICT, predict_request(), token(issuing.sign())) is CODES.OK:
            assert time.monotonic() < ends_s
    finally:
        rules.write_text(text)
