"""Messages that differ in the values of their tensors only: where these lie, and the bytes that all have in common.

Pure: bytes in, bytes out. It must not know what a message is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

Buffer: TypeAlias = Any
"""Contiguous bytes of any kind: bytes, or an ndarray in C order."""

_VARINT: Final = 0
_LENGTH_DELIMITED: Final = 2
_FIXED_SIZES: Final = {1: 8, 5: 4}
# The fields of an entry of a map of tensors.
_KEY, _VALUE = 1, 2
# In a TensorProto, the fields before this one are dtype, shape and version.
_FIRST_VALUE_FIELD: Final = 4
# To read a message of more fields takes longer than a pattern saves.
_MOST_FIELDS: Final = 1000


class MessagePattern:
    """The fixed bytes of a message around its holes. Safe to share between threads.

    Attributes:
        size: The bytes of a message.
        fixed: How many of these are the same in each.
    """

    __slots__ = ("_head", "_rest", "fixed", "size")

    def __init__(self, message: bytes, holes: Iterable[tuple[int, int]]) -> None:
        """The pattern of messages like this one.

        Args:
            message: One of them.
            holes: The start and stop of each part in which they differ, in order.
        """
        edges = [0, *(edge for hole in holes for edge in hole), len(message)]
        pieces = [(start, message[start:stop]) for start, stop in list(pairwise(edges))[::2]]
        self.size = len(message)
        self.fixed = sum(len(piece) for _, piece in pieces)
        self._head = pieces[0][1]
        self._rest = tuple(pieces[1:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MessagePattern) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[object, ...]:
        return self.size, self._head, self._rest

    def fits(self, message: bytes) -> bool:
        """Whether a message differs from the pattern's in the holes only."""
        if len(message) != self.size or not message.startswith(self._head):
            return False
        # A loop, since a generator takes longer than the comparison.
        for start, piece in self._rest:  # noqa: SIM110
            if not message.startswith(piece, start):
                return False
        return True

    def fill(self, contents: Sequence[Buffer]) -> bytes:
        """The message with these contents of its holes, each as long as the hole.

        Raises:
            TypeError: if one is not contiguous.
        """
        parts = [self._head]
        for content, (_, piece) in zip(contents, self._rest, strict=True):
            parts += (content, piece)
        return b"".join(parts)


class ValueSpan(NamedTuple):
    """The bytes that hold all values of a tensor: the number of the TensorProto's field, and where they are."""

    field: int
    start: int
    stop: int


def find_value_spans(message: bytes, tensors: int) -> dict[str, ValueSpan]:
    """The values of those tensors that have them once, in one piece.

    Replacing a span by equally many bytes never changes the message's structure.

    Args:
        message: The bytes of a message that parses.
        tensors: The number of its field `map<string, TensorProto>`.

    Returns:
        By alias. A tensor that has no values, or in several pieces, or that is sent twice is left out. In a message of
        more than _MOST_FIELDS fields, all are.
    """
    spans: dict[str, ValueSpan] = {}
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
        # A group (a parser skips it; this one does not know its end), too many fields, or bytes that do not parse.
        return {}
    return spans


def _read_entry(message: bytes, start: int, stop: int) -> tuple[str, ValueSpan | None]:
    keys, values = [], []
    for number, kind, begin, end in _fields(message, start, stop):
        if kind == _LENGTH_DELIMITED and number == _KEY:
            keys.append(message[begin:end].decode())
        elif kind == _LENGTH_DELIMITED and number == _VALUE:
            values.append((begin, end))
    alias = keys[-1] if keys else ""
    return alias, _read_tensor(message, *values[0]) if len(values) == 1 else None


def _read_tensor(message: bytes, start: int, stop: int) -> ValueSpan | None:
    span = None
    for number, kind, begin, end in _fields(message, start, stop):
        if number < _FIRST_VALUE_FIELD:
            continue
        if span is not None or kind != _LENGTH_DELIMITED:
            # At the second field with values: a tensor of strings has a field for each, and may have millions.
            return None
        span = ValueSpan(number, begin, end)
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
