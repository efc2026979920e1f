"""The dtype table: for each TensorFlow dtype its number, its NumPy type, and how its values travel.

bfloat16, float8 and the four-bit integers are NumPy types of ml_dtypes, which is optional: it is looked for
when the first of them is met.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable_client import wire
from servable_client.errors import DtypeUnavailable

DtypeLike = Any
"""A TensorFlow dtype as users say it: `"float32"`, `"DT_FLOAT"`, `"string"`, `np.float32`, `wire.DT_FLOAT`."""


@dataclass(frozen=True, slots=True)
class Dtype:
    """One TensorFlow dtype.

    Attributes:
        number: Its number in tensorflow.DataType.
        name: Its name as users know it from TensorFlow's Python API (`float32`, `string`).
        family: `bool`, `int`, `float`, `complex` or `string`: what a value is, whatever its size.
        field: The TensorProto field that carries its values one by one.
        stored: What one value is in `tensor_content`, little-endian; also what the number in an `int_val` or
            `half_val` is cut down to. Object for strings.
        extension: Whether its NumPy type comes from ml_dtypes.
    """

    number: int
    name: str
    family: str
    field: str
    stored: np.dtype[Any]
    extension: bool = False

    @property
    def is_string(self) -> bool:
        """Whether values are byte strings, which have no fixed size."""
        return self.family == "string"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of decoded arrays; object (of bytes) for strings.

        Raises:
            DtypeUnavailable: if it comes from ml_dtypes and cannot be had.
        """
        return _extension_dtype(self.name) if self.extension else self.stored


@functools.cache
def _extension_dtype(name: str) -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError:
        raise DtypeUnavailable(
            f"{name} arrays need ml_dtypes, which is not installed: pip install 'servable-client[ml-dtypes]'"
        ) from None
    scalar = getattr(ml_dtypes, name, None)
    if scalar is None:
        raise DtypeUnavailable(f"{name} arrays need a newer ml_dtypes than {ml_dtypes.__version__}")
    dtype: np.dtype[Any] = np.dtype(scalar)
    return dtype


def _plain(number: int, scalar: type, family: str, field: str) -> Dtype:
    dtype = np.dtype(scalar)
    return Dtype(number, dtype.name, family, field, dtype)


def _quantized(number: int, name: str, scalar: type) -> Dtype:
    # Quantized values are plain integers here: what they stand for is the model's business.
    return Dtype(number, name, "int", "int_val", np.dtype(scalar))


def _extended(number: int, name: str, family: str, stored: type, field: str) -> Dtype:
    return Dtype(number, name, family, field, np.dtype(stored), extension=True)


_TABLE = [
    _plain(wire.DT_FLOAT, np.float32, "float", "float_val"),
    _plain(wire.DT_DOUBLE, np.float64, "float", "double_val"),
    _plain(wire.DT_INT32, np.int32, "int", "int_val"),
    _plain(wire.DT_UINT8, np.uint8, "int", "int_val"),
    _plain(wire.DT_INT16, np.int16, "int", "int_val"),
    _plain(wire.DT_INT8, np.int8, "int", "int_val"),
    Dtype(wire.DT_STRING, "string", "string", "string_val", np.dtype(object)),
    _plain(wire.DT_COMPLEX64, np.complex64, "complex", "scomplex_val"),
    _plain(wire.DT_INT64, np.int64, "int", "int64_val"),
    _plain(wire.DT_BOOL, np.bool_, "bool", "bool_val"),
    _plain(wire.DT_UINT16, np.uint16, "int", "int_val"),
    _plain(wire.DT_COMPLEX128, np.complex128, "complex", "dcomplex_val"),
    _plain(wire.DT_HALF, np.float16, "float", "half_val"),
    _plain(wire.DT_UINT32, np.uint32, "int", "uint32_val"),
    _plain(wire.DT_UINT64, np.uint64, "int", "uint64_val"),
    _extended(wire.DT_BFLOAT16, "bfloat16", "float", np.uint16, "half_val"),
    _extended(wire.DT_FLOAT8_E5M2, "float8_e5m2", "float", np.uint8, "float8_val"),
    _extended(wire.DT_FLOAT8_E4M3FN, "float8_e4m3fn", "float", np.uint8, "float8_val"),
    _extended(wire.DT_FLOAT8_E4M3FNUZ, "float8_e4m3fnuz", "float", np.uint8, "float8_val"),
    _extended(wire.DT_FLOAT8_E4M3B11FNUZ, "float8_e4m3b11fnuz", "float", np.uint8, "float8_val"),
    _extended(wire.DT_FLOAT8_E5M2FNUZ, "float8_e5m2fnuz", "float", np.uint8, "float8_val"),
    _extended(wire.DT_INT4, "int4", "int", np.int8, "int_val"),
    _extended(wire.DT_UINT4, "uint4", "int", np.uint8, "int_val"),
    # After the plain ones: an int8 array is an int8 unless the signature asks for a qint8.
    _quantized(wire.DT_QINT8, "qint8", np.int8),
    _quantized(wire.DT_QUINT8, "quint8", np.uint8),
    _quantized(wire.DT_QINT16, "qint16", np.int16),
    _quantized(wire.DT_QUINT16, "quint16", np.uint16),
    _quantized(wire.DT_QINT32, "qint32", np.int32),
]

STRING = _TABLE[6]
BY_NUMBER: dict[int, Dtype] = {dtype.number: dtype for dtype in _TABLE}
BY_NAME: dict[str, Dtype] = {dtype.name: dtype for dtype in _TABLE}
_BY_NUMPY: dict[np.dtype[Any], Dtype] = {d.stored: d for d in reversed(_TABLE) if not d.extension and not d.is_string}
# TensorFlow's own names where NumPy has others.
_ALIASES = {"float": "float32", "double": "float64", "half": "float16", "str": "string", "bytes": "string"}


def name_of(number: int) -> str:
    """The enum name of a dtype number (`DT_FLOAT`), or the number itself where it has none."""
    try:
        return wire.DataType.Name(number)
    except ValueError:
        return str(number)


def of_numpy(dtype: np.dtype[Any]) -> Dtype | None:
    """The dtype that arrays of a NumPy dtype travel as; strings for `S`, `U` and StringDType; None for none."""
    if dtype in _BY_NUMPY:
        return _BY_NUMPY[dtype]
    if dtype.kind in "SUT":
        return STRING
    swapped = _BY_NUMPY.get(dtype.newbyteorder("="))
    if swapped is not None:
        return swapped
    named = BY_NAME.get(dtype.name)
    return named if named is not None and named.extension else None


def find(dtype: DtypeLike) -> Dtype | None:
    """The dtype that a user means; None for none."""
    if isinstance(dtype, int) and not isinstance(dtype, bool):
        return BY_NUMBER.get(dtype)
    if isinstance(dtype, str):
        name = _ALIASES.get(dtype, dtype)
        if name in BY_NAME:
            return BY_NAME[name]
        if name.startswith("DT_") and name in wire.DataType.keys():  # noqa: SIM118  (a wrapper is no mapping)
            return BY_NUMBER.get(wire.DataType.Value(name))
    try:
        numpy = np.dtype(dtype)
    except TypeError:
        return None
    return STRING if numpy.kind == "O" else of_numpy(numpy)
