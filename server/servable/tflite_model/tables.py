"""Reads tables of a FlatBuffer by the numbers of their fields, of bytes that nobody has verified.

Bytes that lead out of the buffer raise `Damaged`; nothing else can happen but a wrong value. So whoever reads numbers
checks them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from flatbuffers import flexbuffers
from flatbuffers.table import Table as FlatTable

# The first entries of a vtable are its own size and the table's.
_FIRST_FIELD: Final = 4
_FIELD_BYTES: Final = 2
_OFFSET_BYTES: Final = 4
# A file of some bytes may claim a vector of billions of tables, all at one place.
_MOST_TABLES: Final = 1_000_000
_READING_ERRORS: Final = (struct.error, IndexError, ValueError, TypeError, OverflowError)


class Damaged(ValueError):
    """The bytes are no such FlatBuffer."""


class Table:
    """One table. Fields are named by their number in the schema; one that is not stored has its default."""

    def __init__(self, data: bytes, position: int) -> None:
        if not 0 <= position < len(data):
            raise Damaged(f"byte {position} of {len(data)}")
        self._data, self._table = data, FlatTable(data, position)

    def integer(self, field: int, layout: str, default: int = 0) -> int:
        """A number; `layout` is its struct format."""
        start = self._start(field)
        return default if start is None else int(self._unpack(layout, start))

    def integers(self, field: int) -> tuple[int, ...]:
        """A vector of int32."""
        found = self._vector(field)
        if found is None:
            return ()
        return tuple(np.frombuffer(self._slice(*found, _OFFSET_BYTES), "<i4").tolist())

    def has_items(self, field: int) -> bool:
        """Whether a vector is stored and not empty. It is not read."""
        found = self._vector(field)
        return found is not None and found[1] > 0

    def content(self, field: int) -> bytes:
        """A vector of bytes, or a string."""
        found = self._vector(field)
        return b"" if found is None else self._slice(*found, 1)

    def text(self, field: int) -> str:
        """A string; what is no UTF-8 becomes U+FFFD, since protobuf holds nothing else."""
        return self.content(field).decode(errors="replace")

    def tables(self, field: int) -> Iterator[Table]:
        """A vector of tables."""
        found = self._vector(field)
        if found is None:
            return
        start, count = found
        if count > min(_MOST_TABLES, len(self._data)):
            raise Damaged(f"a vector of {count} tables")
        for position in range(start, start + count * _OFFSET_BYTES, _OFFSET_BYTES):
            yield Table(self._data, position + self._unpack("<I", position))

    def _start(self, field: int) -> int | None:
        """Where a field is stored; None if it is not."""
        try:
            offset = self._table.Offset(_FIRST_FIELD + _FIELD_BYTES * field)
        except _READING_ERRORS as error:
            raise Damaged(str(error)) from error
        return self._table.Pos + offset if offset else None

    def _vector(self, field: int) -> tuple[int, int] | None:
        """Where the items of a vector begin, and their number."""
        start = self._start(field)
        if start is None:
            return None
        start += self._unpack("<I", start)
        return start + _OFFSET_BYTES, self._unpack("<I", start)

    def _unpack(self, layout: str, position: int) -> int:
        if not 0 <= position < len(self._data):
            raise Damaged(f"byte {position} of {len(self._data)}")
        try:
            value: int = struct.unpack_from(layout, self._data, position)[0]
        except struct.error as error:
            raise Damaged(str(error)) from error
        return value

    def _slice(self, start: int, count: int, item_bytes: int) -> bytes:
        end = start + count * item_bytes
        if end > len(self._data):
            raise Damaged(f"byte {end} of {len(self._data)}")
        return self._data[start:end]


def root(data: bytes, identifier: bytes) -> Table:
    """The root table of a FlatBuffer.

    Args:
        data: The file.
        identifier: The four bytes that name its schema.

    Raises:
        Damaged: if it has another identifier.
    """
    if len(data) < 8 or data[4:8] != identifier:
        raise Damaged(f"the file identifier is not {identifier!r}")
    return Table(data, struct.unpack_from("<I", data)[0])


def read_map(data: bytes) -> dict[str, bytes]:
    """The strings of a FlexBuffer that is a map of them, as bytes by key.

    Raises:
        Damaged: if it is none.
    """
    try:
        entries = flexbuffers.GetRoot(bytearray(data)).AsMap
        keys, values = entries.Keys, entries.Values
        if len(keys) > len(data):
            raise Damaged(f"a map of {len(keys)} keys")
        return {keys[number].AsKey: _string(values[number]) for number in range(len(keys))}
    except _READING_ERRORS as error:
        raise Damaged(str(error)) from error


def _string(value: Any) -> bytes:
    return bytes(value.AsStringBytes if value.IsString else value.AsBlob)
