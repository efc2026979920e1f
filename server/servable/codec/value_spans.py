"""Where, in the bytes of a message, the values of its tensors lie. Pure; must not know what a message is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED_SIZES: Final = {1: 8, 5: 4}
# Of an entry of a map of tensors, and of a TensorProto: dtype, shape and version come before the fields with values.
_KEY, _VALUE = 1, 2
# A message of more is not worth the time.
_MOST_FIELDS: Final = 1000
_FIRST_VALUE_FIELD: Final = 4


class Span(NamedTuple):
    """The bytes that hold all values of a tensor: the number of the TensorProto's field, and where they are."""

    field: int
    start: int
    stop: int


def find(message: bytes, tensors: int) -> dict[str, Span]:
    """The values of tensors that say them once, in one piece.

    Whatever bytes of the same number stand in place of a span, the message has the same structure.

    Args:
        message: The bytes of a message that parses.
        tensors: The number of its field `map<string, TensorProto>`.

    Returns:
        By alias. A tensor that has no values, or in several pieces, or that is sent twice is left out. None of any in a
        message of very many fields.
    """
    spans: dict[str, Span] = {}
    seen: set[str] = set()
    try:
        for number, kind, start, stop in _fields(message, 0, len(message)):
            if (number, kind) != (tensors, _LENGTH_DELIMITED):
                continue
            alias, span = _read_entry(message, start, stop)
            if span is not None and alias not in seen:
                spans[alias] = span
            elif alias in seen:
                spans.pop(alias, None)
            seen.add(alias)
    except (KeyError, IndexError, UnicodeDecodeError):
        # A group, which is skipped when it is parsed, too many fields, or something that does not parse.
        return {}
    return spans


def _read_entry(message: bytes, start: int, stop: int) -> tuple[str, Span | None]:
    keys, values = [], []
    for number, kind, begin, end in _fields(message, start, stop):
        if kind == _LENGTH_DELIMITED and number == _KEY:
            keys.append(message[begin:end].decode())
        elif kind == _LENGTH_DELIMITED and number == _VALUE:
            values.append((begin, end))
    alias = keys[-1] if keys else ""
    return alias, _read_tensor(message, *values[0]) if len(values) == 1 else None


def _read_tensor(message: bytes, start: int, stop: int) -> Span | None:
    span = None
    for number, kind, begin, end in _fields(message, start, stop):
        if number < _FIRST_VALUE_FIELD:
            continue
        if span is not None or kind != _LENGTH_DELIMITED:
            # No look at the rest: strings are a field each.
            return None
        span = Span(number, begin, end)
    return span


def _fields(message: bytes, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and where the content is."""
    fields = 0
    while start < stop:
        fields += 1
        if fields > _MOST_FIELDS:
            raise IndexError(f"more than {_MOST_FIELDS} fields")
        key, start = _read_varint(message, start)
        kind = key & 7
        if kind == _LENGTH_DELIMITED:
            size, start = _read_varint(message, start)
        elif kind == _VARINT:
            size = _read_varint(message, start)[1] - start
        else:
            size = _FIXED_SIZES[kind]
        yield key >> 3, kind, start, start + size
        start += size


def _read_varint(message: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
