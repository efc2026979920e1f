"""Replies as tables and as JSON."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

_GAP = "  "
# JSON has no complex numbers, and the standard library does not know NumPy's scalars.
_PLAIN_KINDS = "biufO"


def as_json(value: Any) -> str:
    """A value as JSON on one line; bytes that are no text as `{"b64": ...}`."""
    return json.dumps(value, default=_plain)


def array_value(array: np.ndarray[Any, Any]) -> Any:
    """An array as nested lists of what JSON has; complex numbers as pairs."""
    if array.dtype == object:
        return np.frompyfunc(_text, 1, 1)(array).tolist() if array.ndim else _text(array.item())
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], -1).tolist()
    return (array if array.dtype.kind in _PLAIN_KINDS else array.astype(np.float64)).tolist()


def _text(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _plain(value: Any) -> Any:
    return _text(value) if isinstance(value, bytes) else float(value)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they must be; the last one is cut at the terminal's edge."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    room = shutil.get_terminal_size((120, 24)).columns - sum(width + len(_GAP) for width in widths)
    return "\n".join(_line(line, widths, max(room, 20)) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], room: int) -> str:
    last = cells[-1] if len(cells[-1]) <= room else cells[-1][: room - 3] + "..."
    padded = [cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=True)]
    return _GAP.join([*padded, last]).rstrip()


def array_text(array: np.ndarray[Any, Any]) -> str:
    """The values of an array on one line, the first ones only if there are many."""
    if array.dtype == object:
        return as_json(array_value(array if array.size <= 100 else array.ravel()[:100]))
    text = np.array2string(array, separator=", ", threshold=100, edgeitems=3, max_line_width=1 << 20)
    return " ".join(text.split())
