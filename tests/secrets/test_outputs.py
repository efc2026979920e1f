"""A server is sent secrets in every place, and made to fail with them; then all that it says is searched.

A reply may quote the payload of its own request, as the original's errors do. Nothing else may, and nothing at all may
hold a key or a token.
"""

import http.client
import json
import signal
import ssl

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from servable import wire
from tests.models.notation import tf
from tests.process.certificates import Authority, ssl_config
from tests.process.launching import PATIENCE_S, ServerProcess, free_port
from tests.secrets.features import BEARER, FEATURES
from tests.secrets.registry import Secrets

PAYLOAD = "canary-payload-7f3a"
TOKENS = {
    "bearer token": BEARER,
    "JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.canary-signature-91aa",
    "cookie": "canary-cookie-00d4e5",
    "basic password": "canary-password-c0ffee",
    "API key": "canary-api-key-8899",
}
HEADERS = {
    "authorization": f"Bearer {TOKENS['bearer token']}",
    "x-jwt-assertion": TOKENS["JWT"],
    "cookie": f"session={TOKENS['cookie']}",
    "proxy-authorization": f"Basic {TOKENS['basic password']}",
    "x-api-key": TOKENS["API key"],
}
OURS = Authority("secrets")
SERVER = OURS.vouch_for("localhost")
PREDICT = "/v1/models/half_plus_two:predict"
PAGES = ("/", "/openapi.json", "/healthz", "/v1/models/half_plus_two", "/v1/models/half_plus_two/metadata", "/v2")


class Caller:
    """Sends secrets; keeps what comes back, apart for calls that brought a payload of their own."""

    def __init__(self, process, rest_port, metrics_port):
        self.own, self.others = [], []
        self._rest_port, self._metrics_port = rest_port, metrics_port
        self._tls = ssl.create_default_context(cadata=OURS.certificate.decode())
        credentials = grpc.ssl_channel_credentials(OURS.certificate)
        self._channel = grpc.secure_channel(process.address.replace("127.0.0.1", "localhost"), credentials)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def predict(self, request, method=None):
        call = self.prediction.Predict if method is None else self._channel.unary_unary(method)
        try:
            reply = call(request, timeout=PATIENCE_S, metadata=list(HEADERS.items()))
            text = reply if isinstance(reply, bytes) else reply.SerializeToString()
        except grpc.RpcError as error:
            text = f"{error.details()} {error.trailing_metadata()}".encode()
        self.own.append(("a reply over gRPC", text))

    def ask(self, verb, target, body=None, port=None, *, is_own=True, **headers):
        connection = http.client.HTTPSConnection(
            "localhost", port or self._rest_port, timeout=PATIENCE_S, context=self._tls
        )
        connection.request(verb, target, body, {**HEADERS, **headers})
        reply = connection.getresponse()
        text = f"{reply.status} {reply.headers}".encode() + reply.read()
        (self.own if is_own else self.others).append((f"{verb} {target}", text))
        connection.close()

    def close(self):
        self._channel.close()


def strings(*values):
    return tf.make_tensor_proto(np.array(values, object))


def requests():
    """Predicts that fail, each with the payload in another place."""
    spec = {"name": "half_plus_two"}
    yield predict_pb2.PredictRequest(model_spec=spec, inputs={"x": strings(PAYLOAD)})
    yield predict_pb2.PredictRequest(model_spec=spec, inputs={PAYLOAD: tf.make_tensor_proto([1.0])})
    yield predict_pb2.PredictRequest(
        model_spec=spec, inputs={"x": tf.make_tensor_proto([1.0])}, output_filter=[PAYLOAD]
    )
    yield predict_pb2.PredictRequest(model_spec={**spec, "signature_name": "none"}, inputs={"x": strings(PAYLOAD)})
    yield predict_pb2.PredictRequest(model_spec={"name": "none"}, inputs={"x": strings(PAYLOAD)})
    cut = wire.TensorProto(dtype=wire.DT_FLOAT, tensor_content=PAYLOAD.encode()).SerializeToString()
    yield predict_pb2.PredictRequest(model_spec=spec, inputs={"x": type(strings("")).FromString(cut)})


BODIES = (
    {"instances": [PAYLOAD]},
    {"instances": [{PAYLOAD: 1.0}]},
    {"inputs": {"x": {"b64": PAYLOAD}}},
    {"signature_name": "none", "instances": [PAYLOAD]},
    {PAYLOAD: 1},
)


def provoke(caller):
    for request in requests():
        caller.predict(request)
    for service in ("Classify", "Regress", "MultiInference"):
        caller.predict(PAYLOAD.encode() * 3, f"/tensorflow.serving.PredictionService/{service}")
    caller.predict(b"\xff" + PAYLOAD.encode(), "/tensorflow.serving.PredictionService/Predict")
    caller.predict(PAYLOAD.encode(), "/inference.GRPCInferenceService/ModelInfer")
    caller.predict(PAYLOAD.encode(), "/tensorflow.serving.ModelService/HandleReloadConfigRequest")
    for body in BODIES:
        caller.ask("POST", PREDICT, json.dumps(body))
    for verb in ("classify", "regress", "predict"):
        caller.ask("POST", f"/v1/models/half_plus_two:{verb}", f'{{"instances": [{PAYLOAD}')
        caller.ask("POST", f"/v1/models/half_plus_two:{verb}", f'{{"examples": [{{"x": "{PAYLOAD}"}}]}}')
    caller.ask("POST", "/v2/models/half_plus_two/infer", json.dumps({"inputs": [{"name": PAYLOAD, "data": [PAYLOAD]}]}))
    caller.ask("POST", PREDICT, PAYLOAD.encode(), **{"content-encoding": "gzip"})


def look(caller, metrics_port):
    """What others see afterwards."""
    for page in PAGES:
        caller.ask("GET", page, is_own=False)
    caller.ask("GET", "/metrics", port=metrics_port, is_own=False)
    caller.ask("POST", PREDICT, '{"instances": ["other"]}', is_own=False)
    reply = caller.prediction.GetModelMetadata(
        get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec={"name": "half_plus_two"}, metadata_field=["signature_def"]
        ),
        timeout=PATIENCE_S,
    )
    caller.others.append(("GetModelMetadata", reply.SerializeToString()))


@pytest.fixture(scope="module", params=["text", "json"])
def said(request, models, tmp_path_factory):
    """All that a server said: replies to whom they concern, and everything else."""
    folder = tmp_path_factory.mktemp("secrets")
    ssl_file = folder / "ssl.config"
    ssl_file.write_text(ssl_config(SERVER))
    rest_port, metrics_port = free_port(), free_port()
    folders = {feature.name: folder / feature.name.replace(" ", "_") for feature in FEATURES}
    for each in folders.values():
        each.mkdir()
    process = ServerProcess(
        "--model_name=half_plus_two", f"--model_base_path={models.base_path('half_plus_two')}",
        f"--ssl_config_file={ssl_file}", f"--rest_api_port={rest_port}", f"--metrics_port={metrics_port}",
        "--console=true", f"--log_format={request.param}",
        *(flag for feature in FEATURES for flag in feature.flags(folders[feature.name])),
    )  # fmt: skip
    try:
        process.stderr.wait_for("try: ")
        caller = Caller(process, rest_port, metrics_port)
        provoke(caller)
        look(caller, metrics_port)
        caller.close()
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        written = [(name, getattr(process, name).text().encode()) for name in ("stdout", "stderr")]
    finally:
        process.kill()
    of_features = [each for feature in FEATURES for each in feature.outputs(folders[feature.name])]
    return caller.own, [*caller.others, *written, *of_features]


def found(secrets, outputs):
    return [(what, name) for name, output in outputs for what in secrets.find(output)]


def test_no_key_or_token_comes_back_or_is_written(said):
    own, others = said
    secrets = Secrets()
    secrets.add("the server's key", SERVER.key)
    for what, token in TOKENS.items():
        secrets.add(what, token)
    assert found(secrets, [*own, *others]) == []


def test_a_payload_comes_back_to_its_caller_at_most(said):
    own, others = said
    secrets = Secrets()
    secrets.add("the payload", PAYLOAD)
    assert found(secrets, others) == []
    # The search can find it: errors quote it, as the original's do.
    assert found(secrets, own)


def test_there_is_something_to_search(said):
    _own, others = said
    sizes = {name: len(output) for name, output in others}
    assert sizes["stderr"] > 500
    assert sizes["GET /metrics"] > 5_000
    assert all(sizes[f"GET {page}"] > 20 for page in PAGES)
