"""Values to the bytes of a TensorProto: `tensor_content` for all dtypes but strings, which have none that all read.

What is returned are pieces to be joined: the array's own memory among them, so that it is copied once.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from servable_client import wire
from servable_client._conversion import Converted
from servable_client._dtypes import Dtype
from servable_client._wire_format import delimited, head, varint

Piece = Any
"""Bytes, or a memoryview of bytes."""

_CONTENT = 4
_DIM = 2
_SHAPE = 2
# A copy so small costs less than a view and its bookkeeping.
_SMALL_BYTES = 2048


def tensor_pieces(value: Converted) -> list[Piece]:
    """The bytes of a TensorProto, in pieces."""
    start = _dtype_and_shape(value.dtype.number, value.shape)
    if value.dtype.is_string:
        return [start, wire.TensorProto(string_val=value.strings).SerializeToString()]
    content = _content(value.array, value.dtype)
    return [start, head(_CONTENT, len(content)), content] if len(content) else [start]


@functools.lru_cache(maxsize=4096)
def _dtype_and_shape(number: int, shape: tuple[int, ...]) -> bytes:
    dims = b"".join(delimited(_DIM, b"\x08" + varint(size)) for size in shape)
    return b"\x08" + varint(number) + delimited(_SHAPE, dims)


def _content(array: np.ndarray[Any, Any], dtype: Dtype) -> Piece:
    stored = array
    if dtype.extension:
        # Four-bit numbers travel in a byte each; all others are the same bits.
        stored = array.astype(dtype.stored) if dtype.family == "int" else array.view(dtype.stored)
    little = stored.astype(dtype.stored.newbyteorder("<"), copy=False)
    if little.nbytes < _SMALL_BYTES:
        return little.tobytes()
    return np.ascontiguousarray(little).reshape(-1).view(np.uint8).data
