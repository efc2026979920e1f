"""TensorProto to ndarray, by the rules of the original and within bounds of memory.

The rules are those of TensorFlow's Tensor::FromProto (tensor.cc), which TensorFlow Serving calls:
`tensor_content` wins and must have the exact length; of `*_val` the last value fills what is missing, surplus
is dropped, and none at all means zeros. Three rules are ours. Memory is bounded before it is taken: a tensor
that is larger than what was sent for it may take FILL_LIMIT_BYTES at most, since a few bytes could otherwise claim
all memory; the original allocates whatever the shape says. A tensor has MAX_DIMENSIONS at most, where the original
takes 254, which no kernel does. The sizes of a tensor without elements have a limit too, EMPTY_LIMIT, since kernels
abort where a product of sizes overflows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from servable import wire
from servable.codec import dtypes
from servable.codec.dtypes import Dtype

# NumPy holds 64 dimensions from 2.0 on and 32 before; TensorFlow holds 254. No kernel takes more than 8.
MAX_DIMENSIONS = 32
FILL_LIMIT_BYTES = 64 << 20
# The sizes other than 0 of a tensor without elements multiply to less than this. A kernel may multiply the sizes of
# two such tensors, as for the product of two matrices, and TensorFlow ends the process where that exceeds an int64.
EMPTY_LIMIT = 1 << 31
# TensorFlow keeps a string of up to 22 bytes in a cell of 24, and a longer one beside its cell.
STRING_CELL_BYTES = 24
_MOST_BYTES_IN_A_CELL = 22
_INT64_MAX = (1 << 63) - 1
_TENSOR_CONTENT = 4
# The types of variants that TensorFlow reads from a message without a kernel that brings them.
_VARIANT_SIZES_BYTES = {"int": 4, "float": 4, "bool": 1, "double": 8}
_RAW_COPY_FIELDS = {"float_val": 5, "double_val": 6, "scomplex_val": 9, "dcomplex_val": 12}


class MalformedTensor(ValueError):
    """A TensorProto that is no tensor; the text says why, for the caller."""


def decode(tensor: wire.TensorProto) -> np.ndarray[Any, Any]:
    """The array that a TensorProto means.

    Args:
        tensor: In any encoding. An array made from `tensor_content` may be a read-only view of its bytes.

    Returns:
        An array of the proto's shape and of the NumPy dtype in the dtype table; strings as objects (bytes). Resources
        and variants as objects too: a message, or None if none was sent.

    Raises:
        MalformedTensor: for an unknown dtype, a bad shape, values that do not fit it, or an array that is
            larger than what was sent for it by more than the limit.
    """
    dtype = dtypes.BY_NUMBER.get(tensor.dtype)
    if dtype is None:
        opaque = dtypes.OPAQUE.get(tensor.dtype)
        if opaque is not None:
            return _read_objects(tensor, opaque)
        raise MalformedTensor(f"dtype {dtypes.name_of(tensor.dtype)} cannot be sent as a tensor")
    shape, count = _read_shape(tensor.tensor_shape)
    if count == 0:
        return np.empty(shape, dtype.numpy)
    content = tensor.tensor_content
    flat = _read_content(content, dtype, count) if content else _read_values(tensor, dtype, count)
    return flat.reshape(shape)


def _read_objects(tensor: wire.TensorProto, dtype: Dtype) -> np.ndarray[Any, Any]:
    """An array whose elements are all the first object, which is all that an error of a run tells of them."""
    shape, count = _read_shape(tensor.tensor_shape)
    if tensor.tensor_content:
        raise MalformedTensor(f"a tensor of {dtype.name} has its values in {dtype.field}")
    if count * dtype.numpy.itemsize > FILL_LIMIT_BYTES:
        raise MalformedTensor(f"{count} elements of {dtype.name} take more than {FILL_LIMIT_BYTES} bytes")
    if count:
        for variant in tensor.variant_val[:count] if dtype.number == wire.DT_VARIANT else ():
            _check_variant(variant)
    values = getattr(tensor, dtype.field)
    first = np.array((values[0] if values else None,), dtype.numpy)
    return np.broadcast_to(first, shape)


def _check_variant(variant: wire.VariantTensorDataProto) -> None:
    size_bytes = _VARIANT_SIZES_BYTES.get(variant.type_name)
    if len(variant.metadata) != size_bytes:
        raise MalformedTensor(f'no variant of type "{variant.type_name}" has {len(variant.metadata)} bytes of metadata')


def is_raw_copy(field: int, number: int) -> bool:
    """Whether a field of a TensorProto holds any values of a dtype as the array's own bytes, if it is packed.

    Args:
        field: The field's number.
        number: The dtype in tensorflow.DataType.
    """
    dtype = dtypes.BY_NUMBER.get(number)
    if dtype is None or dtype.is_string or sys.byteorder != "little":
        return False
    # Not every byte is a bool.
    return dtype.number != wire.DT_BOOL if field == _TENSOR_CONTENT else field == _RAW_COPY_FIELDS.get(dtype.field)


def may_be_raw_copy(tensor: wire.TensorProto) -> bool:
    """Whether the message of a tensor may hold the array's own bytes; a quick look that `is_raw_copy` confirms."""
    dtype = dtypes.BY_NUMBER.get(tensor.dtype)
    if dtype is None or dtype.is_string:
        return False
    return dtype.field in _RAW_COPY_FIELDS or len(tensor.tensor_content) > 0


def count_elements(shape: Sequence[int]) -> int:
    """The product of the sizes of a shape that a caller sends, checked in TensorFlow's order.

    An overflow counts even before a zero.

    Raises:
        MalformedTensor: if no tensor may have this shape.
    """
    if len(shape) > MAX_DIMENSIONS:
        raise MalformedTensor(f"{len(shape)} dimensions; at most {MAX_DIMENSIONS} are supported")
    count = 1
    for size in shape:
        count *= size
        if size < 0 or count > _INT64_MAX:
            raise MalformedTensor(f"shape {list(shape)} has a negative size or too many elements")
    if count == 0 and is_too_large_without_elements(shape):
        raise MalformedTensor(f"shape {list(shape)} is too large even without elements")
    return count


def _read_shape(proto: wire.TensorShapeProto) -> tuple[tuple[int, ...], int]:
    """The sizes and their product."""
    shape = tuple(dim.size for dim in proto.dim)
    return shape, count_elements(shape)


def is_too_large_without_elements(shape: Iterable[int]) -> bool:
    """Whether no array without elements may have these sizes, of which one is 0."""
    return math.prod(size for size in shape if size) >= EMPTY_LIMIT


def _read_content(content: bytes, dtype: Dtype, count: int) -> np.ndarray[Any, Any]:
    if dtype.is_string:
        return _split_strings(content, count)
    if len(content) != count * dtype.numpy.itemsize:
        raise MalformedTensor(
            f"tensor_content has {len(content)} bytes; {count} values of {dtype.name} "
            f"take {count * dtype.numpy.itemsize}"
        )
    stored = np.frombuffer(content, dtype.stored.newbyteorder("<"))
    if dtype.number == wire.DT_BOOL and int(stored.view(np.uint8).max()) > 1:
        raise MalformedTensor("tensor_content of a bool tensor may hold the bytes 0 and 1 only")
    return stored.view(dtype.numpy)


def _split_strings(content: bytes, count: int) -> np.ndarray[Any, Any]:
    """TensorFlow's EncodeStringList: the length of each string as a varint, then all bytes in a row."""
    lengths, start = [], 0
    for _ in range(min(count, len(content) + 1)):
        length, start = _read_varint32(content, start)
        lengths.append(length)
    if start + sum(lengths) != len(content):
        raise MalformedTensor("tensor_content of a string tensor does not match the lengths that it starts with")
    strings = np.empty(count, object)
    for index, length in enumerate(lengths):
        strings[index] = content[start : start + length]
        start += length
    return strings


def _read_varint32(content: bytes, start: int) -> tuple[int, int]:
    value = 0
    for index, byte in enumerate(content[start : start + 5]):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFFFFFF, start + index + 1
    raise MalformedTensor("tensor_content of a string tensor ends inside its lengths")


def _read_values(tensor: wire.TensorProto, dtype: Dtype, count: int) -> np.ndarray[Any, Any]:
    values = _field_array(getattr(tensor, dtype.field), dtype)
    if len(values) >= count:
        return values[:count]
    if count * _filler_bytes(values, dtype) > FILL_LIMIT_BYTES:
        raise MalformedTensor(
            f"{len(values)} values were sent for {count} elements; filling up is limited to {FILL_LIMIT_BYTES} bytes"
        )
    filled = np.empty(count, dtype.numpy)
    filled[: len(values)] = values
    # Not by np.full, which takes zero bytes off the end of a string.
    filled[len(values) :] = values[-1] if len(values) else _zero(dtype)
    return filled


def _filler_bytes(values: np.ndarray[Any, Any], dtype: Dtype) -> int:
    """What TensorFlow takes for each element that is filled in."""
    if not dtype.is_string:
        return dtype.numpy.itemsize
    length = len(values[-1]) if len(values) else 0
    return STRING_CELL_BYTES + (length if length > _MOST_BYTES_IN_A_CELL else 0)


def _zero(dtype: Dtype) -> Any:
    return b"" if dtype.is_string else np.zeros((), dtype.numpy)[()]


def _field_array(values: Any, dtype: Dtype) -> np.ndarray[Any, Any]:
    if dtype.is_string:
        return np.array(list(values), object)
    if dtype.field == "float8_val":
        return np.frombuffer(values, np.uint8).view(dtype.numpy)
    if dtype.field in {"scomplex_val", "dcomplex_val"}:
        part = np.float32 if dtype.field == "scomplex_val" else np.float64
        parts = np.fromiter(values, part, len(values))
        return parts[: len(parts) // 2 * 2].view(dtype.numpy)
    if dtype.field in {"int_val", "half_val"}:
        # Out-of-range values wrap around, as the C++ cast does.
        return np.fromiter(values, np.int32, len(values)).astype(dtype.stored).view(dtype.numpy)
    return np.fromiter(values, dtype.numpy, len(values))
