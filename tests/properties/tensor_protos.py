"""TensorProtos of every dtype in every encoding, well made or not.

The bounds leave out where this server differs from TensorFlow on purpose, or must not be asked:

- at most 32 dimensions: more cannot be held by every NumPy (TensorFlow refuses more than 254);
- shapes of at most 4096 elements, so that no tensor is filled up beyond the limit of 64 MiB; what is larger
  has so many elements that an int64 cannot count them, which both refuse;
- a shape without elements is no larger than NumPy can hold, taking each size of 0 for 1;
- no resource and no variant, which no client can send;
- no signalling NaN among floats: protobuf's Python API hands values on as doubles, which makes it quiet.
"""

import math

from hypothesis import strategies as st

from servable import wire
from servable.codec import dtypes

MOST_DIMENSIONS = 32
MOST_ELEMENTS = 4096
INT64_MAX = (1 << 63) - 1
# A string in TensorFlow, the largest of all values.
LARGEST_VALUE_BYTES = 24

# What is no dtype of a value: invalid, references to float and int32, a number that is not taken.
NO_DTYPES = (wire.DT_INVALID, wire.DT_FLOAT_REF, wire.DT_INT32_REF, 99)

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
VALUES = {
    "float_val": st.floats(width=32),
    "double_val": st.floats(),
    "int_val": INT32 | st.integers(-9, 9),
    "string_val": st.binary(max_size=40),
    "scomplex_val": st.floats(width=32),
    "int64_val": st.integers(-(1 << 63), INT64_MAX),
    "bool_val": st.booleans(),
    "dcomplex_val": st.floats(),
    "half_val": st.integers(0, (1 << 16) - 1) | INT32,
    "uint32_val": st.integers(0, (1 << 32) - 1),
    "uint64_val": st.integers(0, (1 << 64) - 1),
}


ODD_SIZES = st.sampled_from((-1, -(1 << 63), 1 << 31, 1 << 32, 1 << 62, INT64_MAX))


def small_shapes():
    """Lists of sizes whose product is small."""
    return st.lists(st.integers(0, 4), max_size=4) | st.lists(st.integers(0, 2), max_size=12)


def shapes():
    """Lists of sizes: most are small, some long, some negative or beyond counting."""
    long = st.lists(st.just(1), min_size=5, max_size=MOST_DIMENSIONS)
    odd = st.lists(st.integers(0, 3) | ODD_SIZES, max_size=6)
    return st.one_of(small_shapes(), small_shapes(), small_shapes(), long, odd).filter(is_within_bounds)


def is_within_bounds(sizes):
    """Whether both this server and TensorFlow should say the same of a shape; see the module's docstring."""
    count = 1
    for size in sizes:
        count *= size
        if size < 0 or count > INT64_MAX:
            return True
    without_zeros = math.prod(size for size in sizes if size)
    return count <= MOST_ELEMENTS and (count > 0 or without_zeros * LARGEST_VALUE_BYTES <= INT64_MAX)


@st.composite
def tensor_protos(draw):
    """Any dtype and shape; values as content or typed, as many as the shape takes or not, in the right field or not."""
    sizes = draw(shapes())
    number = draw(st.sampled_from(sorted(dtypes.BY_NUMBER)) | st.sampled_from(NO_DTYPES))
    tensor = wire.TensorProto(dtype=number, version_number=draw(st.sampled_from((0, 0, 7))))
    tensor.tensor_shape.unknown_rank = draw(st.sampled_from((False, False, True)))
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size, name=draw(st.sampled_from(("", "batch"))))
    dtype = dtypes.BY_NUMBER.get(number, dtypes.BY_NUMBER[wire.DT_FLOAT])
    count = max(min(math.prod(sizes), MOST_ELEMENTS), 0)
    for fill in draw(st.sampled_from(((), (_fill_field,), (_fill_field, _fill_another), (_fill_content,), ALL))):
        fill(draw, tensor, dtype, count)
    return tensor


def _fill_field(draw, tensor, dtype, count):
    wanted = count * (2 if dtype.field in {"scomplex_val", "dcomplex_val"} else 1)
    # Long lists say no more than short ones, and take long to draw.
    length = draw(st.sampled_from((wanted, wanted, wanted + 1)) | st.integers(0, wanted + 3))
    _fill(draw, tensor, dtype.field, min(length, 40))


def _fill_another(draw, tensor, dtype, count):
    del dtype, count
    _fill(draw, tensor, draw(st.sampled_from([*VALUES, "float8_val"])), 3)


def _fill_content(draw, tensor, dtype, count):
    tensor.tensor_content = draw(_contents(dtype, count))


def _contents(dtype, count):
    """Mostly as long as the values are; texts behind their lengths; only zeros and ones for a bool."""
    if dtype.is_string:
        texts = st.lists(st.binary(max_size=200), min_size=min(count, 40), max_size=min(count, 40))
        return st.binary(max_size=20) | texts.map(_join)
    size = count * dtype.numpy.itemsize
    lengths = st.just(size) | st.integers(max(size - 9, 0), size + 9)
    if dtype.number == wire.DT_BOOL:
        return lengths.flatmap(lambda length: st.lists(st.integers(0, 1), min_size=length, max_size=length).map(bytes))
    return lengths.flatmap(lambda length: st.binary(min_size=length, max_size=length))


def _join(texts):
    """TensorFlow's EncodeStringList: all lengths as varints, then all bytes."""
    return b"".join(_varint(len(text)) for text in texts) + b"".join(texts)


def _varint(value):
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + _varint(value >> 7)


ALL = (_fill_field, _fill_another, _fill_content)


def _fill(draw, tensor, field, length):
    if field == "float8_val":
        tensor.float8_val = draw(st.binary(min_size=length, max_size=length))
    else:
        getattr(tensor, field).extend(draw(st.lists(VALUES[field], min_size=length, max_size=length)))
