"""Takes the few large values out of a message's bytes, so that protobuf copies only the small rest.

Parsing with protobuf copies each value twice: into the message and out of it. Here the bytes are walked field
by field, large values become views of them, and what is left over is parsed as ever. Whatever is unusual (a
value in two pieces, a broken field) is left to protobuf as a whole, whose rules decide.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from google.protobuf.message import DecodeError

from servable_client import _wire_format, wire
from servable_client._wire_format import LENGTH_DELIMITED, Malformed

# Below, walking costs more than the copies that it saves (measured: about even at 1 to 2 KB).
LIFT_BYTES = 1024
# A dtype, a shape, a version and then some. Strings are a field each: protobuf reads thousands of them quicker.
_MAX_SMALL_FIELDS = 16
_STRINGS = 8
_RESOURCES_AND_VARIANTS = (14, 15)
_TENSOR_FIELDS = {field.number: field.name for field in wire.TensorProto.DESCRIPTOR.fields}
_LIFTABLE = frozenset(_TENSOR_FIELDS) - {1, 2, 3, _STRINGS, *_RESOURCES_AND_VARIANTS}
_NOTHING: dict[str, memoryview] = {}


class Tensor(NamedTuple):
    """A TensorProto without its large values, and those by the names of their fields: packed, as on the wire."""

    message: wire.TensorProto
    lifted: dict[str, memoryview]


class Reply(NamedTuple):
    """A PredictResponse in two parts."""

    model_spec: wire.ModelSpec
    outputs: dict[str, Tensor]


def lift_tensor(data: bytes) -> Tensor:
    """A serialized TensorProto in two parts.

    Raises:
        DecodeError: if it does not parse.
    """
    return _lift(data, 0, len(data))


def lift_reply(data: bytes) -> Reply:
    """A serialized PredictResponse in two parts.

    Raises:
        DecodeError: if it does not parse.
    """
    if len(data) >= LIFT_BYTES:
        try:
            return _walk_reply(data)
        except (Malformed, DecodeError, UnicodeDecodeError):
            pass  # protobuf knows whether it is wrong and what to say
    reply = wire.PredictResponse.FromString(data)
    return Reply(reply.model_spec, {name: Tensor(tensor, _NOTHING) for name, tensor in reply.outputs.items()})


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
        if len(rest) > _MAX_SMALL_FIELDS:
            raise Malformed("too many small fields to walk over")
    return Reply(wire.PredictResponse.FromString(b"".join(rest)).model_spec, outputs)


def _walk_entry(data: bytes, start: int, end: int) -> tuple[str, Tensor]:
    # Three would be one too many already.
    found = list(itertools.islice(_wire_format.fields(data, start, end), 3))
    places = {field.number: field for field in found}
    if len(found) != 2 or places.keys() != {1, 2} or any(p.wire_type != LENGTH_DELIMITED for p in places.values()):
        raise Malformed("an entry that is not one key and one value")
    key, value = places[1], places[2]
    return data[key.value : key.end].decode(), _lift(data, value.value, value.end)


def _lift(data: bytes, start: int, end: int) -> Tensor:
    if end - start >= LIFT_BYTES:
        try:
            return _walk_tensor(data, start, end)
        except Malformed:
            pass  # as above
    return Tensor(wire.TensorProto.FromString(data[start:end]), _NOTHING)


def _walk_tensor(data: bytes, start: int, end: int) -> Tensor:
    view = memoryview(data)
    lifted: dict[str, memoryview] = {}
    rest: list[bytes] = []
    for field in _wire_format.fields(data, start, end):
        if len(rest) > _MAX_SMALL_FIELDS:
            raise Malformed("too many small values to walk over")
        large = field.wire_type == LENGTH_DELIMITED and field.end - field.value >= LIFT_BYTES // 2
        if large and field.number in _LIFTABLE:
            name = _TENSOR_FIELDS[field.number]
            if name in lifted:
                raise Malformed("values in two pieces")
            lifted[name] = view[field.value : field.end]
        else:
            rest.append(data[field.start : field.end])
    message = wire.TensorProto.FromString(b"".join(rest))
    if any(getattr(message, name) for name in lifted):
        raise Malformed("values in two pieces")
    return Tensor(message, lifted)
