"""A line of servable's request log in JSON as the messages that it was made of."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from google.protobuf import json_format

from servable_client import _dtypes, wire
from servable_client._conversion import convert
from servable_client._tensor_protos import tensor_pieces

_KINDS = {
    "Predict": "predict_log",
    "ModelInfer": "predict_log",
    "Classify": "classify_log",
    "Regress": "regress_log",
    "MultiInference": "multi_inference_log",
}
_REQUESTS: dict[str, Any] = {
    "classify_log": wire.ClassificationRequest,
    "regress_log": wire.RegressionRequest,
    "multi_inference_log": wire.MultiInferenceRequest,
}
_REPLIES: dict[str, Any] = {
    "classify_log": wire.ClassificationResponse,
    "regress_log": wire.RegressionResponse,
    "multi_inference_log": wire.MultiInferenceResponse,
}


def kind_of(api: str) -> str:
    """The field of PredictionLog for the calls of an API.

    Raises:
        KeyError: if there is none.
    """
    return _KINDS[api]


def read_request(kind: str, value: Mapping[str, Any]) -> Any:
    """The request of a line.

    Raises:
        ValueError, KeyError, TypeError: if it is none.
    """
    if kind != "predict_log":
        return _parse(value, _REQUESTS[kind])
    request = wire.PredictRequest(output_filter=value.get("output_filter", ()))
    json_format.ParseDict(value["model_spec"], request.model_spec)
    _read_tensors(value["inputs"], request.inputs)
    return request


def read_reply(kind: str, value: Mapping[str, Any]) -> Any:
    """The reply of a line; raises as `read_request`."""
    if kind != "predict_log":
        return _parse(value, _REPLIES[kind])
    reply = wire.PredictResponse()
    _read_tensors(value["outputs"], reply.outputs)
    return reply


def _parse(value: Any, kind: Any) -> Any:
    try:
        return json_format.ParseDict(value, kind())
    except json_format.ParseError as error:
        raise ValueError(str(error)) from None


def _read_tensors(tensors: Mapping[str, Any], fields: Any) -> None:
    for name, tensor in tensors.items():
        dtype = _dtypes.BY_NUMBER[wire.DataType.Value(tensor["dtype"])]
        converted = convert(name, _array(tensor, dtype), dtype)
        fields[name].ParseFromString(b"".join(tensor_pieces(converted)))


def _array(tensor: Mapping[str, Any], dtype: _dtypes.Dtype) -> np.ndarray[Any, Any]:
    values, shape = tensor["values"], tuple(tensor["shape"])
    if dtype.is_string:
        flat = _flatten(values, len(shape))
        strings = np.empty(len(flat), object)
        strings[:] = [_bytes(value) for value in flat]
        return strings.reshape(shape)
    if dtype.family == "complex":
        parts = np.array(values, np.float64).reshape(*shape, 2)
        found: np.ndarray[Any, Any] = (parts[..., 0] + 1j * parts[..., 1]).astype(dtype.numpy)
        return found
    return np.array(values, np.float64 if dtype.extension else dtype.numpy).astype(dtype.numpy).reshape(shape)


def _flatten(values: Any, depth: int) -> list[Any]:
    if not depth:
        return [values]
    return [each for value in values for each in _flatten(value, depth - 1)]


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else base64.b64decode(value["b64"])
