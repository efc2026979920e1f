"""What a fake server was asked, decoded: requests as tests see them, tf.Examples as functions and tests see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import Message

from servable_client import tensors, wire
from servable_client.examples import read_example

Array = np.ndarray[Any, Any]
Example = dict[str, np.ndarray[Any, Any]]
"""The values of each feature, shape [n]: float32, int64, or objects (bytes)."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request, in the order of arrival.

    Attributes:
        method: The method's simple name: `Predict`, `Classify`, `Regress`, `MultiInference`, `GetModelMetadata`,
            `GetModelStatus`, `HandleReloadConfigRequest`, or `Check` and `Watch` of grpc.health.v1.
        model: The name in the model spec (of the first task for MultiInference); empty if there is none.
        version: The version that was asked for; None if none was.
        label: The version label that was asked for; None if none was.
        signature: The signature that was asked for; empty for the default one.
        inputs: The tensors of Predict by name, each an array of the tensor's shape; strings as bytes objects.
        output_filter: The outputs that Predict asked for; empty for all.
        examples: The examples of Classify, Regress and MultiInference: values by feature.
        context: The features that the examples share; empty without any.
        metadata: The metadata of the call, keys in lower case; `str` values, `bytes` where the key ends in `-bin`.
        deadline_s: The seconds that were left on arrival, as gRPC rounds them (up, by 1 % at most); None if unbounded.
        message: The request as protobuf parsed it; None for health, whose service name is in `model`.
    """

    method: str
    model: str = ""
    version: int | None = None
    label: str | None = None
    signature: str = ""
    inputs: Mapping[str, Array] = field(default_factory=dict)
    output_filter: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    context: Example = field(default_factory=dict)
    metadata: Mapping[str, str | bytes] = field(default_factory=dict)
    deadline_s: float | None = None
    message: Any = None


def make_request(
    method: str, message: Message, metadata: Mapping[str, str | bytes], deadline_s: float | None
) -> Request:
    """The record of a parsed request.

    Raises:
        MalformedReply: if a tensor cannot be decoded.
    """
    described = {**_describe_spec(message), **_describe_content(message)}
    return Request(method=method, metadata=metadata, deadline_s=deadline_s, message=message, **described)


def _describe_spec(message: Any) -> dict[str, Any]:
    if isinstance(message, wire.ReloadConfigRequest):
        return {}
    if isinstance(message, wire.MultiInferenceRequest):
        spec = message.tasks[0].model_spec if message.tasks else wire.ModelSpec()
    else:
        spec = message.model_spec
    chosen = spec.WhichOneof("version_choice")
    return {
        "model": spec.name,
        "version": spec.version.value if chosen == "version" else None,
        "label": spec.version_label if chosen == "version_label" else None,
        "signature": spec.signature_name,
    }


def _describe_content(message: Any) -> dict[str, Any]:
    if isinstance(message, wire.PredictRequest):
        inputs = {name: tensors.decode(tensor) for name, tensor in sorted(message.inputs.items())}
        return {"inputs": inputs, "output_filter": tuple(message.output_filter)}
    if isinstance(message, (wire.ClassificationRequest, wire.RegressionRequest, wire.MultiInferenceRequest)):
        examples, context = read_examples(message.input)
        return {"examples": tuple(examples), "context": context}
    return {}


def read_examples(given: wire.Input) -> tuple[list[Example], Example]:
    """The examples of a request, and the context that came with them (empty without one)."""
    if given.WhichOneof("kind") == "example_list_with_context":
        with_context = given.example_list_with_context
        return [read_example(example) for example in with_context.examples], read_example(with_context.context)
    return [read_example(example) for example in given.example_list.examples], {}


def merge_context(context: Example, examples: Iterable[Example]) -> list[Example]:
    """The examples as a model sees them: the context under each (TensorFlow Serving: servables/tensorflow/util.cc)."""
    return [{**context, **example} for example in examples]
