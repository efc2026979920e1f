"""JSON Schemas of what a signature takes and gives over REST, with examples. Pure.

They say what may be sent in strict JSON: the server takes NaN and Infinity too, which no schema can say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from servable import wire
from servable.signatures import DEFAULT_KEY, Signature

Schema: TypeAlias = dict[str, Any]
Json: TypeAlias = Any

# An example of more values helps nobody.
_MOST_EXAMPLE_VALUES: Final = 256
_BASE64: Final[Schema] = {
    "type": "object",
    "properties": {"b64": {"type": "string", "contentEncoding": "base64"}},
    "required": ["b64"],
    "additionalProperties": False,
}
_FLOATS: Final = frozenset({wire.DT_FLOAT, wire.DT_DOUBLE})
_BITS: Final = {
    wire.DT_INT8: (-(2**7), 2**7 - 1),
    wire.DT_UINT8: (0, 2**8 - 1),
    wire.DT_INT16: (-(2**15), 2**15 - 1),
    wire.DT_INT32: (-(2**31), 2**31 - 1),
    wire.DT_UINT32: (0, 2**32 - 1),
    wire.DT_INT64: (-(2**63), 2**63 - 1),
    wire.DT_UINT64: (0, 2**64 - 1),
}


@dataclass(frozen=True, slots=True)
class Described:
    """A schema, and an example of it if there is a short one."""

    schema: Schema
    example: Json | None


def can_predict(signature: Signature) -> bool:
    """Whether JSON can carry all inputs and outputs of a signature."""
    infos = [*signature.definition.inputs.values(), *signature.definition.outputs.values()]
    return bool(signature.inputs and signature.outputs) and all(_is_known(info.dtype) for info in infos)


def predict_requests(signature: Signature) -> Sequence[Described]:
    """The bodies of a Predict request: by columns, and by rows if each input and output has a first dimension."""
    inputs = signature.definition.inputs
    columns = _request(signature, "inputs", _tensors(inputs, rows=False))
    if not _have_rows(signature):
        return [columns]
    return [_request(signature, "instances", _list_of(_tensors(inputs, rows=True))), columns]


def predict_replies(signature: Signature) -> Sequence[Described]:
    """The bodies of the replies."""
    outputs = signature.definition.outputs
    columns = _object({"outputs": _tensors(outputs, rows=False, are_outputs=True)})
    if not _have_rows(signature):
        return [columns]
    return [_object({"predictions": _list_of(_tensors(outputs, rows=True, are_outputs=True))}), columns]


def examples_request(signature: Signature) -> Described:
    """The body of a Classify or Regress request."""
    value: Schema = {"oneOf": [{"type": ["number", "string", "boolean"]}, _BASE64]}
    feature = {"oneOf": [*value["oneOf"], {"type": "array", "items": value}]}
    example = Described({"type": "object", "additionalProperties": feature}, {"feature": 1.5})
    request = _request(signature, "examples", _list_of(example))
    request.schema["properties"]["context"] = example.schema
    return request


def classify_reply() -> Described:
    """The body of a reply to Classify: label and score of each class, for each example."""
    pair: Schema = {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "number"}],
        "minItems": 2,
        "maxItems": 2,
    }
    return _object({"results": _list_of(_list_of(Described(pair, ["label", 0.5])))})


def regress_reply() -> Described:
    """The body of a reply to Regress: a value for each example."""
    return _object({"results": _list_of(Described({"type": "number"}, 0.5))})


def _request(signature: Signature, key: str, value: Described) -> Described:
    described = _object({key: value})
    described.schema["properties"]["signature_name"] = {"const": signature.key}
    if signature.key == DEFAULT_KEY:
        return described
    described.schema["required"].append("signature_name")
    example = described.example
    return Described(described.schema, None if example is None else {"signature_name": signature.key, **example})


def _tensors(infos: Mapping[str, wire.TensorInfo], *, rows: bool, are_outputs: bool = False) -> Described:
    """One tensor as it is, several as an object of them."""
    tensors = {alias: _tensor(alias, infos[alias], rows=rows, is_output=are_outputs) for alias in sorted(infos)}
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    return _object(tensors)


def _tensor(alias: str, info: wire.TensorInfo, *, rows: bool, is_output: bool) -> Described:
    value = _value(info.dtype, is_base64=is_output and alias.endswith("_bytes"), is_output=is_output)
    if info.tensor_shape.unknown_rank:
        return Described({}, value.example)
    sizes = [dim.size for dim in info.tensor_shape.dim][int(rows) :]
    schema, example = value.schema, value.example
    for size in reversed(sizes):
        schema = {"type": "array", "items": schema}
        if size >= 0:
            schema.update(minItems=size, maxItems=size)
    if math.prod(max(size, 1) for size in sizes) > _MOST_EXAMPLE_VALUES:
        return Described(schema, None)
    for size in reversed(sizes):
        example = [example] * (size if size >= 0 else 1)
    return Described(schema, example)


def _value(dtype: int, *, is_base64: bool, is_output: bool) -> Described:
    if dtype in _FLOATS:
        return Described({"type": "number"}, 1.0)
    if dtype == wire.DT_BOOL:
        return Described({"type": "boolean"}, True)
    if dtype in _BITS:
        low, high = _BITS[dtype]
        return Described({"type": "integer", "minimum": low, "maximum": high}, 1)
    if is_base64:
        return Described(_BASE64, {"b64": "dGV4dA=="})
    text: Schema = {"type": "string"}
    return Described(text if is_output else {"oneOf": [text, _BASE64]}, "text")


def _is_known(dtype: int) -> bool:
    return dtype in _FLOATS or dtype in _BITS or dtype in {wire.DT_BOOL, wire.DT_STRING}


def _have_rows(signature: Signature) -> bool:
    infos = [*signature.definition.inputs.values(), *signature.definition.outputs.values()]
    shapes = [info.tensor_shape for info in infos]
    return all(shape.unknown_rank or len(shape.dim) for shape in shapes)


def _object(members: Mapping[str, Described]) -> Described:
    schema = {
        "type": "object",
        "properties": {name: member.schema for name, member in members.items()},
        "required": list(members),
    }
    if any(member.example is None for member in members.values()):
        return Described(schema, None)
    return Described(schema, {name: member.example for name, member in members.items()})


def _list_of(item: Described) -> Described:
    return Described({"type": "array", "items": item.schema}, None if item.example is None else [item.example])
