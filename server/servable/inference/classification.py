"""What Classify and MultiInference ask of a classification signature, and how its outputs become a result.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/classifier.cc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable import wire
from servable.codec import dtypes
from servable.errors import FailedPrecondition, InvalidArgument
from servable.inference.outputs import Output, format_shape
from servable.signatures import CLASSIFY_METHOD, Signature

INPUT_KEY = "inputs"
CLASSES_KEY = "classes"
SCORES_KEY = "scores"


@dataclass(frozen=True, slots=True)
class Classification:
    """A signature seen as a classifier: the tensor to feed and the tensors to fetch by their role."""

    feed: str
    fetches: Mapping[str, str]


def require(signature: Signature, *, check_method_name: bool) -> Classification:
    """See a signature as a classifier.

    Raises:
        InvalidArgument: if it cannot be one; the text says which input or output is wrong.
    """
    method = signature.definition.method_name
    if check_method_name and method != CLASSIFY_METHOD:
        raise InvalidArgument(f"Expected classification signature method_name to be {CLASSIFY_METHOD}. Was: {method}")
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) not in {1, 2}:
        raise InvalidArgument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUT_KEY not in signature.inputs:
        raise InvalidArgument(f"No classification inputs found in SignatureDef: {signature.definition}")
    fetches = {key: signature.outputs[key] for key in (CLASSES_KEY, SCORES_KEY) if key in signature.outputs}
    if not fetches:
        raise InvalidArgument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature.definition}"
        )
    return Classification(signature.inputs[INPUT_KEY], fetches)


def read_result(outputs: Mapping[str, Output], count: int) -> wire.ClassificationResult:
    """One Classifications for each example, in order.

    Args:
        outputs: `classes` (string) or `scores` (float32) or both, each [count, number of classes].
        count: The number of examples.

    Raises:
        InvalidArgument: if an output has another shape or dtype.
        FailedPrecondition: if a label is no UTF-8 text, which the reply cannot carry.
    """
    classes, scores = outputs.get(CLASSES_KEY), outputs.get(SCORES_KEY)
    if classes is not None:
        _check(classes, CLASSES_KEY, wire.DT_STRING, count)
    if scores is not None:
        _check(scores, SCORES_KEY, wire.DT_FLOAT, count)
    if classes is not None and scores is not None and classes.array.shape[1] != scores.array.shape[1]:
        raise InvalidArgument(
            "Tensors class and score should match in dim_size(1). "
            f"Got {classes.array.shape[1]} vs. {scores.array.shape[1]}"
        )
    return _assemble(None if classes is None else classes.array, None if scores is None else scores.array, count)


def _check(output: Output, key: str, dtype: int, count: int) -> None:
    if output.array.ndim != 2:
        raise InvalidArgument("Expected Tensor shape: [batch_size num_classes] but got " + format_shape(output.array))
    if output.dtype != dtype:
        raise InvalidArgument(f"Expected {key} Tensor of {dtypes.name_of(dtype)}. Got: {dtypes.name_of(output.dtype)}")
    if output.array.shape[0] != count:
        raise InvalidArgument(f"Expected {key} output batch size of {count}. Got: {output.array.shape[0]}")


def _assemble(
    classes: np.ndarray[Any, Any] | None, scores: np.ndarray[Any, Any] | None, count: int
) -> wire.ClassificationResult:
    result = wire.ClassificationResult()
    for row in range(count):
        add = result.classifications.add().classes.add
        labels = [] if classes is None else [_decode_label(label) for label in classes[row]]
        values = [] if scores is None else scores[row].tolist()
        if not values:
            for label in labels:
                add(label=label)
        elif not labels:
            for value in values:
                add(score=value)
        else:
            for label, value in zip(labels, values, strict=True):
                add(label=label, score=value)
    return result


def _decode_label(label: bytes) -> str:
    try:
        return label.decode()
    except UnicodeDecodeError as error:
        raise FailedPrecondition(f"The model gives a label that is no UTF-8 text: {label!r}") from error
