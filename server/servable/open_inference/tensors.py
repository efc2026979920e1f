"""Tensors of the protocol to arrays and back, in its three forms: bytes, typed contents, JSON.

Bytes are the values in row-major order, little-endian; a BYTES value has its length in four bytes before it. All that
a caller claims is compared with what was sent before memory is taken for it. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import numpy as np

from servable import wire
from servable.codec import decoding, encoding
from servable.codec.decoding import MalformedTensor
from servable.codec.json.number_arrays import NotTaken, NumberArray
from servable.open_inference.datatypes import Datatype
from servable.requests import Array

_LENGTH: Final = struct.Struct("<I")
_NO_NUMBERS: Final = (wire.DT_BOOL, wire.DT_STRING)


def read_bytes(datatype: Datatype, shape: Sequence[int], content: bytes | memoryview) -> Array:
    """The array that bytes mean: a read-only view of them where the datatype allows it.

    Raises:
        MalformedTensor: if they do not fit the shape.
    """
    dtype, count = datatype.dtype, decoding.count_elements(shape)
    if dtype.is_string:
        return _split_strings(content, count).reshape(shape)
    wanted_bytes = count * dtype.numpy.itemsize
    if len(content) != wanted_bytes:
        raise MalformedTensor(f"{len(content)} bytes were sent; {count} values of {datatype.name} take {wanted_bytes}")
    if count == 0:
        return np.empty(shape, dtype.numpy)
    stored = np.frombuffer(content, dtype.stored.newbyteorder("<"))
    if dtype.number == wire.DT_BOOL and int(stored.view(np.uint8).max()) > 1:
        raise MalformedTensor("a BOOL is a byte of 0 or 1")
    return stored.view(dtype.numpy).reshape(shape)


def write_bytes(datatype: Datatype, array: Array) -> bytes:
    """The bytes that mean an array."""
    if not datatype.dtype.is_string:
        return encoding.little_endian_bytes(array, datatype.dtype)
    strings = array.ravel().tolist()
    return b"".join(chain.from_iterable((_LENGTH.pack(len(string)), string) for string in strings))


def read_contents(datatype: Datatype, shape: Sequence[int], contents: wire.InferTensorContents) -> Array:
    """The array that typed contents mean.

    Raises:
        MalformedTensor: if they do not fit the shape or the datatype.
    """
    if datatype.field is None:
        raise MalformedTensor(f"{datatype.name} has no typed contents; its values travel in raw_input_contents")
    values = getattr(contents, datatype.field)
    _check_count(len(values), decoding.count_elements(shape), datatype.field)
    return _make_array(datatype, list(values)).reshape(shape)


def write_contents(datatype: Datatype, array: Array, contents: wire.InferTensorContents) -> None:
    """Write an array into empty contents.

    Raises:
        ValueError: for a datatype that has no field.
    """
    if datatype.field is None:
        raise ValueError(datatype.name)
    getattr(contents, datatype.field).extend(array.ravel().tolist())


def read_json(datatype: Datatype, shape: Sequence[int], data: Any) -> Array:
    """The array that a JSON value means: a list of all values in row-major order, or lists nested as the shape.

    Args:
        datatype: Of the array.
        shape: Its sizes.
        data: As parsed, or a NumberArray.

    Raises:
        MalformedTensor: if it does not fit the shape or the datatype.
        NotTaken: if a NumberArray may fit, and must be read as any other value.
    """
    count = decoding.count_elements(shape)
    if isinstance(data, NumberArray):
        return _read_numbers(datatype, shape, count, data)
    if not isinstance(data, list):
        raise MalformedTensor('"data" is no list')
    values = _flatten(data, shape) if data and isinstance(data[0], list) else data
    _check_count(len(values), count, '"data"')
    _check_types(datatype, values)
    if datatype.dtype.is_string:
        values = [_encode_text(text) for text in values]
    return _make_array(datatype, values).reshape(shape)


def write_json(datatype: Datatype, array: Array) -> list[Any]:
    """An array as a flat list for JSON. A float is written as the double that it is.

    Raises:
        MalformedTensor: for strings that are no UTF-8.
    """
    if datatype.dtype.is_string:
        try:
            return [value.decode() for value in array.ravel().tolist()]
        except UnicodeDecodeError as error:
            raise MalformedTensor("JSON cannot hold bytes that are no UTF-8; ask for binary_data") from error
    plain = array.astype(np.float32) if datatype.field is None else array
    values: list[Any] = plain.ravel().tolist()
    return values


def _read_numbers(datatype: Datatype, shape: Sequence[int], count: int, text: NumberArray) -> Array:
    numpy = datatype.dtype.numpy
    if numpy.kind in "iu":
        values = text.read(wire.DT_INT64 if numpy.kind == "i" else wire.DT_UINT64)
        limits = np.iinfo(numpy)
        fits = limits.min <= values.min() <= values.max() <= limits.max
    else:
        values = text.read(wire.DT_DOUBLE)
        fits = datatype.dtype.number not in _NO_NUMBERS
    if not fits or values.shape not in ((count,), tuple(shape)):
        raise NotTaken
    narrow = values.astype(numpy) if numpy.kind in "iu" else _narrow(datatype, values)
    return narrow.reshape(shape)


def _check_count(got: int, wanted: int, where: str) -> None:
    if got != wanted:
        raise MalformedTensor(f"{where} has {got} values; the shape takes {wanted}")


def _split_strings(content: bytes | memoryview, count: int) -> Array:
    if count * _LENGTH.size > len(content):
        raise MalformedTensor(f"{len(content)} bytes were sent; {count} values of BYTES take more")
    strings, start = np.empty(count, object), 0
    for index in range(count):
        values_at = start + _LENGTH.size
        if values_at > len(content):
            raise MalformedTensor("a value of BYTES ends inside its length")
        start = values_at + _LENGTH.unpack_from(content, start)[0]
        if start > len(content):
            raise MalformedTensor("a value of BYTES is longer than what was sent")
        strings[index] = bytes(content[values_at:start])
    if start != len(content):
        raise MalformedTensor(f"{len(content)} bytes were sent; {count} values of BYTES take {start}")
    return strings


def _flatten(nested: list[Any], shape: Sequence[int]) -> list[Any]:
    if not shape or len(nested) != shape[0]:
        raise MalformedTensor(f'"data" is not nested as {list(shape)}')
    for size in shape[1:]:
        if not all(isinstance(part, list) and len(part) == size for part in nested):
            raise MalformedTensor(f'"data" is not nested as {list(shape)}')
        nested = list(chain.from_iterable(nested))
    return nested


def _check_types(datatype: Datatype, values: list[Any]) -> None:
    wanted = _types_of(datatype)
    for kind in set(map(type, values)):
        if kind not in wanted:
            raise MalformedTensor(f'"data" of {datatype.name} may not hold {_JSON_NAMES[kind]}')


_JSON_NAMES: Final = {
    bool: "true or false",
    int: "integers",
    float: "numbers with a fraction or an exponent",
    str: "strings",
    list: "lists at this depth",
    dict: "objects",
    type(None): "null",
}


def _types_of(datatype: Datatype) -> tuple[type, ...]:
    if datatype.dtype.is_string:
        return (str,)
    if datatype.dtype.number == wire.DT_BOOL:
        return (bool,)
    return (int,) if datatype.dtype.numpy.kind in "iu" else (int, float)


def _encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise MalformedTensor('"data" holds half of a surrogate pair') from error


def _make_array(datatype: Datatype, values: list[Any]) -> Array:
    """An array of one dimension; values of Python's types that fit the datatype."""
    numpy = datatype.dtype.numpy
    if numpy.kind in "Ob":
        return np.array(values, numpy)
    try:
        if numpy.kind in "iu":
            # NumPy refuses what is out of range only from release 2 on.
            limits = np.iinfo(numpy)
            if values and not limits.min <= min(values) <= max(values) <= limits.max:
                raise MalformedTensor(_out_of_range(datatype))
            return np.array(values, numpy)
        return _narrow(datatype, np.array(values, np.float64))
    except OverflowError as error:
        raise MalformedTensor(_out_of_range(datatype)) from error


def _narrow(datatype: Datatype, values: Array) -> Array:
    """Doubles as the datatype: rounded to the nearest; what was finite must stay so."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        narrow = values.astype(datatype.dtype.numpy)
    if np.isinf(narrow).any() and not np.array_equal(np.isinf(narrow), np.isinf(values)):
        raise MalformedTensor(_out_of_range(datatype))
    return narrow


def _out_of_range(datatype: Datatype) -> str:
    return f"a value is out of the range of {datatype.name}"
