"""The messages of TensorFlow Serving that a logged call amounts to, whatever it came as.

Of a call over gRPC they are the bytes that were sent, which are not looked at. A Predict over REST and an inference of
the Open Inference Protocol become a PredictRequest by their arrays, Classify and Regress over REST by their JSON.
Replies of the Open Inference Protocol are not converted.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from servable import wire
from servable.codec import dtypes, encoding
from servable.codec.json import reading
from servable.errors import Code
from servable.request_log import rest_replies
from servable.request_log.entries import Entry, Sample

LOG_FIELDS: Final = {
    "Predict": "predict_log",
    "ModelInfer": "predict_log",
    "Classify": "classify_log",
    "Regress": "regress_log",
    "MultiInference": "multi_inference_log",
}
"""The field of PredictionLog for each API that is logged."""

REQUEST_TYPES: Final[dict[str, Any]] = {
    "predict_log": wire.PredictRequest,
    "classify_log": wire.ClassificationRequest,
    "regress_log": wire.RegressionRequest,
    "multi_inference_log": wire.MultiInferenceRequest,
}
RESPONSE_TYPES: Final[dict[str, Any]] = {
    "predict_log": wire.PredictResponse,
    "classify_log": wire.ClassificationResponse,
    "regress_log": wire.RegressionResponse,
    "multi_inference_log": wire.MultiInferenceResponse,
}


def request_bytes(entry: Entry) -> bytes | None:
    """The serialized request; None if it was refused before it was understood.

    Raises:
        ServingError: if it does not parse.
        ValueError: likewise.
    """
    if _is_as_sent(entry):
        return entry.request
    if entry.api in {"Classify", "Regress"}:
        understood = entry.version and entry.request is not None
        return _of_examples(entry, entry.request or b"") if understood else None
    return None if entry.sample is None else _of_arrays(entry, entry.sample)


def reply_bytes(entry: Entry) -> bytes | None:
    """The serialized reply; None if the call failed, or if the reply is not converted.

    Raises:
        ValueError: if it does not parse.
    """
    if entry.reply is None or entry.code is not Code.OK:
        return None
    if _is_as_sent(entry):
        return entry.reply
    if entry.entrypoint != "REST" or entry.api == "ModelInfer":
        return None
    response = rest_replies.read(entry)
    if response is None:
        return None
    response.model_spec.CopyFrom(_spec(entry))
    return bytes(response.SerializeToString())


def _is_as_sent(entry: Entry) -> bool:
    return entry.entrypoint == "GRPC" and entry.api != "ModelInfer"


def _of_arrays(entry: Entry, sample: Sample) -> bytes:
    request = wire.PredictRequest(model_spec=_spec(entry))
    for alias, array in sample.inputs.items():
        encoding.encode(array, _number(array), request.inputs[alias], as_content=array.dtype != object)
    return request.SerializeToString()


def _number(array: np.ndarray[Any, Any]) -> int:
    return dtypes.BY_NUMPY[array.dtype].number


def _of_examples(entry: Entry, body: bytes) -> bytes:
    message = wire.ClassificationRequest if entry.api == "Classify" else wire.RegressionRequest
    return message(model_spec=_spec(entry), input=reading.read_examples(body).input).SerializeToString()


def _spec(entry: Entry) -> wire.ModelSpec:
    """Without the version, which the one that replays it may not have."""
    return wire.ModelSpec(name=entry.model, signature_name=entry.signature)
