"""Ndarray to TensorProto, in the two forms that the original answers with.

By default values travel in the typed `*_val` field of their dtype, at full length; with
--enable_serialization_as_tensor_content all travel in `tensor_content`, strings too (TensorFlow Serving:
PredictResponseTensorSerializationOption).
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np

from servable import wire
from servable.codec import dtypes
from servable.codec.dtypes import Dtype

# A packed field of fixed-size values holds the array's own bytes behind a tag: no value is touched one by
# one. A bool is a varint of one byte that is 0 or 1, which is how NumPy keeps it.
_RAW_COPY_FIELDS = {"float_val": 5, "double_val": 6, "scomplex_val": 9, "bool_val": 11, "dcomplex_val": 12}
_LENGTH_DELIMITED = 2
_IS_LITTLE_ENDIAN = sys.byteorder == "little"
_LESS_THAN_A_BYTE = frozenset({wire.DT_INT2, wire.DT_UINT2, wire.DT_INT4, wire.DT_UINT4})


def encode(array: np.ndarray[Any, Any], number: int, tensor: wire.TensorProto, *, as_content: bool = False) -> None:
    """Write an array into an empty TensorProto.

    Args:
        array: As TensorFlow gives it; strings as objects (bytes). A quantized array may come as plain
            integers.
        number: Its dtype in tensorflow.DataType.
        tensor: Receives dtype, shape and values. The shape is there even for a scalar.
        as_content: Values as `tensor_content` in place of the typed field.

    Raises:
        KeyError: for a dtype that is not in the table (resource, variant), which no output can have.
    """
    dtype = dtypes.BY_NUMBER[number]
    tensor.dtype = dtype.number
    tensor.tensor_shape.SetInParent()
    for size in array.shape:
        tensor.tensor_shape.dim.add().size = size
    if array.size == 0:
        return
    if as_content:
        tensor.tensor_content = _join_strings(array) if dtype.is_string else little_endian_bytes(array, dtype)
    else:
        _write_values(array, dtype, tensor)


def is_raw_copy(number: int, *, as_content: bool) -> bool:
    """Whether the values of a dtype travel as the array's own bytes, whatever they are.

    Args:
        number: The dtype in tensorflow.DataType.
        as_content: As for `encode`.
    """
    dtype = dtypes.BY_NUMBER[number]
    return _IS_LITTLE_ENDIAN and (not dtype.is_string if as_content else dtype.field in _RAW_COPY_FIELDS)


def encode_field(number: int, content: bytes) -> bytes:
    """A field of a message that holds bytes: a string, a message, packed numbers.

    Args:
        number: The field's; at most 15.
        content: What it holds, as it is.
    """
    return _field_header(number, len(content)) + content


# Short fields are written by the thousand, of few lengths.
@lru_cache(maxsize=1024)
def _field_header(number: int, size: int) -> bytes:
    return bytes((number << 3 | _LENGTH_DELIMITED,)) + varint(size)


def _write_values(array: np.ndarray[Any, Any], dtype: Dtype, tensor: wire.TensorProto) -> None:
    number = _RAW_COPY_FIELDS.get(dtype.field)
    if number is not None:
        data = little_endian_bytes(array, dtype)
        tensor.MergeFromString(encode_field(number, data))
    elif dtype.field == "float8_val":
        tensor.float8_val = array.tobytes()
    else:
        # A number of two or four bits may have any upper bits in its byte, so it is converted; others are viewed.
        numbers = array.astype(dtype.stored) if dtype.number in _LESS_THAN_A_BYTE else array.view(dtype.stored)
        getattr(tensor, dtype.field).extend(numbers.ravel().tolist())


def little_endian_bytes(array: np.ndarray[Any, Any], dtype: Dtype) -> bytes:
    """The values of an array that holds no strings, one behind the other in row-major order."""
    stored = np.ascontiguousarray(array).view(dtype.stored)
    return stored.astype(dtype.stored.newbyteorder("<"), copy=False).tobytes()


def _join_strings(array: np.ndarray[Any, Any]) -> bytes:
    """TensorFlow's EncodeStringList: the length of each string as a varint, then all bytes in a row."""
    strings = array.ravel().tolist()
    return b"".join(map(varint, map(len, strings))) + b"".join(strings)


def varint(value: int) -> bytes:
    """A number that is not negative, as protobuf writes it: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
