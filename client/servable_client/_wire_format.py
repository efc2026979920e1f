"""Protobuf's wire format where protobuf itself would copy: varints, fields, packed values.

Knows no message: numbers of fields come from the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

VARINT = 0
FIXED64 = 1
LENGTH_DELIMITED = 2
FIXED32 = 5
_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
# Ten groups of seven bits hold the 64 bits of any varint.
_VARINT_BYTES = 10
_SINGLE_BYTES = [bytes((value,)) for value in range(0x80)]


class Malformed(ValueError):
    """Bytes that are no message."""


class Field(NamedTuple):
    """One field of a message: where it starts with its tag, and where what it holds starts and ends."""

    number: int
    wire_type: int
    start: int
    value: int
    end: int


def varint(value: int) -> bytes:
    """A number that is not negative, as a varint."""
    if value < 0x80:
        return _SINGLE_BYTES[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def head(number: int, length: int) -> bytes:
    """What stands before the bytes of a length-delimited field."""
    return varint(number << 3 | LENGTH_DELIMITED) + varint(length)


def delimited(number: int, data: bytes) -> bytes:
    """A whole length-delimited field: a string, bytes or a message."""
    return head(number, len(data)) + data


def read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The varint at a place, and the place after it.

    Raises:
        Malformed: if it does not end.
    """
    value = 0
    for index in range(_VARINT_BYTES):
        if at + index >= len(data):
            break
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, at + index + 1
    raise Malformed("a number does not end")


def fields(data: bytes | memoryview, start: int, end: int) -> Iterator[Field]:
    """The fields of the message that lies between two places, in their order.

    Raises:
        Malformed: if a field does not end inside the message, or is a group (which proto3 has not).
    """
    at = start
    while at < end:
        tag, value = read_varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            _, after = read_varint(data, value)
        elif kind == LENGTH_DELIMITED:
            length, value = read_varint(data, value)
            after = value + length
        elif kind in _FIXED_BYTES:
            after = value + _FIXED_BYTES[kind]
        else:
            raise Malformed(f"wire type {kind}")
        if after > end:
            raise Malformed("a field ends outside its message")
        yield Field(tag >> 3, kind, at, value, after)
        at = after


def unpack_varints(data: Any) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """The numbers of a packed field of varints, without a step of Python for each.

    Args:
        data: The bytes of the field.

    Returns:
        uint64, shape [number of varints]: negative numbers as their two's complement.

    Raises:
        Malformed: if the last one does not end, or one is longer than ten bytes.
    """
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if len(ends) == len(raw):
        return raw.astype(np.uint64)
    if raw[-1] >= 0x80:
        raise Malformed("a packed field ends inside a number")
    starts = np.empty_like(ends)
    starts[0] = 0
    starts[1:] = ends[:-1] + 1
    lengths = ends - starts + 1
    if lengths.max() > _VARINT_BYTES:
        raise Malformed("a number does not end")
    return _add_groups(raw, starts, lengths)


def _add_groups(raw: Any, starts: Any, lengths: Any) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """One pass for each group of seven bits, over the numbers that are so long."""
    values: np.ndarray[Any, np.dtype[np.uint64]] = (raw[starts] & 0x7F).astype(np.uint64)
    longer = np.flatnonzero(lengths > 1)
    group = 1
    while len(longer):
        bits = (raw[starts[longer] + group] & 0x7F).astype(np.uint64)
        values[longer] |= bits << np.uint64(7 * group)
        group += 1
        longer = longer[lengths[longer] > group]
    return values
