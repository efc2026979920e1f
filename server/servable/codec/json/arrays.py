"""An array as JSON text: its values, and the brackets and white space between them.

A text is made in blocks of a few thousand values, each by one `%` of a format that holds the brackets too. So no value
becomes an object of its own, and other threads get the interpreter between blocks. Texts are of characters up to
U+00FF, one for each byte of the reply, since a string tensor may hold bytes that are no UTF-8.

Source of the behaviour: TensorFlow Serving, util/json_tensor.cc, and RapidJSON's PrettyWriter.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from operator import mul
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from servable import wire
from servable.codec import dtypes
from servable.codec.json import float_text
from servable.codec.json.pieces import Array, Pieces
from servable.errors import InvalidArgument

INDENT: Final = "    "
# One `%` of so many values holds the interpreter for some 2 ms.
_BLOCK_VALUES: Final = 4096
# Below this number of values NumPy's calls take longer than a plain loop.
_FEW_VALUES: Final = 64
_INTEGERS: Final = frozenset(
    {wire.DT_INT8, wire.DT_INT16, wire.DT_INT32, wire.DT_INT64, wire.DT_UINT8, wire.DT_UINT32, wire.DT_UINT64}
)
_ESCAPED: Final = re.compile(r'[\x00-\x1f"\\]')
_ESCAPES: Final = str.maketrans(
    {
        **{chr(code): f"\\u{code:04X}" for code in range(0x20)},
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        '"': '\\"',
        "\\": "\\\\",
    }
)


class Style(NamedTuple):
    """How the lists of an array are written, those of one axis alike.

    Attributes:
        opens: What begins a list, by axis.
        separators: What stands between its elements, by axis.
        closes: What ends a list, by axis.
        level: How deep the array's elements are in the document; the members of an object there are one deeper.
    """

    opens: Sequence[str]
    separators: Sequence[str]
    closes: Sequence[str]
    level: int


def one_line(rank: int, level: int) -> Style:
    """Lists on one line.

    Args:
        rank: Of the array.
        level: How deep the array itself is in the document.
    """
    return Style(["["] * rank, [", "] * rank, ["]"] * rank, level + rank)


def by_lines(rank: int, level: int) -> Style:
    """Each element on a line of its own. The arguments are those of `one_line`."""
    inner = [line(level + axis + 1) for axis in range(rank)]
    return Style(
        ["[" + start for start in inner],
        ["," + start for start in inner],
        [line(level + axis) + "]" for axis in range(rank)],
        level + rank,
    )


def line(level: int) -> str:
    """A new line, indented."""
    return "\n" + INDENT * level


def quote(text: bytes) -> str:
    """A JSON string of these bytes, which need not be UTF-8."""
    return f'"{_escape(text)}"'


def write(array: Array, dtype: int, style: Style, *, as_base64: bool = False) -> Iterator[str]:
    """The parts of an array's text.

    Args:
        array: Of any shape. Strings are objects (bytes).
        dtype: Its tensorflow.DataType.
        style: How to write its lists.
        as_base64: Whether to write strings as objects with their base64.

    Raises:
        InvalidArgument: for values of a dtype that the original does not write.
    """
    if array.size == 0:
        # The lists without elements are the values.
        shape = array.shape[: array.shape.index(0)]
        yield from _write_values(shape, style, _write_empty_lists)
        return
    flat = array.ravel()
    read = _reader(dtype, style.level, as_base64=as_base64)
    yield from _write_values(array.shape, style, lambda start, stop: read(flat[start:stop]))


_ReadBlock: TypeAlias = "Callable[[int, int], Pieces]"


def _write_values(shape: Sequence[int], style: Style, read: _ReadBlock) -> Iterator[str]:
    count, rank = math.prod(shape), len(shape)
    yield "".join(style.opens[:rank]) if count else ""
    if not count:
        return
    joints = _joints(rank, style)
    if count < _FEW_VALUES:
        formats, codes, values = read(0, count)
        endings = _list_endings(shape)
        pieces = [joints[ending] + formats[code] for ending, code in zip(endings, codes.tolist(), strict=True)]
        yield "".join(pieces) % tuple(values)
        yield "".join(reversed(style.closes[:rank]))
        return
    for start in range(0, count, _BLOCK_VALUES):
        stop = min(start + _BLOCK_VALUES, count)
        formats, codes, values = read(start, stop)
        pieces = [joint + each for joint in joints for each in formats]
        indices = _axes_that_end_before(shape, start, stop) * len(formats) + codes
        yield "".join(map(pieces.__getitem__, indices.tolist())) % tuple(values)
    yield "".join(reversed(style.closes[:rank]))


def _joints(rank: int, style: Style) -> Sequence[str]:
    """What stands before a value by the number of lists that end there; the last is for the first value of all."""

    def joint(ending: int) -> str:
        axis = rank - ending
        return "".join(reversed(style.closes[axis:rank])) + style.separators[axis - 1] + "".join(style.opens[axis:rank])

    return [*map(joint, range(rank)), ""]


def _list_endings(shape: Sequence[int]) -> list[int]:
    """As _axes_that_end_before, for all values of a small array; a loop, which then takes less time than NumPy."""
    sizes = list(accumulate(reversed(shape), mul))[:-1]
    inner = [sum(index % size == 0 for size in sizes) for index in range(1, math.prod(shape))]
    return [len(shape), *inner]


def _axes_that_end_before(shape: Sequence[int], start: int, stop: int) -> Array:
    """For each value the number of lists that end before it; that of the first value of all is the rank."""
    indices = np.arange(start, stop)
    ending, size = np.zeros(stop - start, np.intp), 1
    for length in reversed(shape):
        size *= length
        ending += indices % size == 0
    if start == 0:
        ending[0] = len(shape)
    return ending


def _write_empty_lists(start: int, stop: int) -> Pieces:
    return Pieces(("[]",), np.zeros(stop - start, np.intp), ())


def _reader(dtype: int, level: int, *, as_base64: bool) -> Callable[[Array], Pieces]:
    """What makes pieces of some values."""
    if dtype in {wire.DT_FLOAT, wire.DT_DOUBLE}:
        return _read_floats
    if dtype in _INTEGERS:
        return lambda values: _alike("%d", values.tolist())
    if dtype == wire.DT_BOOL:
        return lambda values: Pieces(("%.0sfalse", "%.0strue"), values.astype(np.intp), values.tolist())
    if dtype == wire.DT_STRING and as_base64:
        form = f'{{{line(level + 1)}"b64": "%s"{line(level)}}}'
        return lambda values: _alike(form, [base64.b64encode(each).decode() for each in values.tolist()])
    if dtype == wire.DT_STRING:
        return lambda values: _alike('"%s"', [_escape(each) for each in values.tolist()])
    raise InvalidArgument(f"Failed to write JSON value for tensor type: {_short_name(dtype)}")


def _read_floats(values: Array) -> Pieces:
    if len(values) >= float_text.FEW_VALUES:
        return float_text.choose_formats(values)
    is_single = values.dtype == np.float32
    return _alike("%s", [float_text.write(value, is_single) for value in values.tolist()])


def _alike(form: str, values: Sequence[object]) -> Pieces:
    return Pieces((form,), np.zeros(len(values), np.intp), values)


def _escape(text: bytes) -> str:
    characters = text.decode("latin-1")
    return characters.translate(_ESCAPES) if _ESCAPED.search(characters) else characters


def _short_name(dtype: int) -> str:
    known = dtypes.BY_NUMBER.get(dtype) or dtypes.OPAQUE.get(dtype)
    return dtypes.name_of(dtype) if known is None else known.name
