"""What users give (arrays, numbers, lists, str, bytes) as values of a dtype, or an InputError that says why not.

Knows NumPy and the dtype table; it must not know messages, signatures or gRPC.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from servable_client import _dtypes
from servable_client._dtypes import STRING, Dtype
from servable_client.errors import InputError

# Only widening is allowed: bool to int to float to complex; nothing becomes a string or stops being one.
_WIDTH = {"bool": 0, "int": 1, "float": 2, "complex": 3}
_FLOAT32 = _dtypes.BY_NAME["float32"]


class Converted(NamedTuple):
    """Values of a dtype: an array of its NumPy dtype, or for strings a flat list of bytes in row-major order."""

    dtype: Dtype
    shape: tuple[int, ...]
    array: np.ndarray[Any, Any]
    strings: list[bytes]


def convert(name: str, value: Any, wanted: Dtype | None) -> Converted:
    """The values that an input should be sent as.

    Args:
        name: The input's name, for errors.
        value: An array or anything NumPy takes for one, a number, str, bytes, or nested lists of these.
        wanted: The signature's dtype. None if it is not known: arrays then keep their dtype, lists and scalars
            of Python floats become float32 and of Python ints int64.

    Raises:
        InputError: if the value is ragged, no tensor, or not of a kind that can become the wanted dtype.
        DtypeUnavailable: if the dtype needs ml_dtypes.
    """
    array = value if isinstance(value, np.ndarray) else _read(name, value, wanted)
    if wanted is not None and array.dtype is wanted.stored and not wanted.is_string and not wanted.extension:
        return Converted(wanted, array.shape, array, [])
    source = STRING if array.dtype == object else _dtypes.of_numpy(array.dtype)
    if source is None:
        raise _refuse(name, value, wanted, "that is no dtype of TensorFlow")
    wanted = wanted or source
    if array.size and source.is_string and (wanted.is_string or array.dtype == object):
        strings = _encode_strings(name, array, value, wanted)
        return Converted(wanted, array.shape, array, strings)
    return Converted(wanted, array.shape, _change(name, array, source, wanted, value), [])


def _read(name: str, value: Any, wanted: Dtype | None) -> np.ndarray[Any, Any]:
    """An array of what is not one yet. Strings become objects: NumPy's own strings drop trailing zero bytes."""
    leaf = _first_leaf(value)
    textual = isinstance(leaf, (str, bytes)) or (wanted is not None and wanted.is_string)
    plain = isinstance(value, (list, tuple, str, bytes, bytearray))
    try:
        array = np.array(value, object) if textual and plain else np.asarray(value)
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        raise _refuse(name, value, wanted, f"NumPy makes no array of it: {error}") from None
    if array.dtype.kind in "US" and plain:
        raise _refuse(name, value, wanted, "it mixes strings with other values")
    if wanted is None and isinstance(leaf, (float, int, type(None))) and not isinstance(leaf, np.generic):
        return _default_dtype(name, array, value)
    return array


def _default_dtype(name: str, array: np.ndarray[Any, Any], value: Any) -> np.ndarray[Any, Any]:
    """Python numbers without a known dtype.

    A Python float says nothing about precision, and what models take is float32 nearly always (it is what
    tf.constant makes of it). Ints are int64 on every platform, as NumPy 2 has it.
    """
    if array.dtype == np.float64:
        return _cast(name, array, _FLOAT32, value)
    return array.astype(np.int64) if array.dtype == np.int32 else array


def _first_leaf(value: Any) -> Any:
    while isinstance(value, (list, tuple)):
        if not value:
            return None
        value = value[0]
    return value


def _encode_strings(name: str, array: Any, value: Any, wanted: Dtype) -> list[bytes]:
    flat: list[Any] = array.ravel().tolist()
    kinds = set(map(type, flat))
    if kinds <= {bytes}:
        strings = flat
    elif all(issubclass(kind, (str, bytes)) for kind in kinds):
        strings = _encode_utf8(name, flat, value, wanted)
    else:
        odd = next(kind for kind in kinds if not issubclass(kind, (str, bytes)))
        why = (
            "it is ragged" if issubclass(odd, (list, tuple, np.ndarray)) else f"it holds values of type {odd.__name__}"
        )
        raise _refuse(name, value, wanted, why)
    if not wanted.is_string:
        raise _refuse(name, value, wanted, "a string is no number")
    return strings


def _encode_utf8(name: str, flat: list[Any], value: Any, wanted: Dtype) -> list[bytes]:
    try:
        return [each.encode() if isinstance(each, str) else bytes(each) for each in flat]
    except UnicodeEncodeError as error:
        raise _refuse(name, value, wanted, f"a str is no Unicode text: {error}") from None


def _change(name: str, array: Any, source: Dtype, wanted: Dtype, value: Any) -> np.ndarray[Any, Any]:
    if array.size == 0:
        # No value, no loss: an empty list is of any dtype.
        return np.empty(array.shape, wanted.numpy)
    if source.is_string or wanted.is_string:
        raise _refuse(name, value, wanted, "a string is no number and a number no string")
    if _WIDTH[source.family] > _WIDTH[wanted.family]:
        raise _refuse(name, value, wanted, "the conversion would lose values; convert it yourself if that is meant")
    if source.family == wanted.family == "int":
        _check_range(name, array, wanted, value)
    return _cast(name, array, wanted, value)


def _cast(name: str, array: Any, wanted: Dtype, value: Any) -> np.ndarray[Any, Any]:
    try:
        with np.errstate(over="raise"):
            converted: np.ndarray[Any, Any] = array.astype(wanted.numpy, copy=False)
    except FloatingPointError:
        raise _refuse(name, value, wanted, "it holds a number that is too large") from None
    return converted


def _check_range(name: str, array: Any, wanted: Dtype, value: Any) -> None:
    if array.dtype == wanted.stored and not wanted.extension:
        return
    low, high = _limits(wanted)
    if array.dtype.name in {"int4", "uint4"}:
        array = array.astype(np.int16)
    if int(array.min()) < low or int(array.max()) > high:
        raise _refuse(name, value, wanted, f"it holds a number outside [{low}, {high}]")


def _limits(dtype: Dtype) -> tuple[int, int]:
    if dtype.name == "int4":
        return -8, 7
    if dtype.name == "uint4":
        return 0, 15
    info = np.iinfo(dtype.stored)
    return int(info.min), int(info.max)


def describe(value: Any) -> str:
    """What a value is, in words."""
    if isinstance(value, (np.ndarray, np.generic)):
        return f"{value.dtype} array of shape {value.shape}"
    if isinstance(value, (list, tuple)):
        leaf = _first_leaf(value)
        return f"{type(value).__name__} of {type(leaf).__name__}" if leaf is not None else f"{type(value).__name__}"
    return type(value).__name__


def _refuse(name: str, value: Any, wanted: Dtype | None, why: str) -> InputError:
    given = describe(value)
    expected = wanted.name if wanted is not None else "numbers, str or bytes"
    subject = f"input {name!r}" if name else "the value"
    return InputError(
        f"{subject}: expected {expected}, got {given}: {why}", input=name or None, given=given, expected=expected
    )
