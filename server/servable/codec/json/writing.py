"""Replies of the REST API: predictions, classifications, regressions and errors.

Source of the behaviour: TensorFlow Serving, util/json_tensor.cc. Numbers are written as it writes them (see
`float_text`), strings as they are, even if they are no UTF-8, or as base64 where an output's name ends in `_bytes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from servable import wire
from servable.codec.json import arrays
from servable.codec.json.arrays import Style, line, quote
from servable.codec.json.layout import Layout
from servable.codec.json.pieces import Array
from servable.errors import InvalidArgument, ResourceExhausted

# As many as a message over gRPC may have.
_MOST_REPLY_BYTES: Final = 2**31 - 1
# Messages quote names and strings of the request, which may be as long as a body.
_MOST_MESSAGE_BYTES: Final = 16_384
_BYTES_SUFFIX: Final = "_bytes"
# Never part of a text: it would be escaped.
_ROW_END: Final = "\0"


class Output(NamedTuple):
    """One output of a model: its name, its array (strings as bytes) and its tensorflow.DataType."""

    alias: str
    array: Array
    dtype: int


def write_predictions(outputs: Sequence[tuple[str, Array, int]], layout: Layout) -> bytes:
    """The reply to a Predict request.

    Args:
        outputs: Name, array and tensorflow.DataType of each.
        layout: That of the request.

    Raises:
        InvalidArgument: if there are no outputs, if rows are wanted and there are not equally many of each output, or
            for a dtype that the original does not write.
        ResourceExhausted: if the reply would be too large.
    """
    if not outputs:
        raise InvalidArgument("Cannot convert empty tensor map to JSON")
    named = [Output(*output) for output in outputs]
    if layout is Layout.ROW:
        _check_rows(named)
        return _join(_document("predictions", _rows(named)))
    return _join(_document("outputs", _columns(named)))


def write_classifications(classes: Array | None, scores: Array | None) -> bytes:
    """The reply to a Classify request.

    Args:
        classes: Labels (bytes), [examples, classes]; None for empty ones. Not both may be None.
        scores: float32, of the same shape; None for zeros.
    """
    shape = next(each.shape for each in (classes, scores) if each is not None)
    labels = np.full(shape, b"", object) if classes is None else classes
    values = np.zeros(shape, np.float32) if scores is None else scores
    return _join(_document("results", _classifications(labels, values)))


def write_regressions(values: Array) -> bytes:
    """The reply to a Regress request: float32, one for each example."""
    return _join(_document("results", arrays.write(values, wire.DT_FLOAT, arrays.one_line(1, 1))))


def write_error(message: bytes) -> bytes:
    """The body of a reply with an error. The message need not be UTF-8; of a very long one the end is cut off."""
    return _join(_document("error", [quote(message[:_MOST_MESSAGE_BYTES])]))


def _classifications(labels: Array, scores: Array) -> Iterator[str]:
    before = "["
    for each_labels, each_scores in zip(labels, scores, strict=True):
        pairs = zip(_texts(each_labels, wire.DT_STRING), _texts(each_scores, wire.DT_FLOAT), strict=True)
        yield f"{before}[{', '.join(f'[{label}, {score}]' for label, score in pairs)}]"
        before = ", "
    yield line(1) + "]"


def _texts(values: Array, dtype: int) -> Sequence[str]:
    """The text of each value."""
    return _write_rows(Output("", values, dtype), 1) if values.size else ()


def _document(key: str, value: Iterable[str]) -> Iterator[str]:
    yield f'{{{line(1)}"{key}": '
    yield from value
    yield "\n}"


def _join(parts: Iterable[str]) -> bytes:
    encoded, size_bytes = [], 0
    for part in parts:
        encoded.append(part.encode("latin-1"))
        size_bytes += len(part)
        if size_bytes > _MOST_REPLY_BYTES:
            raise ResourceExhausted(f"The reply takes more than {_MOST_REPLY_BYTES} bytes")
    return b"".join(encoded)


def _columns(outputs: Sequence[Output]) -> Iterator[str]:
    if len(outputs) == 1:
        yield from _write_column(outputs[0], 1)
        return
    before = "{"
    for output in outputs:
        yield f"{before}{line(2)}{_key(output)}"
        yield from _write_column(output, 2)
        before = ","
    yield line(1) + "}"


def _write_column(output: Output, level: int) -> Iterator[str]:
    return _write(output, arrays.by_lines(output.array.ndim, level))


def _check_rows(outputs: Sequence[Output]) -> None:
    count = None
    for alias, array, _ in outputs:
        if not array.ndim:
            raise InvalidArgument(f"Tensor name: {alias} has no shape information ")
        if count is not None and count != len(array):
            raise InvalidArgument(f"Tensor name: {alias} has inconsistent batch size: {len(array)} expecting: {count}")
        count = len(array)


def _rows(outputs: Sequence[Output]) -> Iterable[str]:
    if not len(outputs[0].array):
        return ["[]"]
    if len(outputs) == 1:
        style = arrays.one_line(outputs[0].array.ndim, 1)
        return _write(outputs[0], style._replace(closes=[line(1) + "]", *style.closes[1:]]))
    return _objects(outputs)


def _objects(outputs: Sequence[Output]) -> Iterator[str]:
    members = [[_key(output) + row for row in _write_rows(output, 3)] for output in outputs]
    before = "["
    for row in zip(*members, strict=True):
        yield f"{before}{line(2)}{{{line(3)}{(',' + line(3)).join(row)}{line(2)}}}"
        before = ","
    yield line(1) + "]"


def _write_rows(output: Output, level: int) -> Sequence[str]:
    """The text of each row."""
    rows = arrays.one_line(output.array.ndim - 1, level)
    style = Style(["", *rows.opens], [_ROW_END, *rows.separators], ["", *rows.closes], rows.level)
    return "".join(_write(output, style)).split(_ROW_END)


def _write(output: Output, style: Style) -> Iterator[str]:
    return arrays.write(output.array, output.dtype, style, as_base64=output.alias.endswith(_BYTES_SUFFIX))


def _key(output: Output) -> str:
    return quote(output.alias.encode(errors="surrogateescape")) + ": "
