"""Valid requests to the models half_plus_two, dtypes and example_heads: what mutants are made of. Needs TensorFlow."""

from __future__ import annotations

from pathlib import Path

from benchmarks.resilience.mutant_senders import RightAsk, Seeds
from servable_client import wire
from tests.models.store import ModelStore
from tests.properties.seeds import MODEL, MODELS, PREDICTION, SEEDS

_OPEN_INFERENCE = "/inference.GRPCInferenceService"
_INSTANCES = (
    b'{"instances": [1.0, 2.0, 5.0]}',
    b'{"signature_name": "serving_default", "inputs": {"x": [[1.5], [2.5e3], [-0.0]]}}',
    b'{"signature_name": "identity_string", "inputs": {"x": ["a", {"b64": "/w=="}]}}',
    b'{"signature_name": "identity_int64", "instances": [{"x": 7}, {"x": -9223372036854775808}]}',
    b'{"signature_name": "regression", "examples": [{"x": 0.25}, {"x": [0.5]}], "context": {"y": 1}}',
)
_INFERS = (
    b'{"inputs": [{"name": "x", "shape": [2, 1], "datatype": "FP32", "data": [1.0, 2.0]}], "id": "1"}',
    b'{"parameters": {"signature_name": "identity_string"}, "outputs": [{"name": "y"}],'
    b' "inputs": [{"name": "x", "shape": [2], "datatype": "BYTES", "data": ["a", "b"]}]}',
)
_ANSWERS = (b"GET /v1/models/half_plus_two", b"GET /v1/models/dtypes/versions/1/metadata", b"GET /v2/health/ready")
_ANSWERS += (b"GET /v2", b"GET /v2/models/dtypes", b"GET /v2/models/half_plus_two/ready", b"GET /openapi.json")
_ANSWERS += (b"GET /monitoring/prometheus/metrics", b"GET /v1/models/half_plus_two/labels/stable", b"GET /healthz")
_ASKS = tuple(
    b"POST /v1/models/" + path
    for path in (
        *(b"half_plus_two:predict", b"half_plus_two/versions/1:predict", b"dtypes:predict"),
        *(b"example_heads:classify", b"example_heads/versions/1:regress", b"half_plus_two:regress"),
    )
)
_INFER_ASKS = (b"POST /v2/models/half_plus_two/infer", b"POST /v2/models/dtypes/versions/1/infer")


def make_models(folder: Path) -> dict[str, Path]:
    """Build the models; gives their base paths by name."""
    store = ModelStore(folder)
    return {name: store.base_path(name) for name in MODELS}


def write_config(base_paths: dict[str, Path]) -> str:
    """The text of a --model_config_file that serves them."""
    configs = "".join(
        f'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}\n'
        for name, path in base_paths.items()
    )
    return f"model_config_list {{ {configs} }}"


def make_seeds() -> Seeds:
    """All of them."""
    infers = []
    for name, shape, field, values in (("FP32", [2, 1], "fp32_contents", [1.0, 2.0]), ("INT64", [1], None, b"\7" * 8)):
        request = wire.ModelInferRequest(model_name="half_plus_two" if field else "dtypes", id="1", model_version="1")
        tensor = request.inputs.add(name="x", datatype=name, shape=shape)
        if field:
            getattr(tensor.contents, field).extend(values)
        else:
            request.parameters["signature_name"].string_param = "identity_int64"
            request.raw_input_contents.append(values)
        infers.append(request.SerializeToString())
    named = [wire.ModelReadyRequest(name="dtypes", version="1").SerializeToString()]
    return Seeds(
        {
            **SEEDS,
            f"{_OPEN_INFERENCE}/ModelInfer": infers,
            f"{_OPEN_INFERENCE}/ModelReady": named,
            f"{_OPEN_INFERENCE}/ModelMetadata": named,
            f"{_OPEN_INFERENCE}/ServerLive": [b"", *named],
            f"{_OPEN_INFERENCE}/ServerReady": [b"", *named],
            f"{_OPEN_INFERENCE}/ServerMetadata": [b"", *named],
            "/grpc.health.v1.Health/Check": [b"", b"\x0a\x06dtypes"],
        },
        {_ASKS: _INSTANCES, _INFER_ASKS: _INFERS, _ANSWERS: (b"",)},
        _right_ask(),
    )


def make_reload(base_paths: dict[str, Path]) -> tuple[str, bytes]:
    """The path and the message of a reload of the config that serves the models, which a mutant of it may change."""
    request = wire.ReloadConfigRequest()
    for name, path in base_paths.items():
        request.config.model_config_list.config.add(name=name, base_path=str(path), model_platform="tensorflow")
    return f"{MODEL}/HandleReloadConfigRequest", request.SerializeToString()


def _right_ask() -> RightAsk:
    path = f"{PREDICTION}/Predict"
    return RightAsk(path, SEEDS[path][0], "/v1/models/half_plus_two:predict", '{"instances": [2.0, 4.0]}', [3.0, 4.0])
