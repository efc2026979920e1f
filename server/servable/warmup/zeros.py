"""Tensors of zeros for the inputs of a signature.

It must not know what a request is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from servable import wire
from servable.codec import decoding, dtypes
from servable.errors import Unimplemented

# A message is smaller than 2 GiB, and so is a record.
_MOST_BYTES = 1 << 30


def make_tensor(info: wire.TensorInfo, batch_size: int, open_rank: int, text: bytes = b"") -> wire.TensorProto:
    """Zeros or false, or one string over and over.

    A TensorProto with fewer values than its shape asks for is filled up, by TensorFlow and by us, so that a large
    tensor is a few bytes.

    Args:
        info: The input. Open dimensions become 1.
        batch_size: The first dimension, where that is open.
        open_rank: The number of dimensions, where that is open.
        text: The string, for an input of strings.

    Raises:
        Unimplemented: if no request can send such a tensor (resource, variant, too large).
    """
    dtype = dtypes.BY_NUMBER.get(info.dtype)
    if dtype is None:
        raise Unimplemented(f"no request can send a tensor of {dtypes.name_of(info.dtype)}")
    tensor = wire.TensorProto(dtype=dtype.number)
    tensor.tensor_shape.SetInParent()
    sizes = _sizes(info.tensor_shape, batch_size, open_rank)
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    if dtype.is_string:
        tensor.string_val.extend([text] if text else [])
    elif (size := math.prod(sizes) * dtype.numpy.itemsize) > _MOST_BYTES:
        raise Unimplemented(f"a tensor of {size} bytes is too large for a request")
    elif size > decoding.FILL_LIMIT_BYTES:
        tensor.tensor_content = bytes(size)
    return tensor


def _sizes(shape: wire.TensorShapeProto, batch_size: int, open_rank: int) -> Sequence[int]:
    known = [-1] * open_rank if shape.unknown_rank else [dim.size for dim in shape.dim]
    return [(1 if index else batch_size) if size < 0 else size for index, size in enumerate(known)]
