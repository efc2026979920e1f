"""TensorProto and NumPy, both ways, for every dtype that an array can have.

The client does this by itself; these functions are for code that has messages: test servers, logs, warm-up files.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from servable_client import _conversion, _dtypes, _tensor_protos, wire
from servable_client._wire_format import Malformed
from servable_client.errors import InputError, MalformedReply

__all__ = ["decode", "encode"]


def encode(value: Any, dtype: Any = None) -> wire.TensorProto:
    """Make a TensorProto.

    Args:
        value: An array or anything NumPy takes for one, a number, str, bytes, or nested lists of these; any
            shape, 0-d too.
        dtype: As what to send it: a name (`"float32"`, `"string"`, `"bfloat16"`), a NumPy dtype, or a number of
            tensorflow.DataType. By default arrays keep theirs; lists and scalars of Python floats become
            float32, of Python ints int64, of str (as UTF-8) and bytes string.

    Returns:
        A message with dtype, shape and `tensor_content`; strings in `string_val`.

    Raises:
        InputError: if the dtype is unknown, or the value ragged, no tensor, or not of a kind that can become it.
        DtypeUnavailable: if the dtype needs ml_dtypes, which is not installed.
    """
    wanted = None
    if dtype is not None:
        wanted = _dtypes.find(dtype)
        if wanted is None:
            known = ", ".join(_dtypes.BY_NAME)
            raise InputError(f"unknown dtype {dtype!r}; known: {known}", given=repr(dtype), expected=known)
    pieces = _tensor_protos.tensor_pieces(_conversion.convert("", value, wanted))
    return wire.TensorProto.FromString(b"".join(pieces))


def decode(tensor: wire.TensorProto | bytes) -> np.ndarray[Any, Any]:
    """Read a TensorProto.

    Args:
        tensor: A message or its bytes, in any encoding: `tensor_content` (for strings too) or `*_val`.

    Returns:
        An array of the tensor's shape; strings as objects (bytes), quantized dtypes as plain integers,
        bfloat16, float8 and four-bit integers as ml_dtypes has them. Read-only, and a view of the bytes where
        they are aligned: `.copy()` gives one to write to.

    Raises:
        MalformedReply: if it is no tensor: an unknown dtype, a bad shape, values that do not fit it, or so few
            of them that filling up would take more than 64 MB.
        DtypeUnavailable: if the dtype needs ml_dtypes, which is not installed.
    """
    try:
        if not isinstance(tensor, bytes):
            if tensor.ByteSize() < _tensor_protos.LIFT_BYTES:
                return _tensor_protos.decode(_tensor_protos.Tensor(tensor, {}))
            tensor = tensor.SerializeToString()
        return _tensor_protos.decode(_tensor_protos.lift_tensor(tensor))
    except Malformed as error:
        raise MalformedReply(f"the tensor cannot be read: {error}") from None
    except DecodeError as error:
        raise MalformedReply(f"the tensor does not parse: {error}") from None
