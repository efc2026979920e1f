"""TensorProto from arrays and to arrays; large values never pass through protobuf.

Encoding: `tensor_content` for all dtypes but strings, which have no content that all servers read. What is returned are
pieces to be joined, the array's own memory among them, so that it is copied once.

Lifting: parsing with protobuf copies each value twice, into the message and out of it. Here the bytes are walked field
by field, the few large values become views of them, and protobuf parses only the small rest. Whatever is unusual (a
value in two pieces, a broken field) is left to protobuf as a whole, whose rules decide.

Decoding follows TensorFlow's Tensor::FromProto (tensor.cc): `tensor_content` wins and must have the exact length; of
`*_val` the last value fills what is missing, surplus is dropped, and none at all means zeros. One rule is ours: a
tensor may be larger than what was sent for it by FILL_LIMIT_BYTES at most, since a few bytes could otherwise claim all
memory.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple

import numpy as np

from servable_client import _dtypes, _wire_format, wire
from servable_client._conversion import Converted
from servable_client._dtypes import Dtype
from servable_client._wire_format import LENGTH_DELIMITED, Malformed, delimited, head, varint

Piece = Any
"""Bytes, or a memoryview of bytes."""

_TENSOR_CONTENT = 4
_DIM = 2
_SHAPE = 2
# A copy so small costs less than a view and its bookkeeping.
_SMALL_BYTES = 2048
# Below, walking costs more than the copies that it saves (measured: about even at 1 to 2 KB).
LIFT_BYTES = 1024
# A dtype, a shape, a version and then some. Strings are a field each: protobuf reads thousands of them quicker.
MAX_SMALL_FIELDS = 16
_STRING_VAL = 8
_RESOURCE_AND_VARIANT_VAL = (14, 15)
_TENSOR_FIELDS = {field.number: field.name for field in wire.TensorProto.DESCRIPTOR.fields}
_LIFTABLE = frozenset(_TENSOR_FIELDS) - {1, 2, 3, _STRING_VAL, *_RESOURCE_AND_VARIANT_VAL}
NOTHING_LIFTED: dict[str, memoryview] = {}
FILL_LIMIT_BYTES = 64 << 20
MAX_DIMENSIONS = 64 if int(np.__version__.split(".")[0]) >= 2 else 32
# What an element of an object array takes: a pointer.
_POINTER_BYTES = 8
_INT64_MAX = (1 << 63) - 1
# Packed fields of fixed size, as they lie on the wire.
_FIXED = {"float_val": "<f4", "double_val": "<f8", "scomplex_val": "<f4", "dcomplex_val": "<f8", "float8_val": "u1"}

Array = np.ndarray[Any, Any]


def tensor_pieces(value: Converted) -> list[Piece]:
    """The bytes of a TensorProto, in pieces."""
    start = _dtype_and_shape(value.dtype.number, value.shape)
    if value.dtype.is_string:
        return [start, wire.TensorProto(string_val=value.strings).SerializeToString()]
    content = _content(value.array, value.dtype)
    return [start, head(_TENSOR_CONTENT, len(content)), content] if len(content) else [start]


@functools.lru_cache(maxsize=4096)
def _dtype_and_shape(number: int, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(delimited(_DIM, b"\x08" + varint(size)) for size in shape)
    return b"\x08" + varint(number) + delimited(_SHAPE, dims)


def _content(array: np.ndarray[Any, Any], dtype: Dtype) -> Piece:
    stored = array
    if dtype.extension:
        # Four-bit numbers travel in a byte each; all others are the same bits.
        stored = array.astype(dtype.stored) if dtype.family == "int" else array.view(dtype.stored)
    little = stored.astype(dtype.stored.newbyteorder("<"), copy=False)
    if little.nbytes < _SMALL_BYTES:
        return little.tobytes()
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8).data


class Tensor(NamedTuple):
    """A TensorProto without its large values, and those by the names of their fields: packed, as on the wire."""

    message: wire.TensorProto
    lifted: dict[str, memoryview]


def lift_tensor(data: bytes) -> Tensor:
    """A serialized TensorProto in two parts.

    Raises:
        DecodeError: if it does not parse.
    """
    return lift_span(data, 0, len(data))


def lift_span(data: bytes, start: int, end: int) -> Tensor:
    """The TensorProto that lies between two places of a message, in two parts."""
    if end - start >= LIFT_BYTES:
        try:
            return _walk_tensor(data, start, end)
        except Malformed:
            pass  # protobuf knows whether it is wrong and what to say
    return Tensor(wire.TensorProto.FromString(data[start:end]), NOTHING_LIFTED)


def _walk_tensor(data: bytes, start: int, end: int) -> Tensor:
    view = memoryview(data)
    lifted: dict[str, memoryview] = {}
    rest: list[bytes] = []
    for field in _wire_format.fields(data, start, end):
        if len(rest) > MAX_SMALL_FIELDS:
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


def decode(tensor: Tensor) -> Array:
    """The array that a tensor means; read-only, and a view of the bytes where they are aligned for it.

    Raises:
        Malformed: for an unknown dtype, a bad shape, or values that do not fit it.
        DtypeUnavailable: if the dtype needs ml_dtypes.
    """
    message = tensor.message
    dtype = _dtypes.BY_NUMBER.get(message.dtype)
    if dtype is None:
        raise Malformed(f"its dtype is {_dtypes.name_of(message.dtype)}, which no array can have")
    shape, count = _read_shape([dim.size for dim in message.tensor_shape.dim])
    array = _read_elements(tensor, dtype, count).reshape(shape)
    array.flags.writeable = False
    return array


def _read_shape(sizes: list[int]) -> tuple[list[int], int]:
    if len(sizes) > MAX_DIMENSIONS:
        raise Malformed(f"it has {len(sizes)} dimensions; NumPy holds {MAX_DIMENSIONS}")
    # `bounded` leaves out sizes of 0, so that the other sizes of an empty tensor are bounded too.
    count, bounded = 1, 1
    for size in sizes:
        count *= size
        bounded *= size or 1
        if size < 0 or bounded > _INT64_MAX // 16:
            raise Malformed(f"its shape {sizes} has a negative size or too many elements")
    return sizes, count


def _read_elements(tensor: Tensor, dtype: Dtype, count: int) -> Array:
    numpy = dtype.numpy
    if count == 0:
        return np.empty(0, numpy)
    content: Any = tensor.lifted.get("tensor_content") or tensor.message.tensor_content
    if dtype.is_string:
        return _split_strings(content, count) if content else _fill(_strings(tensor), dtype, count)
    stored = _read_content(content, dtype, count) if content else _fill(_values(tensor, dtype), dtype, count)
    return _as_dtype(stored, dtype, numpy)


def _as_dtype(stored: Array, dtype: Dtype, numpy: Any) -> Array:
    if not dtype.extension:
        return stored
    # Four-bit numbers lie in a byte each and must be converted; all others are the same bits.
    return stored.astype(numpy) if dtype.family == "int" else stored.view(numpy)


def _read_content(content: Any, dtype: Dtype, count: int) -> Array:
    size = dtype.stored.itemsize
    if len(content) != count * size:
        raise Malformed(
            f"its tensor_content has {len(content)} bytes; {count} values of {dtype.name} take {count * size}"
        )
    if dtype.family == "bool" and np.frombuffer(content, np.uint8).max() > 1:
        raise Malformed("its tensor_content holds other bytes than 0 and 1, and its dtype is bool")
    return _view(content, dtype.stored)


def _view(data: Any, stored: Any) -> Array:
    """The bytes as an array; a copy of them where they are not aligned, which NumPy reads slowly and others not."""
    seen = np.frombuffer(data, stored.newbyteorder("<"))
    if not seen.flags.aligned:
        # Copied as bytes: value by value takes twice the time.
        seen = np.frombuffer(data, np.uint8).copy().view(seen.dtype)
    if not seen.dtype.isnative:
        seen = seen.astype(stored)
    # Same type on any machine.
    return seen if seen.dtype is stored else seen.view(stored)


def _split_strings(content: Any, count: int) -> Array:
    """TensorFlow's EncodeStringList: the length of each string as a varint, then all bytes in a row."""
    data = bytes(content)
    if count > len(data):
        raise Malformed(f"its tensor_content has {len(data)} bytes, too few for the lengths of {count} strings")
    ends = np.flatnonzero(np.frombuffer(data, np.uint8, min(len(data), 5 * count)) < 0x80)
    if len(ends) < count:
        raise Malformed("its tensor_content ends inside the lengths of its strings")
    start = int(ends[count - 1]) + 1
    lengths = _wire_format.unpack_varints(data[:start])
    # Bounded before it is summed up: the sum of 64-bit numbers could wrap around.
    if int(lengths.max()) > len(data) or start + int(lengths.sum()) != len(data):
        raise Malformed("its tensor_content does not match the lengths that it starts with")
    places = np.concatenate(([start], start + np.cumsum(lengths.astype(np.int64)))).tolist()
    strings = np.empty(count, object)
    strings[:] = [data[a:b] for a, b in itertools.pairwise(places)]
    return strings


def _strings(tensor: Tensor) -> Array:
    values = tensor.message.string_val
    return np.fromiter(values, object, len(values))


def _fill(values: Array, dtype: Dtype, count: int) -> Array:
    if len(values) >= count:
        return values[:count]
    size = count * (_POINTER_BYTES if dtype.is_string else dtype.stored.itemsize)
    if size > FILL_LIMIT_BYTES:
        raise Malformed(
            f"{len(values)} values came for {count} elements; filling up is limited to {FILL_LIMIT_BYTES} bytes"
        )
    zero: Any = b"" if dtype.is_string else 0
    filled = np.full(count, values[-1] if len(values) else zero, dtype.stored)
    filled[: len(values)] = values
    return filled


def _values(tensor: Tensor, dtype: Dtype) -> Array:
    """The values of the dtype's field, cut down to what is stored: numbers too large wrap around, as in C++."""
    lifted = tensor.lifted.get(dtype.field)
    numbers = _small(tensor, dtype) if lifted is None else _packed(lifted, dtype)
    if dtype.family == "complex":
        return numbers[: len(numbers) // 2 * 2].view(dtype.stored)
    if dtype.field == "half_val":
        return numbers.astype(np.uint16).view(dtype.stored)
    return numbers.astype(dtype.stored, copy=False)


def _packed(data: memoryview, dtype: Dtype) -> Array:
    fixed = _FIXED.get(dtype.field)
    if fixed is None:
        return _wire_format.unpack_varints(data)
    kind = np.dtype(fixed)
    if len(data) % kind.itemsize:
        raise Malformed(f"its {dtype.field} does not end with a whole value")
    return _view(data, kind.newbyteorder("="))


def _small(tensor: Tensor, dtype: Dtype) -> Array:
    values = getattr(tensor.message, dtype.field)
    if dtype.field == "float8_val":
        return np.frombuffer(values, np.uint8)
    if dtype.field in _FIXED:
        return np.fromiter(values, np.dtype(_FIXED[dtype.field]).newbyteorder("="), len(values))
    return np.fromiter(values, np.uint64 if dtype.field in {"uint32_val", "uint64_val"} else np.int64, len(values))
