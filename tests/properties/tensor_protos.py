"""TensorProtos of every dtype in every encoding, well made or not.

The bounds leave out where this server differs from TensorFlow on purpose, or must not be asked:

- at most 32 dimensions: more cannot be held by every NumPy (TensorFlow refuses more than 254);
- shapes of at most 4096 elements, so that no tensor is filled up beyond the limit of 64 MiB; what is larger
  has so many elements that an int64 cannot count them, which both refuse;
- the sizes of a shape without elements multiply to less than 2**31, taking each size of 0 for 1;
- no resource and no variant, which no client can send;
- no signalling NaN among floats: protobuf's Python API hands values on as doubles, which makes it quiet.
"""

import itertools
import math

from hypothesis import strategies as st

from servable import wire
from servable.codec import dtypes
from tests.properties.reading import DTYPES

MOST_DIMENSIONS = 32
MOST_ELEMENTS = 4096
INT64_MAX = (1 << 63) - 1
EMPTY_LIMIT = 1 << 31

# What is no dtype of a value: invalid, references to float and int32, a number that is not taken.
NO_DTYPES = (wire.DT_INVALID, wire.DT_FLOAT_REF, wire.DT_INT32_REF, 99)
NUMBERS = st.sampled_from([dtype.number for dtype in DTYPES]) | st.sampled_from(NO_DTYPES)

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
    "float8_val": st.integers(0, 255),
}
COMPLEX_FIELDS = {"scomplex_val", "dcomplex_val"}
ODD_SIZES = st.sampled_from((-1, -(1 << 63), 1 << 31, 1 << 32, 1 << 62, INT64_MAX))


def small_shapes():
    """Lists of sizes whose product is small."""
    few, long = st.lists(st.integers(1, 3), max_size=3), st.lists(st.integers(1, 2), min_size=4, max_size=12)
    return st.one_of(few, few, st.lists(st.integers(0, 4), max_size=4), long)


def shapes():
    """Lists of sizes: most are small, some long, some negative or beyond counting."""
    long = st.lists(st.just(1), min_size=5, max_size=MOST_DIMENSIONS)
    odd = st.lists(st.integers(0, 3) | ODD_SIZES, max_size=6)
    return st.one_of(small_shapes(), small_shapes(), small_shapes(), long, odd.filter(is_within_bounds))


def is_within_bounds(sizes):
    """Whether both this server and TensorFlow should say the same of a shape; see the module's docstring."""
    count = 1
    for size in sizes:
        count *= size
        if size < 0 or count > INT64_MAX:
            return True
    without_zeros = math.prod(size for size in sizes if size)
    return count <= MOST_ELEMENTS and (count > 0 or without_zeros < EMPTY_LIMIT)


def _fill_field(draw, tensor, dtype, count):
    wanted = count * (2 if dtype.field in COMPLEX_FIELDS else 1)
    # A few short of the end, so that what fills the rest is seen to be the last.
    length = draw(st.sampled_from((wanted, wanted, wanted + 1, wanted // 2)) | st.integers(0, wanted + 3))
    _extend(tensor, dtype.field, draw(repeated(VALUES[dtype.field], length)))


def _fill_another(draw, tensor, dtype, count):
    del dtype, count
    field = draw(st.sampled_from(sorted(VALUES)))
    _extend(tensor, field, draw(repeated(VALUES[field], 3)))


def _fill_content(draw, tensor, dtype, count):
    tensor.tensor_content = draw(texts_content(count) if dtype.is_string else _contents(dtype, count))


TYPED = ((), (_fill_field,), (_fill_field,), (_fill_another,), (_fill_field, _fill_another))
CONTENT = ((_fill_content,), (_fill_content,), (_fill_content, _fill_field, _fill_another))


@st.composite
def tensor_protos(draw, numbers=NUMBERS, fills=(*TYPED, *CONTENT)):
    """Any dtype and shape; values as content or typed, as many as the shape takes or not, in the right field or not."""
    sizes, number = draw(shapes()), draw(numbers)
    tensor = wire.TensorProto(dtype=number, version_number=draw(st.sampled_from((0, 0, 7))))
    tensor.tensor_shape.unknown_rank = draw(st.sampled_from((False, False, True)))
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size, name=draw(st.sampled_from(("", "batch"))))
    dtype = dtypes.BY_NUMBER.get(number, dtypes.BY_NUMBER[wire.DT_FLOAT])
    count = max(min(math.prod(sizes), MOST_ELEMENTS), 0)
    for fill in draw(st.sampled_from(fills)):
        fill(draw, tensor, dtype, count)
    return tensor


def _extend(tensor, field, values):
    if field == "float8_val":
        tensor.float8_val = bytes(values)
    else:
        getattr(tensor, field).extend(values)


def _contents(dtype, count):
    """As long as the values are, or not quite; for a bool mostly of zeros and ones."""
    size = count * dtype.numpy.itemsize
    lengths = st.sampled_from((size, size, size)) | st.integers(max(size - 9, 0), size + 9)
    codes = st.sampled_from((0, 1)) if dtype.number == wire.DT_BOOL else st.integers(0, 255)
    exact = lengths.flatmap(lambda length: repeated(codes, length)).map(bytes)
    return exact | repeated(st.integers(0, 255), size).map(bytes)


def texts_content(count):
    """TensorFlow's EncodeStringList, all lengths as varints and then all bytes, and what is close to it."""
    joined = repeated(_LENGTHS_AND_TEXTS, count).map(
        lambda pairs: b"".join(length for length, _ in pairs) + b"".join(text for _, text in pairs)
    )
    return joined.flatmap(lambda whole: st.sampled_from((whole, whole, whole, whole[:-1], whole[1:], whole + b"\0")))


def _write_length(length):
    """A length as it should be, in five bytes, in five with a bit more than 32, and in six."""
    plain = _varint(length)
    padded = bytes(byte | 0x80 for byte in plain + bytes(4 - len(plain)))
    return st.sampled_from((plain, plain, plain, plain, padded + b"\x00", padded + b"\x10", padded + b"\x80\x00"))


_TEXTS = st.binary(max_size=9) | st.binary(min_size=126, max_size=130)
_LENGTHS_AND_TEXTS = _TEXTS.flatmap(lambda text: st.tuples(_write_length(len(text)), st.just(text)))


def _varint(value):
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80]) + _varint(value >> 7)


def repeated(values, length):
    """Lists of a length of which a few values are drawn, again and again in turn: long lists say no more."""
    few = st.lists(values, min_size=min(length, 1), max_size=min(length, 7))
    return few.map(lambda drawn: list(itertools.islice(itertools.cycle(drawn), length)))
