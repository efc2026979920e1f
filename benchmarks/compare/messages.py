"""Requests of the models as bytes, and replies as arrays that can be compared. It knows no server.

Variants of a request have the same size and other values, so that a reply that was kept for another is found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from servable import wire
from servable.codec.decoding import decode
from servable.codec.encoding import encode

PREDICT = "/tensorflow.serving.PredictionService/Predict"
CLASSIFY = "/tensorflow.serving.PredictionService/Classify"
Arrays = dict[str, "np.ndarray[Any, Any]"]

# float32 sums in another order; batches and other thread counts add up in another one.
_RELATIVE, _ABSOLUTE = 1e-3, 1e-6


def predict_floats(model: str, shape: Sequence[int], variant: int) -> bytes:
    """A Predict of random floats, as `tf.make_tensor_proto` writes them: raw, and a single one in `float_val`."""
    request = wire.PredictRequest()
    request.model_spec.name = model
    values = np.random.default_rng(variant).random(shape, np.float32)
    encode(values, wire.DT_FLOAT, request.inputs["x"], as_content=values.size > 1)
    return request.SerializeToString()


def predict_strings(model: str, count: int, variant: int) -> bytes:
    """A Predict of so many short strings."""
    request = wire.PredictRequest()
    request.model_spec.name = model
    encode(
        np.array([b"word %d of %d" % (index, variant) for index in range(count)], object),
        wire.DT_STRING,
        request.inputs["x"],
    )
    return request.SerializeToString()


def classify_example(model: str, features: int, variant: int) -> bytes:
    """A Classify of one tf.Example with so many floats."""
    request = wire.ClassificationRequest()
    request.model_spec.name = model
    example = request.input.example_list.examples.add()
    example.features.feature["x"].float_list.value.extend(index / (10 + variant) for index in range(features))
    return request.SerializeToString()


def read_reply(method: str, reply: bytes) -> Arrays:
    """The outputs of a Predict, or the classes and scores of a Classify."""
    if method == PREDICT:
        outputs = wire.PredictResponse.FromString(reply).outputs
        return {name: decode(tensor) for name, tensor in outputs.items()}
    rows = wire.ClassificationResponse.FromString(reply).result.classifications
    scores = np.array([[each.score for each in row.classes] for row in rows])
    return {"scores": scores, "classes": np.array([[each.label for each in row.classes] for row in rows], object)}


def find_difference(reply: Arrays, expected: Arrays) -> str:
    """How a reply differs from another server's by more than the order of sums explains; empty if it does not."""
    if reply.keys() != expected.keys():
        return f"has {sorted(reply)} where others have {sorted(expected)}"
    for name, values in reply.items():
        other = expected[name]
        if values.shape != other.shape or values.dtype != other.dtype:
            return f"{name} is {values.dtype}{values.shape} where others say {other.dtype}{other.shape}"
        floats = values.dtype.kind == "f"
        if not (np.allclose(values, other, _RELATIVE, _ABSOLUTE) if floats else np.array_equal(values, other)):
            return f"{name} is {values.ravel()[:3]}... where others say {other.ravel()[:3]}..."
    return ""
