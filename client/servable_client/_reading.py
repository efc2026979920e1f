"""The bytes of replies as what calls return. What is no reply becomes a MalformedReply that says where."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from google.protobuf.message import DecodeError, Message

from servable_client import _tensor_protos, _wire_format, wire
from servable_client._tensor_protos import Tensor
from servable_client._wire_format import LENGTH_DELIMITED, Malformed
from servable_client.errors import Code, MalformedReply
from servable_client.replies import (
    Class,
    Classifications,
    Health,
    Prediction,
    Regressions,
    Served,
    State,
    VersionStatus,
)
from servable_client.signatures import ModelMetadata, read_signature

M = TypeVar("M", bound=Message)
_SIGNATURES = "signature_def"
# TensorFlow adds it to each model; it takes and gives nothing.
INIT_SIGNATURE = "__saved_model_init_op"


def parse(kind: type[M], data: bytes) -> M:
    """The message that a reply holds."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise MalformedReply(f"the reply is no {kind.DESCRIPTOR.name}: {error}") from None


def prediction(data: bytes, wanted: Sequence[str]) -> Prediction:
    """The reply of Predict."""
    try:
        reply = lift_reply(data)
    except DecodeError as error:
        raise MalformedReply(f"the reply is no PredictResponse: {error}") from None
    missing = [name for name in wanted if name not in reply.outputs]
    if missing:
        raise MalformedReply(f"the reply lacks outputs that were asked for: {', '.join(missing)}")
    outputs = {name: _read_output(name, tensor) for name, tensor in reply.outputs.items()}
    return Prediction(outputs, _served(reply.model_spec))


def _read_output(name: str, tensor: Tensor) -> Any:
    try:
        return _tensor_protos.decode(tensor)
    except Malformed as error:
        raise MalformedReply(f"output {name!r} cannot be read: {error}") from None


class Reply(NamedTuple):
    """A PredictResponse in two parts."""

    model_spec: wire.ModelSpec
    outputs: dict[str, Tensor]


def lift_reply(data: bytes) -> Reply:
    """A serialized PredictResponse in two parts.

    Raises:
        DecodeError: if it does not parse.
    """
    if len(data) >= _tensor_protos.LIFT_BYTES:
        try:
            return _walk_reply(data)
        except (Malformed, DecodeError, UnicodeDecodeError):
            pass  # protobuf knows whether it is wrong and what to say
    reply = wire.PredictResponse.FromString(data)
    return Reply(
        reply.model_spec,
        {name: Tensor(tensor, _tensor_protos.NOTHING_LIFTED) for name, tensor in reply.outputs.items()},
    )


def _walk_reply(data: bytes) -> Reply:
    outputs: dict[str, Tensor] = {}
    rest: list[bytes] = []
    for field in _wire_format.fields(data, 0, len(data)):
        if field.number == 1 and field.wire_type == LENGTH_DELIMITED:
            name, tensor = _walk_entry(data, field.value, field.end)
            # Of two entries with one key the later one counts, as in any map.
            outputs[name] = tensor
        else:
            rest.append(data[field.start : field.end])
        if len(rest) > _tensor_protos.MAX_SMALL_FIELDS:
            raise Malformed("too many small fields to walk over")
    return Reply(wire.PredictResponse.FromString(b"".join(rest)).model_spec, outputs)


def _walk_entry(data: bytes, start: int, end: int) -> tuple[str, Tensor]:
    # Three would be one too many already.
    found = list(itertools.islice(_wire_format.fields(data, start, end), 3))
    places = {field.number: field for field in found}
    if len(found) != 2 or places.keys() != {1, 2} or any(p.wire_type != LENGTH_DELIMITED for p in places.values()):
        raise Malformed("an entry that is not one key and one value")
    key, value = places[1], places[2]
    return data[key.value : key.end].decode(), _tensor_protos.lift_span(data, value.value, value.end)


def _served(spec: wire.ModelSpec) -> Served:
    return Served(spec.name, _version(spec), spec.signature_name)


def _version(spec: wire.ModelSpec) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def classifications(data: bytes, count: int) -> Classifications:
    """The reply of Classify to so many examples."""
    reply = parse(wire.ClassificationResponse, data)
    return _classifications(reply.result, reply.model_spec, count)


def regressions(data: bytes, count: int) -> Regressions:
    """The reply of Regress to so many examples."""
    reply = parse(wire.RegressionResponse, data)
    return _regressions(reply.result, reply.model_spec, count)


def results(data: bytes, tasks: int, count: int) -> list[Classifications | Regressions]:
    """The reply of MultiInference: one result for each task, each of so many examples."""
    reply = parse(wire.MultiInferenceResponse, data)
    if len(reply.results) != tasks:
        raise MalformedReply(f"the reply has {len(reply.results)} results; {tasks} tasks were sent")
    return [_result(result, count) for result in reply.results]


def _result(result: wire.InferenceResult, count: int) -> Classifications | Regressions:
    kind = result.WhichOneof("result")
    if kind is None:
        raise MalformedReply("a result of the reply is neither a classification nor a regression")
    if kind == "classification_result":
        return _classifications(result.classification_result, result.model_spec, count)
    return _regressions(result.regression_result, result.model_spec, count)


def _classifications(result: wire.ClassificationResult, spec: wire.ModelSpec, count: int) -> Classifications:
    _check_count(len(result.classifications), count)
    examples = (tuple(Class(each.label, each.score) for each in one.classes) for one in result.classifications)
    return Classifications(tuple(examples), _served(spec))


def _regressions(result: wire.RegressionResult, spec: wire.ModelSpec, count: int) -> Regressions:
    _check_count(len(result.regressions), count)
    values = np.fromiter((each.value for each in result.regressions), np.float32, count)
    return Regressions(values, _served(spec))


def _check_count(found: int, sent: int) -> None:
    if found != sent:
        raise MalformedReply(f"the reply has {found} results; {sent} examples were sent")


def metadata(data: bytes) -> ModelMetadata:
    """The reply of GetModelMetadata."""
    reply = parse(wire.GetModelMetadataResponse, data)
    if _SIGNATURES not in reply.metadata:
        raise MalformedReply("the reply has no signature_def, which was asked for")
    definitions = parse(wire.SignatureDefMap, reply.metadata[_SIGNATURES].value).signature_def
    signatures = {n: read_signature(d) for n, d in sorted(definitions.items()) if n != INIT_SIGNATURE}
    return ModelMetadata(reply.model_spec.name, _version(reply.model_spec), signatures)


def statuses(data: bytes) -> list[VersionStatus]:
    """The reply of GetModelStatus."""
    reply = parse(wire.GetModelStatusResponse, data)
    return [_status(each) for each in reply.model_version_status]


def _status(each: wire.ModelVersionStatus) -> VersionStatus:
    state = State(each.state) if each.state in set(State) else State.UNKNOWN
    code = each.status.error_code
    known = Code(code) if code in set(Code) else Code.UNKNOWN
    return VersionStatus(each.version, state, known, each.status.error_message)


def increases(data: bytes) -> dict[str, int]:
    """The reply of HandleReloadConfigRequest: how much each metric grew."""
    reply = parse(wire.ReloadConfigResponse, data)
    return {metric.name: metric.int64_value_increase for metric in reply.metric}


def health(data: bytes) -> Health:
    """The reply of grpc.health.v1, whose only field is the status, a varint."""
    status = 0
    try:
        for field in _wire_format.fields(data, 0, len(data)):
            if field.number == 1 and field.wire_type == _wire_format.VARINT:
                status, _ = _wire_format.read_varint(data, field.value)
    except Malformed as error:
        raise MalformedReply(f"the reply is no HealthCheckResponse: {error}") from None
    return Health(status) if status in set(Health) else Health.UNKNOWN
