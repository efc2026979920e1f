"""tf.Example without TensorFlow: dicts of Python values to messages and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError, Message

from servable_client import _conversion, wire
from servable_client.errors import InputError, MalformedReply

__all__ = ["ExampleLike", "make_example", "make_input", "read_example"]

ExampleLike = Mapping[str, Any] | Message | bytes
"""An example as users give it: a dict of features, a tf.Example message (of any package) or its bytes."""


def make_example(features: ExampleLike) -> wire.Example:
    """Make a tf.Example.

    Args:
        features: A value for each feature: bool, int, float, str, bytes, a list of these, or an array of any
            shape, which is flattened in row-major order since a feature has no shape. Bools and integers become
            int64, floats float32, str UTF-8. None and an empty list become a feature without values.
            A message or bytes are taken as they are.

    Raises:
        InputError: if a feature's name is no str, its value ragged or not of these kinds, or bytes do not parse.
    """
    if isinstance(features, (Message, bytes)):
        return _parse(features)
    if not isinstance(features, Mapping):
        raise InputError(
            f"examples: expected a dict of features, got {_conversion.describe(features)}",
            given=_conversion.describe(features),
            expected="a dict of features",
        )
    example = wire.Example()
    # Present even without features: it then is an example without values, not without a body.
    example.features.SetInParent()
    for name, value in features.items():
        if not isinstance(name, str):
            raise InputError(f"examples: the name of a feature must be a str, got {name!r}")
        _fill(example.features.feature[name], name, value)
    return example


def _parse(given: Message | bytes) -> wire.Example:
    if isinstance(given, wire.Example):
        return given
    try:
        return wire.Example.FromString(given if isinstance(given, bytes) else given.SerializeToString())
    except DecodeError as error:
        raise InputError(f"examples: the bytes are no tf.Example: {error}") from None


def _fill(feature: wire.Feature, name: str, value: Any) -> None:
    if value is None or (isinstance(value, (list, tuple)) and not value):
        return
    values = _conversion.convert(name, value, None)
    family = values.dtype.family
    if family == "string":
        feature.bytes_list.value.extend(values.strings)
    elif family == "float":
        feature.float_list.value.extend(values.array.ravel().astype(np.float32, copy=False).tolist())
    elif family in {"int", "bool"}:
        feature.int64_list.value.extend(_int64(name, values.array).ravel().tolist())
    else:
        raise InputError(f"feature {name!r}: expected numbers, str or bytes, got {_conversion.describe(value)}")


def _int64(name: str, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype == np.uint64 and array.size and int(array.max()) >= 1 << 63:
        raise InputError(f"feature {name!r}: expected int64, got a number that is larger: {array.max()}")
    return array.astype(np.int64, copy=False)


def read_example(example: Message | bytes) -> dict[str, np.ndarray[Any, Any]]:
    """Read a tf.Example.

    Returns:
        For each feature a 1-d array: int64, float32, or object (bytes). A feature without a kind is an empty
        object array.

    Raises:
        MalformedReply: if bytes do not parse.
    """
    try:
        parsed = example if isinstance(example, wire.Example) else _parse(example)
    except InputError as error:
        raise MalformedReply(str(error)) from None
    return {name: _read(feature) for name, feature in sorted(parsed.features.feature.items())}


def _read(feature: wire.Feature) -> np.ndarray[Any, Any]:
    kind = feature.WhichOneof("kind")
    if kind == "int64_list":
        return np.array(feature.int64_list.value, np.int64)
    if kind == "float_list":
        return np.array(feature.float_list.value, np.float32)
    values = feature.bytes_list.value
    return np.fromiter(values, object, len(values))


def _iterate(examples: Any) -> Iterable[ExampleLike]:
    if isinstance(examples, str) or not isinstance(examples, Iterable):
        given = _conversion.describe(examples)
        raise InputError(f"examples: expected a dict or a list of dicts, got {given}", given=given)
    return examples


def make_input(examples: ExampleLike | Iterable[ExampleLike], context: ExampleLike | None = None) -> wire.Input:
    """Make the Input of a classify, regress or multi_inference request.

    Args:
        examples: One example or several, each as `make_example` takes it.
        context: Features that all examples share; where both have one, the example's counts.

    Raises:
        InputError: as `make_example` does, and if there are no examples.
    """
    if isinstance(examples, (Mapping, Message, bytes)):
        examples = [examples]
    made = [make_example(example) for example in _iterate(examples)]
    if not made:
        raise InputError("examples: expected one at least, got none")
    if context is None:
        return wire.Input(example_list=wire.ExampleList(examples=made))
    shared = wire.ExampleListWithContext(examples=made, context=make_example(context))
    return wire.Input(example_list_with_context=shared)
