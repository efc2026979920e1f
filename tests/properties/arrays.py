"""Arrays of every dtype, shape and layout in memory, as a model's outputs may be."""

import math

import numpy as np
from hypothesis import strategies as st

from servable import wire
from tests.properties.tensor_protos import repeated, small_shapes

LAYOUTS = (np.asarray, np.transpose, np.flip, np.asfortranarray)
# Of the numbers of less than a byte: the smallest, and how many there are.
NARROW = {wire.DT_INT2: (-2, 4), wire.DT_UINT2: (0, 4), wire.DT_INT4: (-8, 16), wire.DT_UINT4: (0, 16)}
QUIET_BIT = np.uint32(1 << 22)


@st.composite
def arrays(draw, dtype):
    """An array of an entry of the dtype table."""
    sizes = draw(small_shapes())
    flat = draw(_strings(math.prod(sizes)) if dtype.is_string else _numbers(dtype, math.prod(sizes)))
    # A transposed scalar is no array any more, and models return arrays only.
    return np.asarray(draw(st.sampled_from(LAYOUTS))(flat.reshape(sizes)), dtype.numpy)


def _strings(count):
    return repeated(st.binary(max_size=200), count).map(lambda texts: np.array(texts, object))


def _numbers(dtype, count):
    codes = repeated(st.integers(0, 255), count * dtype.numpy.itemsize)
    return codes.map(lambda content: _view(bytes(content), dtype))


def _view(content, dtype):
    """Every bit pattern that the dtype has, but no signalling NaN of 32 bits; see tensor_protos."""
    codes = np.frombuffer(content, np.uint8)
    if dtype.number == wire.DT_BOOL:
        return codes % 2 == 1
    if dtype.number in NARROW:
        smallest, count = NARROW[dtype.number]
        return ((codes % count).astype(np.int8) + smallest).astype(dtype.numpy)
    if dtype.number in {wire.DT_FLOAT, wire.DT_COMPLEX64}:
        floats = np.frombuffer(content, np.float32)
        bits = floats.view(np.uint32)
        return np.where(np.isnan(floats), bits | QUIET_BIT, bits).view(dtype.numpy)
    return np.frombuffer(content, dtype.numpy)
