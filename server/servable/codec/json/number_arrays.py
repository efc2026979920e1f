"""Large arrays of numbers, read by pysimdjson where it is installed: several times as fast as Python's json.

`extract` takes such arrays out of a body and leaves a marker in the place of each, so that what is left is small and is
read as any other body. It is sound by this: an array that is taken out is whole JSON by itself, since pysimdjson has
read it; and its marker, a string in quotes, is read as a string only where a string may stand. Had the array been part
of a string, the marker's quotes would break that string, and the rest would be no JSON. What the caller must see to is
that it finds each array once: a marker that is a name, or where no array is looked for, would pass for a string.

What this module does not take (`NotTaken`) is read again as any other body; so it tells no errors.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from servable import wire

simdjson: Any
try:
    import simdjson
except ImportError:  # The extra `servable[simdjson]`, or no build for this machine.
    simdjson = None

Array = np.ndarray[Any, Any]

MOST_RANK: Final = 64 if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else 32
"""The most dimensions that NumPy has."""

LEAST_BYTES: Final = 512
"""A shorter array is read by Python's json."""
_MARKER: Final = b"\\u0001array"
_MARKER_TEXT: Final = "\x01array"
_SPACE: Final = b" \t\r\n"
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[],"))
# What simdjson converts to, and the range that the original accepts; it wraps the small ones around.
_INT32: Final = (-(2**31), 2**31 - 1)
_CONVERSIONS: Final[dict[int, tuple[str, tuple[int, int] | None, type[np.generic]]]] = {
    wire.DT_FLOAT: ("d", None, np.float32),
    wire.DT_DOUBLE: ("d", None, np.float64),
    wire.DT_INT8: ("i", _INT32, np.int8),
    wire.DT_UINT8: ("i", _INT32, np.uint8),
    wire.DT_INT16: ("i", _INT32, np.int16),
    wire.DT_INT32: ("i", _INT32, np.int32),
    wire.DT_INT64: ("i", None, np.int64),
    wire.DT_UINT32: ("u", (0, 2**32 - 1), np.uint32),
    wire.DT_UINT64: ("u", None, np.uint64),
}
# Every integer below is a double.
_EXACT: Final = 2.0**53
_NO_INTEGER: Final = (b".", b"e", b"E")
_MOST_LEVELS: Final = 8
"""The shape is found in a pass over all brackets for each level, so deeper arrays are for another reader."""
# One a thread. It keeps memory for the largest text that it has read.
_parsers = threading.local()
# pysimdjson holds the interpreter while it reads, for some half a millisecond for so many bytes.
_CHUNK_BYTES: Final = 64 * 1024
# More white space beside a cut is for another reader.
_MOST_SPACE: Final = 64


class NotTaken(Exception):
    """An array that another reader must read, or refuse."""


def is_available() -> bool:
    """Whether pysimdjson is installed."""
    return simdjson is not None


@dataclass(frozen=True, slots=True)
class NumberArray:
    """An array of numbers, regular or not.

    Attributes:
        text: From its first bracket to its last.
        doubles: All numbers in order.
    """

    text: bytes
    doubles: Array

    def read(self, dtype: int) -> Array:
        """The array, of the shape that the brackets say.

        Raises:
            NotTaken: if it is not regular, or if a value does not fit the dtype.
        """
        conversion = _CONVERSIONS.get(dtype)
        if conversion is None:
            raise NotTaken
        kind, limits, scalar = conversion
        values = self.doubles if kind == "d" else self._read_integers(kind)
        if limits is not None and values.size and not limits[0] <= values.min() <= values.max() <= limits[1]:
            raise NotTaken
        skeleton = self.text.translate(None, _NO_BRACKETS)
        self._let_others_run()
        shape = _read_shape(skeleton, values.size)
        self._let_others_run()
        with np.errstate(over="ignore"):  # A float that is too large is infinite, as in C++.
            return values.astype(scalar).reshape(shape)

    def _let_others_run(self) -> None:
        if len(self.text) > _CHUNK_BYTES:
            time.sleep(0)

    def _read_integers(self, kind: str) -> Array:
        are_integers = not any(mark in self.text for mark in _NO_INTEGER)
        least, most = self.doubles.min(), self.doubles.max()
        if are_integers and least > -_EXACT and most < _EXACT and (kind == "i" or least >= 0):
            return self.doubles.astype(np.int64)
        return _read_values(self.text, kind)


def extract(body: bytes) -> tuple[bytes, Sequence[NumberArray]]:
    """Take the large arrays of numbers out of a body.

    Returns:
        The rest of the body, with a marker for each (see `find_marked`), and the arrays; there may be none.
    """
    if simdjson is None or len(body) < LEAST_BYTES or _MARKER in body or _MARKER_TEXT.encode() in body:
        return body, ()
    rest: list[bytes] = []
    arrays: list[NumberArray] = []
    copied_to = 0
    for start, end in _find_candidates(body):
        text = body[start:end]
        try:
            doubles = _read_values(text, "d")
        except NotTaken:
            continue
        rest += [body[copied_to:start], b'"%b%d"' % (_MARKER, len(arrays))]
        arrays.append(NumberArray(text, doubles))
        copied_to = end
    rest.append(body[copied_to:])
    return b"".join(rest), arrays


def find_marked(text: object, arrays: Sequence[NumberArray]) -> NumberArray | None:
    """The array whose marker a string is; None if it is none."""
    if not arrays or not isinstance(text, str) or not text.startswith(_MARKER_TEXT):
        return None
    return arrays[int(text.removeprefix(_MARKER_TEXT))]


def _find_candidates(body: bytes) -> Iterator[tuple[int, int]]:
    """Spans from a bracket to the last bracket before a quote or a brace, if they are long."""
    # Where each mark is next; looked for again only once it has been passed, so that no byte is looked at twice.
    stops = dict.fromkeys((b'"', b"{", b"}"), -1)
    at = body.find(b"[")
    while at != -1:
        for mark, position in stops.items():
            if position < at:
                found = body.find(mark, at)
                stops[mark] = len(body) if found == -1 else found
        stop = min(stops.values())
        if stop - at >= LEAST_BYTES:
            end = body.rfind(b"]", at, stop) + 1
            if end:
                yield at, end
        at = body.find(b"[", stop)


def _read_values(text: bytes, kind: str) -> Array:
    """All numbers of an array, in order; at least one.

    A long text is read in chunks, and other threads get the interpreter in between.

    Raises:
        NotTaken: if it is no JSON, holds anything else, or a number that is not of this kind.
    """
    if len(text) <= _CHUNK_BYTES:
        return _read_chunk(text, kind)
    read = []
    for chunk in _split(text):
        read.append(_read_chunk(chunk, kind))
        time.sleep(0)
    return np.concatenate(read)


def _split(text: bytes) -> Iterator[bytes]:
    """Chunks of an array, cut at commas, each made an array by brackets for the lists that are open at its ends.

    The text is JSON if all chunks are: what is read before a comma, with the lists closed, and after it, with them
    opened, meet in the same lists. Two things could be hidden by the brackets that are added, and are looked for: a cut
    between a bracket and a comma, where an element is missing, and a list that was never open.

    Raises:
        NotTaken: if the text is no array, or a deep one.
    """
    at, depth = 0, 0
    while at < len(text):
        found = text.find(b",", at + _CHUNK_BYTES)
        end = len(text) if found == -1 else found
        opened = depth + text.count(b"[", at, end) - text.count(b"]", at, end)
        if (end == len(text)) != (opened == 0) or not 0 <= opened <= _MOST_LEVELS:
            raise NotTaken
        first, last = (
            text[at : at + _MOST_SPACE].lstrip(_SPACE)[:1],
            text[max(end - _MOST_SPACE, at) : end].rstrip(_SPACE),
        )
        if not first or not last or (at and first == b"]") or last.endswith(b"["):
            raise NotTaken
        yield b"".join((b"[" * depth, text[at:end], b"]" * opened))
        at, depth = end + 1, opened


def _read_chunk(text: bytes, kind: str) -> Array:
    parser = getattr(_parsers, "parser", None)
    if parser is None:
        parser = _parsers.parser = simdjson.Parser()
    try:
        # The document must be gone before its parser reads another, so nothing outlives this function but the copy.
        values = np.frombuffer(parser.parse(text).as_buffer(of_type=kind), {"d": "f8", "i": "i8", "u": "u8"}[kind])
    except (
        ValueError,
        TypeError,
        RuntimeError,
        OverflowError,
        AttributeError,
    ) as error:  # A lone number has no buffer.
        raise NotTaken from error
    if not values.size:
        raise NotTaken
    return values


def _read_shape(skeleton: bytes, count: int) -> tuple[int, ...]:
    """The shape of an array, by its brackets and commas alone.

    The extents are those of the first array of each level; the array is regular exactly if all its brackets and commas
    are those of that shape.
    """
    rank = len(skeleton) - len(skeleton.lstrip(b"["))
    if rank > _MOST_LEVELS:
        raise NotTaken
    shape: list[int] = []
    block = b""
    for level in range(1, rank + 1):
        # The first block of this level begins after the brackets of the outer ones and ends with so many brackets.
        length = skeleton.find(b"]" * level) + level - (rank - level)
        # Each item takes its own length and a comma, of which the last one has none, and two brackets are around them.
        extent, left_over = divmod(length - 1, len(block) + 1)
        if extent < 1 or left_over:
            raise NotTaken
        block = b"[" + (b"," * (extent - 1) if level == 1 else b",".join([block] * extent)) + b"]"
        shape.append(extent)
    if block != skeleton or np.prod(shape, dtype=object) != count:
        raise NotTaken
    return tuple(reversed(shape))
