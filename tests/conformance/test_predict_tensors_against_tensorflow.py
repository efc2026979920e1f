"""The codec against TensorFlow's own C++, called by tf.io.parse_tensor, over random TensorProtos.

Sizes are small: what differs on purpose (a limit on filling, on the number of dimensions) is tested by name elsewhere.
"""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servable import wire
from servable.codec import decoding, encoding
from tests.conformance.tensors import KINDS, number, tensor

SIZES = st.integers(-1, 3)
INT32 = st.one_of(st.integers(-20, 20), st.integers(-(1 << 31), (1 << 31) - 1))
FLOATS = st.floats(width=32)
SHORT = st.binary(max_size=6)
FIELDS = {
    "half_val": st.lists(INT32, max_size=5),
    "float_val": st.lists(FLOATS, max_size=5),
    "double_val": st.lists(st.floats(), max_size=5),
    "scomplex_val": st.lists(FLOATS, max_size=7),
    "dcomplex_val": st.lists(st.floats(), max_size=7),
    "string_val": st.lists(SHORT, max_size=5),
    "bool_val": st.lists(st.booleans(), max_size=5),
    "int_val": st.lists(INT32, max_size=5),
    "int64_val": st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=5),
    "uint32_val": st.lists(st.integers(0, (1 << 32) - 1), max_size=5),
    "uint64_val": st.lists(st.integers(0, (1 << 64) - 1), max_size=5),
    "float8_val": st.binary(max_size=5),
}
SEARCH = settings(max_examples=40, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def tensors(draw, dtype):
    """A TensorProto with values in its own field, and now and then in another, or with content that may fit."""
    shape = draw(st.lists(SIZES, max_size=3))
    fields = {KINDS[dtype].field} | draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=1))
    values = {field: draw(FIELDS[field]) for field in fields}
    return tensor(dtype, shape, draw(contents(dtype, shape)), **values)


def contents(dtype, shape):
    if dtype == "string":
        lengths = st.lists(st.integers(0, 3), min_size=1, max_size=4)
        sound = lengths.map(lambda each: bytes(each) + b"\xffabcdefghijkl"[: sum(each)])
        return st.one_of(st.just(b""), sound, st.binary(max_size=8))
    size = len(KINDS[dtype].content) // 2 * max(int(np.prod(shape)), 0)
    return st.one_of(st.just(b""), st.binary(min_size=size, max_size=size), st.binary(max_size=size + 1))


def as_tensorflow_reads(proto):
    """Shape and values as TensorFlow's Tensor::FromProto gives them; None where it refuses."""
    try:
        parsed = tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype))
    except tf.errors.InvalidArgumentError:
        return None
    return comparable(np.asarray(parsed.numpy(), object if parsed.dtype == tf.string else None))


def as_servable_reads(proto):
    try:
        return comparable(decoding.decode(wire.TensorProto.FromString(proto.SerializeToString())))
    except decoding.MalformedTensor:
        return None


def comparable(array):
    """Shape and values; numbers as their bytes, since some are no number, of which a four-bit one takes four bits."""
    if array.dtype == object:
        return array.shape, array.ravel().tolist()
    if array.dtype.name in {"int4", "uint4"}:
        return array.shape, array.astype(np.int8).tobytes()
    return array.shape, array.tobytes()


@pytest.mark.behaviour("1.4", "values travel in the field of their dtype")
@pytest.mark.parametrize("dtype", KINDS)
def test_a_tensor_is_read_as_tensorflow_reads_it(dtype):
    @SEARCH
    @given(tensors(dtype))
    def check(proto):
        assert as_servable_reads(proto) == as_tensorflow_reads(proto)

    check()


@pytest.mark.behaviour("1.4", "outputs are in the field of their dtype")
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("as_content", [False, True], ids=["fields", "content"])
def test_tensorflow_reads_what_is_written(dtype, as_content):
    @SEARCH
    @given(tensors(dtype))
    def check(proto):
        if as_tensorflow_reads(proto) is None:
            return
        array = decoding.decode(wire.TensorProto.FromString(proto.SerializeToString()))
        written = wire.TensorProto()
        encoding.encode(array, number(dtype), written, as_content=as_content)
        reread = type(proto).FromString(written.SerializeToString())
        assert as_tensorflow_reads(reread) == comparable(array)

    check()
