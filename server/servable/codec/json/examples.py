"""The examples of a Classify or Regress request: JSON objects to tf.Examples.

Source of the behaviour: TensorFlow Serving, util/json_tensor.cc (FillClassifyRequestFromJson and its kin).
"""

from __future__ import annotations

from typing import Any, Final

from servable import wire
from servable.codec.json import b64
from servable.codec.json.dump import dump
from servable.codec.json.values import LEAST_INT64, MOST_INT64, JsonObject, Value, kind_of, to_bytes, to_name, to_number
from servable.errors import InvalidArgument

_NAMES: Final = {"bytes_list": "bytes", "float_list": "float", "int64_list": "int64"}


def read_input(document: JsonObject) -> wire.Input:
    """The examples of a request, with its context if it has one.

    Raises:
        InvalidArgument: with the original's text.
    """
    message = wire.Input()
    examples = message.example_list.examples
    if "context" in document:
        message.example_list_with_context.context.CopyFrom(_read_example(document.get("context")))
        examples = message.example_list_with_context.examples
    if "examples" not in document:
        # The original says so for Regress too.
        raise InvalidArgument(
            f"JSON Value: {dump(document)} When method is classify, key 'examples' is expected and was not found"
        )
    values = document.get("examples")
    if not isinstance(values, list):
        raise InvalidArgument(f"JSON Value: {dump(document)} Expecting 'examples' value to be an list/array")
    if not values:
        raise InvalidArgument(f"JSON Value: {dump(document)} 'examples' value is an empty array")
    for value in values:
        examples.append(_read_example(value))
    return message


def _read_example(value: Value) -> wire.Example:
    if not isinstance(value, JsonObject):
        raise InvalidArgument(f"Example must be JSON object but got JSON {kind_of(value)}")
    example = wire.Example()
    for key, items in value:
        name = to_name(key)
        feature = wire.Feature()
        values = items if isinstance(items, list) else [items]
        if not _extend(feature, values):
            for item in values:
                _add(name, item, feature)
        try:
            # The last one of a name wins.
            example.features.feature[name].CopyFrom(feature)
        except UnicodeEncodeError as error:
            # C++ would take it; Python's protobuf has no such names.
            raise InvalidArgument(f"The name of a feature is no UTF-8: {name}") from error
    return example


def _extend(feature: wire.Feature, values: list[Any]) -> bool:
    """Add numbers of one kind at once; False for what must be looked at one by one."""
    kinds = set(map(type, values))
    if kinds == {float}:
        feature.float_list.value.extend(values)
    elif kinds == {int} and min(values) >= LEAST_INT64 and max(values) <= MOST_INT64:
        feature.int64_list.value.extend(values)
    else:
        return False
    return True


def _add(name: str, value: Value, feature: wire.Feature) -> None:
    """Add a value to a feature, of whose kind it must be."""
    if value is None or isinstance(value, list) or (isinstance(value, JsonObject) and not b64.is_encoded(value)):
        raise InvalidArgument(f"Feature: {name} has element with unexpected JSON type: {kind_of(value)}")
    if isinstance(value, (int, float)):
        value = to_number(value)
    kind = _kind_of(value)
    if kind == "int64_list" and isinstance(value, int) and value > MOST_INT64:
        raise InvalidArgument(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
    present = feature.WhichOneof("kind")
    if present not in (None, kind):
        raise InvalidArgument(f"Unexpected element type in feature: {name} expecting type: {_NAMES[present]}")
    if isinstance(value, JsonObject):
        feature.bytes_list.value.append(_decode(value))
    elif isinstance(value, (str, bytes)):
        feature.bytes_list.value.append(to_bytes(value))
    elif isinstance(value, int):
        feature.int64_list.value.append(int(value))
    else:
        feature.float_list.value.append(value)


def _kind_of(value: Value) -> str:
    if isinstance(value, (str, bytes, JsonObject)):
        return "bytes_list"
    return "int64_list" if isinstance(value, int) else "float_list"


def _decode(value: JsonObject) -> bytes:
    try:
        return b64.decode(value)
    except b64.MalformedBase64 as error:
        raise InvalidArgument("Unable to base64 decode") from error
