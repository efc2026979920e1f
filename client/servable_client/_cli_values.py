"""Inputs read from the words of a command (JSON, files of NumPy, standard input) or made of zeros; replies as text."""

from __future__ import annotations

import base64
import binascii
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from servable_client import _dtypes
from servable_client.errors import InputError
from servable_client.signatures import ModelMetadata, TensorSpec

# JSON never starts like this, so that what does is a name.
_NAMED = re.compile(r"([A-Za-z_][\w./:-]*)=(.*)", re.DOTALL)
_GAP = "  "
# JSON has no complex numbers, and the standard library does not know NumPy's scalars.
_PLAIN_KINDS = "biufO"


def read_inputs(words: Sequence[str]) -> Any:
    """What `Client.predict` takes: a dict of inputs by name, or the one value without a name.

    Raises:
        InputError: if a word is no input, or a name comes twice.
        OSError: if a file cannot be read.
    """
    named: dict[str, Any] = {}
    for word in words:
        found = _NAMED.fullmatch(word)
        value = _read_value(found[1], found[2]) if found else _read_value("", word)
        if found:
            value = {found[1]: value}
        elif not isinstance(value, dict):
            if len(words) > 1:
                raise InputError(f"{_cut(word)} has no name, and there are {len(words)} inputs: use NAME=...")
            return value
        for name in value.keys() & named.keys():
            raise InputError(f"input {name!r} is given twice", input=name)
        named.update(value)
    return named


def fill_with_zeros(inputs: Mapping[str, Any], metadata: ModelMetadata, name: str, batch: int) -> dict[str, Any]:
    """All inputs of a signature: those that are given, and zeros or empty strings in the shapes of the others.

    Args:
        inputs: The inputs that are given, by name.
        metadata: What the model takes.
        name: The signature.
        batch: The size where a shape leaves one open.

    Raises:
        InputError: if there is no such signature, or if an input has no known rank or a dtype that no array can have.
        DtypeUnavailable: if a dtype needs ml_dtypes.
    """
    signature = metadata.signatures.get(name)
    if signature is None:
        has = ", ".join(metadata.signatures) or "none"
        raise InputError(f"model {metadata.model!r} has no signature {name!r}; it has: {has}")
    missing = [spec for spec in signature.inputs.values() if spec.name not in inputs]
    return {**inputs, **{spec.name: _make_zeros(spec, batch) for spec in missing}}


def _make_zeros(spec: TensorSpec, batch: int) -> Any:
    if spec.shape is None:
        raise InputError(f"input {spec.name!r} has no known rank: pass {spec.name}=...", input=spec.name)
    if spec.dtype not in _dtypes.BY_NAME:
        raise InputError(f"input {spec.name!r} is of {spec.dtype}, which no array can have", input=spec.name)
    shape = [batch if size is None else size for size in spec.shape]
    return np.full(shape, b"", object) if spec.dtype == "string" else np.zeros(shape, spec.numpy)


def _read_value(name: str, word: str) -> Any:
    if word in {"-", "@-"}:
        return _parse(name, sys.stdin.read(), "standard input")
    if not word.startswith("@"):
        return _parse(name, word, _cut(word))
    path = Path(word[1:])
    read = _READERS.get(path.suffix)
    if read is None:
        raise InputError(f"{_subject(name)}: {path}: expected a file that ends in {', '.join(_READERS)}")
    return read(name, path)


def _read_npy(name: str, path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"{_subject(name)}: {path} is no array: {error}") from None


def _read_npz(name: str, path: Path) -> Any:
    if name:
        raise InputError(f"input {name!r}: {path} has arrays by name: pass it as @{path}, or one of them as .npy")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} holds no arrays by name: {error}") from None


def _read_json(name: str, path: Path) -> Any:
    try:
        return _parse(name, path.read_text(encoding="utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{_subject(name)}: {path} is no JSON: {error}") from None


_READERS = {".npy": _read_npy, ".npz": _read_npz, ".json": _read_json}


def _parse(name: str, text: str, what: str) -> Any:
    try:
        value = json.loads(text, object_hook=_read_object)
    except json.JSONDecodeError as error:
        hint = "" if error.pos else "; a string needs its quotes: '\"text\"'"
        raise InputError(f"{_subject(name)}: {what} is no JSON: {error}{hint}", input=name or None) from None
    except RecursionError:
        raise InputError(f"{_subject(name)}: {what} is nested too deeply", input=name or None) from None
    if name and isinstance(value, dict):
        raise InputError(f'input {name!r}: expected a value or a list, got a JSON object that is not {{"b64": ...}}')
    return value


def _read_object(value: dict[str, Any]) -> Any:
    """Bytes in the way of TensorFlow Serving's REST API: an object whose only key is b64."""
    if value.keys() != {"b64"}:
        return value
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise InputError(f"a b64 value is no base64: {error}") from None


def _subject(name: str) -> str:
    return f"input {name!r}" if name else "the input"


def _cut(word: str) -> str:
    return repr(word if len(word) <= 40 else f"{word[:37]}...")


def as_json(value: Any) -> str:
    """A value as JSON on one line; bytes that are no text as `{"b64": ...}`."""
    return json.dumps(value, default=_plain)


def array_value(array: np.ndarray[Any, Any]) -> Any:
    """An array as nested lists of what JSON has; complex numbers as pairs."""
    if array.dtype == object:
        return np.frompyfunc(_text_or_b64, 1, 1)(array).tolist() if array.ndim else _text_or_b64(array.item())
    if array.dtype.kind == "c":
        return np.stack([array.real, array.imag], -1).tolist()
    return (array if array.dtype.kind in _PLAIN_KINDS else array.astype(np.float64)).tolist()


def _text_or_b64(value: bytes) -> Any:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _plain(value: Any) -> Any:
    return _text_or_b64(value) if isinstance(value, bytes) else float(value)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they must be; the last one is cut at the terminal's edge."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head) - 1)]
    last_width = shutil.get_terminal_size((120, 24)).columns - sum(width + len(_GAP) for width in widths)
    return "\n".join(_line(line, widths, max(last_width, 20)) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], last_width: int) -> str:
    last = cells[-1] if len(cells[-1]) <= last_width else cells[-1][: last_width - 3] + "..."
    padded = [cell.ljust(width) for cell, width in zip(cells[:-1], widths, strict=True)]
    return _GAP.join([*padded, last]).rstrip()


def array_text(array: np.ndarray[Any, Any]) -> str:
    """The values of an array on one line, the first ones only if there are many."""
    if array.dtype == object:
        return as_json(array_value(array if array.size <= 100 else array.ravel()[:100]))
    text = np.array2string(array, separator=", ", threshold=100, edgeitems=3, max_line_width=1 << 20)
    return " ".join(text.split())
