"""TensorProto to ndarray, by the rules of TensorFlow and within bounds of memory.

The rules are those of TensorFlow's Tensor::FromProto (tensor.cc): `tensor_content` wins and must have the
exact length; of `*_val` the last value fills what is missing, surplus is dropped, and none at all means zeros.
One rule is ours: a tensor may be larger than what was sent for it by FILL_LIMIT_BYTES at most, since a few
bytes could otherwise claim all memory.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from servable_client import _dtypes, _wire_format
from servable_client._dtypes import Dtype
from servable_client._lifting import Tensor
from servable_client._wire_format import Malformed

FILL_LIMIT_BYTES = 64 << 20
MAX_DIMENSIONS = 64 if int(np.__version__.split(".")[0]) >= 2 else 32
# What an element of an object array takes: a pointer.
_POINTER_BYTES = 8
_INT64_MAX = (1 << 63) - 1
# Packed fields of fixed size, as they lie on the wire.
_FIXED = {"float_val": "<f4", "double_val": "<f8", "scomplex_val": "<f4", "dcomplex_val": "<f8", "float8_val": "u1"}

Array = np.ndarray[Any, Any]


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
    count, room = 1, 1
    for size in sizes:
        count *= size
        room *= size or 1
        if size < 0 or room > _INT64_MAX // 16:
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
