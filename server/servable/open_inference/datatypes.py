"""The protocol's datatypes, as TensorFlow's dtypes, and the field of InferTensorContents that carries each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from servable import wire
from servable.codec import dtypes
from servable.codec.dtypes import Dtype
from servable.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Datatype:
    """One datatype of the protocol.

    Attributes:
        name: As tensors name it.
        dtype: The dtype of TensorFlow that it stands for.
        field: The field of InferTensorContents for its values; None if they travel as bytes only.
    """

    name: str
    dtype: Dtype
    field: str | None


def _datatype(name: str, number: int, field: str | None) -> Datatype:
    return Datatype(name, dtypes.BY_NUMBER[number], field)


_TABLE: Final = (
    _datatype("BOOL", wire.DT_BOOL, "bool_contents"),
    _datatype("UINT8", wire.DT_UINT8, "uint_contents"),
    _datatype("UINT16", wire.DT_UINT16, "uint_contents"),
    _datatype("UINT32", wire.DT_UINT32, "uint_contents"),
    _datatype("UINT64", wire.DT_UINT64, "uint64_contents"),
    _datatype("INT8", wire.DT_INT8, "int_contents"),
    _datatype("INT16", wire.DT_INT16, "int_contents"),
    _datatype("INT32", wire.DT_INT32, "int_contents"),
    _datatype("INT64", wire.DT_INT64, "int64_contents"),
    _datatype("FP16", wire.DT_HALF, None),
    _datatype("FP32", wire.DT_FLOAT, "fp32_contents"),
    _datatype("FP64", wire.DT_DOUBLE, "fp64_contents"),
    _datatype("BF16", wire.DT_BFLOAT16, None),
    _datatype("BYTES", wire.DT_STRING, "bytes_contents"),
)

BY_NAME: Final = {datatype.name: datatype for datatype in _TABLE}
BY_NUMBER: Final = {datatype.dtype.number: datatype for datatype in _TABLE}


def of_output(alias: str, number: int) -> Datatype:
    """The datatype of an output.

    Args:
        alias: The name of the output.
        number: Its dtype in tensorflow.DataType.

    Raises:
        InvalidArgument: if the protocol has no datatype for it.
    """
    datatype = BY_NUMBER.get(number)
    if datatype is None:
        raise InvalidArgument(
            f'output "{alias}" is of {dtypes.name_of(number)}, for which the Open Inference Protocol has no datatype',
            {"advice": "name the other outputs in the request, or use Predict"},
        )
    return datatype


def name_of(number: int) -> str:
    """The name of the datatype of a dtype, or TensorFlow's name of the dtype (`DT_COMPLEX64`) if there is none."""
    datatype = BY_NUMBER.get(number)
    return dtypes.name_of(number) if datatype is None else datatype.name
