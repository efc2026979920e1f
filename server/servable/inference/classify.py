"""Classify: examples in, labels and scores out.

What a classification signature must have, and how its outputs become a result, MultiInference shares with Classify.
Source of the behaviour: TensorFlow Serving, servables/tensorflow/classifier.cc.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from servable import requests, wire
from servable.codec import dtypes
from servable.codec.encoding import encode_field
from servable.errors import InvalidArgument
from servable.inference.examples import (
    INPUT_KEY,
    ExamplesRequest,
    Output,
    feed_examples,
    find_signature,
    format_shape,
)
from servable.requests import Array
from servable.routing import Router
from servable.servables import Handle
from servable.signatures import CLASSIFY_METHOD, Signature, format_definition

CLASSES_KEY = "classes"
SCORES_KEY = "scores"

_RESULT = wire.ClassificationResponse.DESCRIPTOR.fields_by_name["result"].number
_CLASSIFICATIONS = wire.ClassificationResult.DESCRIPTOR.fields_by_name["classifications"].number
_CLASS = wire.Classifications.DESCRIPTOR.fields_by_name["classes"].number
_LABEL = wire.Class.DESCRIPTOR.fields_by_name["label"].number
_FIXED_32 = 5
_SCORE_TAG = bytes((wire.Class.DESCRIPTOR.fields_by_name["score"].number << 3 | _FIXED_32,))
_ZERO = bytes(4)


@dataclass(frozen=True, slots=True)
class Classify:
    """The Classify API. Safe to call from many threads.

    Attributes:
        router: Finds the version.
        check_method_name: Refuse signatures of another kind of method.
    """

    router: Router
    check_method_name: bool = False

    def __call__(self, request: bytes, time_left_s: float | None, /) -> bytes:
        """Answer a ClassificationRequest with a ClassificationResponse; see methods.Method."""
        return requests.complete(self.begin(request), time_left_s)

    def begin(self, request: bytes) -> ExamplesRequest:
        """A ClassificationRequest on its way; see requests.Begin."""
        message = requests.parse(wire.ClassificationRequest, request)
        requests.require_model_spec(message.HasField("model_spec"))
        handle = self.router.resolve(message.model_spec)
        key = requests.signature_key(message.model_spec)

        def write(result: Classified) -> bytes:
            response = wire.ClassificationResponse()
            requests.name_version(response.model_spec, handle, key)
            return encode_field(_RESULT, result.to_message()) + response.SerializeToString()

        return begin_classify(handle, key, message.input, write, check_method_name=self.check_method_name)


@dataclass(frozen=True, slots=True)
class Classified:
    """The result of Classify: labels or scores or both, each [count, number of classes].

    Attributes:
        classes: Labels (bytes).
        scores: float32.
        count: The number of examples.
    """

    classes: Array | None
    scores: Array | None
    count: int

    def to_message(self) -> bytes:
        """The bytes of a ClassificationResult: one Classifications for each example, in order.

        They are written without protobuf: Python's refuses labels that are no UTF-8, which the original sends.
        """
        return _write_rows(self.classes, self.scores, self.count)


def begin_classify(
    handle: Handle,
    key: str,
    examples: wire.Input,
    write: Callable[[Classified], bytes],
    *,
    check_method_name: bool,
) -> ExamplesRequest:
    """A request to classify examples.

    Args:
        handle: The version that answers.
        key: The name of the signature.
        examples: The examples.
        write: Makes the reply.
        check_method_name: Refuse signatures of another kind of method.

    Raises:
        InvalidArgument: if there is no such signature, it is no classifier, or there are no examples.
    """
    signature = find_signature(handle, key, "No signature was found with the name: ")
    classifier = require_classifier(signature, check_method_name=check_method_name)

    def write_result(fetched: Mapping[str, Output], count: int) -> bytes:
        return write(check_result(classifier, fetched, count))

    made = feed_examples(handle, [classifier.feed], list(classifier.fetches.values()), examples, write_result)
    made.target.signature = key
    return made


@dataclass(frozen=True, slots=True)
class Classifier:
    """What Classify runs of a signature.

    Attributes:
        feed: The tensor that takes the examples.
        fetches: The tensors to fetch, by the output's alias: `classes`, `scores` or both.
    """

    feed: str
    fetches: Mapping[str, str]


def require_classifier(signature: Signature, *, check_method_name: bool) -> Classifier:
    """What Classify runs of a signature.

    Raises:
        InvalidArgument: if the signature is no classifier; the text says which input or output is wrong.
    """
    method = signature.definition.method_name
    if check_method_name and method != CLASSIFY_METHOD:
        raise InvalidArgument(f"Expected classification signature method_name to be {CLASSIFY_METHOD}. Was: {method}")
    if len(signature.inputs) != 1:
        raise InvalidArgument("Expected one input Tensor.")
    if len(signature.outputs) not in {1, 2}:
        raise InvalidArgument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUT_KEY not in signature.inputs:
        raise InvalidArgument(
            f"No classification inputs found in SignatureDef: {format_definition(signature.definition)}"
        )
    fetches = {key: signature.outputs[key] for key in (CLASSES_KEY, SCORES_KEY) if key in signature.outputs}
    if not fetches:
        raise InvalidArgument(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {format_definition(signature.definition)}"
        )
    return Classifier(signature.inputs[INPUT_KEY], fetches)


def make_classification_result(classifier: Classifier, fetched: Mapping[str, Output], count: int) -> bytes:
    """The bytes of a ClassificationResult of what was fetched; see `check_result`."""
    return check_result(classifier, fetched, count).to_message()


def check_result(classifier: Classifier, fetched: Mapping[str, Output], count: int) -> Classified:
    """The result of what was fetched.

    Args:
        classifier: What was run.
        fetched: By tensor name: `classes` (string) or `scores` (float32) or both.
        count: The number of examples.

    Raises:
        InvalidArgument: if an output has another shape or dtype.
    """
    outputs = {key: fetched[name] for key, name in classifier.fetches.items()}
    classes, scores = outputs.get(CLASSES_KEY), outputs.get(SCORES_KEY)
    if classes is not None:
        _check_output(classes, CLASSES_KEY, wire.DT_STRING, count)
    if scores is not None:
        _check_output(scores, SCORES_KEY, wire.DT_FLOAT, count)
    if classes is not None and scores is not None and classes.array.shape[1] != scores.array.shape[1]:
        raise InvalidArgument(
            "Tensors class and score should match in dim_size(1). "
            f"Got {classes.array.shape[1]} vs. {scores.array.shape[1]}"
        )
    return Classified(None if classes is None else classes.array, None if scores is None else scores.array, count)


def _check_output(output: Output, key: str, dtype: int, count: int) -> None:
    if output.array.ndim != 2:
        raise InvalidArgument("Expected Tensor shape: [batch_size num_classes] but got " + format_shape(output.array))
    if output.dtype != dtype:
        raise InvalidArgument(f"Expected {key} Tensor of {dtypes.name_of(dtype)}. Got: {dtypes.name_of(output.dtype)}")
    if output.array.shape[0] != count:
        raise InvalidArgument(f"Expected {key} output batch size of {count}. Got: {output.array.shape[0]}")


def _write_rows(classes: Array | None, scores: Array | None, count: int) -> bytes:
    columns = []
    if classes is not None:
        columns.append([_write_label(label) for label in classes.ravel().tolist()])
    if scores is not None:
        columns.append(_write_scores(scores))
    written = [encode_field(_CLASS, b"".join(fields)) for fields in zip(*columns, strict=True)]
    classes_each = len(written) // count
    starts = [example * classes_each for example in range(count)]
    rows = [b"".join(written[start : start + classes_each]) for start in starts]
    return b"".join(encode_field(_CLASSIFICATIONS, row) for row in rows)


def _write_label(label: bytes) -> bytes:
    # A field of proto3 that has its default is left out.
    return encode_field(_LABEL, label) if label else b""


def _write_scores(scores: Array) -> list[bytes]:
    values = struct.iter_unpack("4s", scores.astype("<f4").tobytes())
    return [_SCORE_TAG + value if value != _ZERO else b"" for (value,) in values]
