"""The dtype table: for each TensorFlow dtype its number, its NumPy type and the field that carries its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from servable import wire


@dataclass(frozen=True, slots=True)
class Dtype:
    """One TensorFlow dtype.

    Attributes:
        number: Its number in tensorflow.DataType.
        name: Its short name, as TensorFlow's messages spell it.
        numpy: The NumPy dtype that TensorFlow takes and gives; object (of bytes) for strings.
        field: The TensorProto field that carries its values one by one.
        stored: What one value of that field holds, for dtypes that travel as bit patterns or wrap around: an
            int32 of `int_val` becomes an int8, a uint16 of `half_val` is viewed as a float16.
    """

    number: int
    name: str
    numpy: np.dtype[Any]
    field: str
    stored: np.dtype[Any]

    @property
    def is_string(self) -> bool:
        """Whether values are byte strings, which have no fixed size."""
        return self.number == wire.DT_STRING


def _plain(number: int, name: str, scalar: type, field: str) -> Dtype:
    return Dtype(number, name, np.dtype(scalar), field, np.dtype(scalar))


def _quantized(number: int, name: str, scalar: type) -> Dtype:
    # TensorFlow marks a quantized array by a structured dtype whose one field bears the dtype's name.
    return Dtype(number, name, np.dtype([(name, scalar)]), "int_val", np.dtype(scalar))


def _extended(number: int, name: str, stored: type, field: str) -> list[Dtype]:
    """A dtype that NumPy takes from ml_dtypes; none where the installed ml_dtypes is too old to have it."""
    scalar = getattr(ml_dtypes, name, None)
    return [] if scalar is None else [Dtype(number, name, np.dtype(scalar), field, np.dtype(stored))]


_SMALL_FLOAT_NAMES = {
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    26: "float8_e4m3fnuz",
    27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz",
    33: "float4_e2m1fn",
}

_TABLE: list[Dtype] = [
    _plain(wire.DT_FLOAT, "float", np.float32, "float_val"),
    _plain(wire.DT_DOUBLE, "double", np.float64, "double_val"),
    _plain(wire.DT_INT32, "int32", np.int32, "int_val"),
    _plain(wire.DT_UINT8, "uint8", np.uint8, "int_val"),
    _plain(wire.DT_INT16, "int16", np.int16, "int_val"),
    _plain(wire.DT_INT8, "int8", np.int8, "int_val"),
    _plain(wire.DT_STRING, "string", np.object_, "string_val"),
    _plain(wire.DT_COMPLEX64, "complex64", np.complex64, "scomplex_val"),
    _plain(wire.DT_INT64, "int64", np.int64, "int64_val"),
    _plain(wire.DT_BOOL, "bool", np.bool_, "bool_val"),
    _quantized(wire.DT_QINT8, "qint8", np.int8),
    _quantized(wire.DT_QUINT8, "quint8", np.uint8),
    _quantized(wire.DT_QINT32, "qint32", np.int32),
    *_extended(wire.DT_BFLOAT16, "bfloat16", np.uint16, "half_val"),
    _quantized(wire.DT_QINT16, "qint16", np.int16),
    _quantized(wire.DT_QUINT16, "quint16", np.uint16),
    _plain(wire.DT_UINT16, "uint16", np.uint16, "int_val"),
    _plain(wire.DT_COMPLEX128, "complex128", np.complex128, "dcomplex_val"),
    Dtype(wire.DT_HALF, "half", np.dtype(np.float16), "half_val", np.dtype(np.uint16)),
    _plain(wire.DT_UINT32, "uint32", np.uint32, "uint32_val"),
    _plain(wire.DT_UINT64, "uint64", np.uint64, "uint64_val"),
    *(d for number, name in _SMALL_FLOAT_NAMES.items() for d in _extended(number, name, np.uint8, "float8_val")),
    *_extended(wire.DT_INT4, "int4", np.int8, "int_val"),
    *_extended(wire.DT_UINT4, "uint4", np.uint8, "int_val"),
    *_extended(wire.DT_INT2, "int2", np.int8, "int_val"),
    *_extended(wire.DT_UINT2, "uint2", np.uint8, "int_val"),
]


def _opaque(number: int, name: str, field: str) -> Dtype:
    # Marked as a quantized one is; the array holds the message of the field.
    return Dtype(number, name, np.dtype([(name, np.object_)]), field, np.dtype(np.object_))


BY_NUMBER: dict[int, Dtype] = {dtype.number: dtype for dtype in _TABLE}

OPAQUE: dict[int, Dtype] = {
    wire.DT_RESOURCE: _opaque(wire.DT_RESOURCE, "resource", "resource_handle_val"),
    wire.DT_VARIANT: _opaque(wire.DT_VARIANT, "variant", "variant_val"),
}
"""By number, dtypes of objects of a process. A caller may send one, so that it can be named; none is ever fed."""

BY_NUMPY: dict[np.dtype[Any], Dtype] = {dtype.numpy: dtype for dtype in (*_TABLE, *OPAQUE.values())}


def name_of(number: int) -> str:
    """The enum name of a dtype number (`DT_FLOAT`), or the number itself where it has none."""
    try:
        return wire.DataType.Name(number)
    except ValueError:
        return str(number)
