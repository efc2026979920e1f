"""TensorProto and NumPy, both ways."""

import struct
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from servable_client import _dtypes, _reading, _tensor_protos, tensors, wire
from servable_client.errors import DtypeUnavailable, InputError, MalformedReply

NUMERIC = [name for name, dtype in _dtypes.BY_NAME.items() if not dtype.is_string]
FIELDS = {d.name: d.field for d in _dtypes.BY_NAME.values()}


def make(dtype, shape, **fields):
    tensor = wire.TensorProto(dtype=dtype, **fields)
    for size in shape:
        tensor.tensor_shape.dim.add().size = size
    return tensor


def sample(name, count):
    """Values that every dtype has."""
    dtype = _dtypes.BY_NAME[name]
    return (np.arange(count) % 2).astype(dtype.numpy)


@pytest.mark.parametrize("count", [1, 6, 5000])
@pytest.mark.parametrize("name", NUMERIC)
def test_every_dtype_comes_back_as_it_was_sent(name, count):
    array = sample(name, count).reshape(1, count)
    proto = tensors.encode(array, name)
    assert proto.dtype == _dtypes.BY_NAME[name].number
    assert proto.tensor_content
    decoded = tensors.decode(proto)
    assert decoded.dtype == array.dtype
    assert decoded.shape == (1, count)
    np.testing.assert_array_equal(decoded, array)


@pytest.mark.parametrize("count", [2, 5000])
@pytest.mark.parametrize("name", NUMERIC)
def test_every_dtype_is_read_from_its_typed_field(name, count):
    expected = sample(name, count)
    field = FIELDS[name]
    if field == "float8_val":
        values = expected.tobytes()
    elif field == "half_val":
        values = expected.view(np.uint16).tolist()
    elif expected.dtype.kind == "c":
        values = expected.view(expected.real.dtype).tolist()
    else:
        values = expected.astype(float if expected.dtype.kind == "f" else int).tolist()
    proto = make(_dtypes.BY_NAME[name].number, [count], **{field: values})
    np.testing.assert_array_equal(tensors.decode(proto), expected)


def test_a_scalar_stays_a_scalar():
    assert tensors.decode(tensors.encode(3.5)).shape == ()
    assert tensors.decode(tensors.encode(b"a\0")).tolist() == b"a\0"


def test_strings_keep_their_zero_bytes_and_their_shape():
    values = [["a\0", b"\xff\0"], ["", "é"]]
    proto = tensors.encode(values)
    assert list(proto.string_val) == [b"a\0", b"\xff\0", b"", "é".encode()]
    assert tensors.decode(proto).tolist() == [[b"a\0", b"\xff\0"], [b"", "é".encode()]]


@pytest.mark.parametrize("array", [np.array(["a", "bc"]), np.array([b"a", b"bc"]), np.array(["a", b"bc"], object)])
def test_every_kind_of_string_array_is_taken(array):
    assert tensors.decode(tensors.encode(array)).tolist() == [b"a", b"bc"]


def test_strings_are_read_from_their_content_form():
    long = b"x" * 300
    content = b"\x01\x00\xac\x02" + b"a" + long
    assert tensors.decode(make(wire.DT_STRING, [3], tensor_content=content)).tolist() == [b"a", b"", long]


@pytest.mark.parametrize("content", [b"\x02a", b"\x01", b"\x81\x80", b"\x00\x00a", b"\xff\xff\xff\xff\x0f" * 2])
def test_a_content_of_strings_that_does_not_add_up_is_malformed(content):
    with pytest.raises(MalformedReply, match=r"tensor_content|number"):
        tensors.decode(make(wire.DT_STRING, [2], tensor_content=content))


def test_the_last_value_fills_what_is_missing():
    assert tensors.decode(make(wire.DT_FLOAT, [4], float_val=[1, 2])).tolist() == [1, 2, 2, 2]
    assert tensors.decode(make(wire.DT_STRING, [3], string_val=[b"a"])).tolist() == [b"a"] * 3


def test_no_value_means_zeros():
    assert tensors.decode(make(wire.DT_INT32, [2])).tolist() == [0, 0]
    assert tensors.decode(make(wire.DT_STRING, [2])).tolist() == [b"", b""]
    assert tensors.decode(make(wire.DT_BFLOAT16, [2])).tolist() == [0, 0]


def test_surplus_values_and_values_of_another_field_are_left_out():
    assert tensors.decode(make(wire.DT_INT64, [1], int64_val=[5, 6])).tolist() == [5]
    assert tensors.decode(make(wire.DT_FLOAT, [1], int_val=[5])).tolist() == [0]


def test_content_wins_over_values():
    proto = make(wire.DT_FLOAT, [1], tensor_content=struct.pack("<f", 7), float_val=[1])
    assert tensors.decode(proto).tolist() == [7]


@pytest.mark.parametrize("count", [1, 3000])
def test_small_integers_wrap_around_as_in_the_original(count):
    assert tensors.decode(make(wire.DT_INT8, [count], int_val=[300] * count)).tolist() == [44] * count
    assert tensors.decode(make(wire.DT_INT8, [count], int_val=[-1] * count)).tolist() == [-1] * count


def test_an_unknown_rank_is_a_scalar_and_an_empty_tensor_is_empty():
    proto = make(wire.DT_FLOAT, [], float_val=[1])
    proto.tensor_shape.unknown_rank = True
    assert tensors.decode(proto).shape == ()
    assert tensors.decode(make(wire.DT_FLOAT, [0, 3], float_val=[1])).shape == (0, 3)
    assert tensors.decode(tensors.encode(np.zeros((2, 0), "S3"))).shape == (2, 0)


@pytest.mark.parametrize(
    ("proto", "words"),
    [
        (make(wire.DT_INVALID, []), "DT_INVALID"),
        (make(999, []), "999"),
        (make(wire.DT_RESOURCE, []), "DT_RESOURCE"),
        (make(wire.DT_FLOAT_REF, []), "DT_FLOAT_REF"),
        (make(wire.DT_FLOAT, [-1]), "negative"),
        (make(wire.DT_FLOAT, [1 << 40, 1 << 40]), "too many"),
        (make(wire.DT_FLOAT, [0, 1 << 40, 1 << 40]), "too many"),
        (make(wire.DT_FLOAT, [1] * 100), "dimensions"),
        (make(wire.DT_FLOAT, [1 << 30], float_val=[1]), "filling up"),
        (make(wire.DT_STRING, [1 << 30]), "filling up"),
        (make(wire.DT_FLOAT, [2], tensor_content=b"1234567"), "7 bytes"),
        (make(wire.DT_BOOL, [2], tensor_content=b"\0\2"), "bool"),
    ],
)
def test_what_is_no_tensor_is_malformed(proto, words):
    with pytest.raises(MalformedReply, match=words):
        tensors.decode(proto)


def test_bytes_that_do_not_parse_are_malformed():
    with pytest.raises(MalformedReply):
        tensors.decode(b"\x0a")
    with pytest.raises(MalformedReply):
        tensors.decode(b"\x22" + b"\x7f" * 2000)


def test_large_content_is_a_view_of_the_bytes_where_it_is_aligned():
    array = np.arange(4096, dtype=np.uint8)
    data = tensors.encode(array).SerializeToString()
    decoded = tensors.decode(data)
    assert np.shares_memory(decoded, np.frombuffer(data, np.uint8))
    assert not decoded.flags.writeable


def test_arrays_of_replies_are_aligned():
    for padding in range(8):
        data = tensors.encode(np.arange(4096.0)).SerializeToString()
        # An unknown field in front moves everything by some bytes.
        data = b"\xf2\x7f" + bytes((padding,)) + b"x" * padding + data
        assert tensors.decode(data).flags.aligned
        np.testing.assert_array_equal(tensors.decode(data), np.arange(4096.0))


def test_values_in_two_pieces_are_put_together_as_protobuf_does():
    half = make(wire.DT_INT64, [2000], int64_val=range(1000)).SerializeToString()
    rest = wire.TensorProto(int64_val=range(1000, 2000)).SerializeToString()
    assert tensors.decode(half + rest).tolist() == list(range(2000))


@pytest.mark.parametrize("array", [np.arange(6.0)[::2], np.arange(6.0).reshape(2, 3).T, np.arange(3, dtype=">i8")])
def test_an_array_of_any_layout_is_sent_by_its_values(array):
    np.testing.assert_array_equal(tensors.decode(tensors.encode(array)), array)


@given(hnp.arrays(hnp.integer_dtypes() | hnp.floating_dtypes(sizes=(16, 32, 64)), hnp.array_shapes(min_side=0)))
def test_any_array_of_numbers_survives(array):
    decoded = tensors.decode(tensors.encode(array))
    assert decoded.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(decoded, array)


@given(st.lists(st.integers(-(1 << 63), (1 << 63) - 1)), st.integers(1, 600))
def test_packed_integers_are_read_as_protobuf_reads_them(values, repeats):
    many = (values * repeats)[:4000]
    proto = make(wire.DT_INT64, [len(many)], int64_val=many)
    assert tensors.decode(proto).tolist() == many


@given(st.binary(max_size=64), st.binary(max_size=4), st.integers(0, 2000))
def test_any_bytes_are_read_or_malformed(front, back, middle):
    """The walk over bytes and protobuf must agree on what a message is, and never do anything else."""
    data = front + wire.TensorProto(float_val=[1.0] * middle).SerializeToString() + back
    try:
        whole = wire.TensorProto.FromString(data)
    except Exception:  # noqa: BLE001
        with pytest.raises(MalformedReply):
            tensors.decode(data)
        return
    try:
        expected = tensors.decode(_whole(whole))
    except (MalformedReply, DtypeUnavailable) as error:
        with pytest.raises(type(error)):
            tensors.decode(data)
        return
    np.testing.assert_array_equal(tensors.decode(data), expected)


def _whole(message):
    """The message in protobuf's own spelling: each field once, in order."""
    return wire.TensorProto.FromString(message.SerializeToString(deterministic=True))


def test_a_reply_has_the_same_outputs_walked_or_parsed(monkeypatch):
    reply = wire.PredictResponse(model_spec=wire.ModelSpec(name="m"))
    reply.outputs["é"].CopyFrom(tensors.encode(np.arange(900.0)))
    reply.outputs["s"].CopyFrom(tensors.encode("a"))
    # A second entry of one key wins over the first.
    data = reply.SerializeToString() + wire.PredictResponse(outputs={"s": tensors.encode("b")}).SerializeToString()
    walked = _reading.lift_reply(data)
    monkeypatch.setattr(_tensor_protos, "LIFT_BYTES", 1 << 30)
    parsed = _reading.lift_reply(data)
    assert walked.outputs.keys() == parsed.outputs.keys() == {"é", "s"}
    assert walked.model_spec == parsed.model_spec
    assert walked.outputs["s"].message == parsed.outputs["s"].message == tensors.encode("b")


def test_an_unknown_dtype_is_named_with_the_known_ones():
    with pytest.raises(InputError, match=r"'complex256'.*float32"):
        tensors.encode([1.0], "complex256")
    with pytest.raises(InputError, match="datetime64"):
        tensors.encode(np.array(["2020-01-01"], "datetime64[D]"))


def test_bfloat16_without_ml_dtypes_says_what_to_install(monkeypatch):
    proto = tensors.encode(np.ones(2, ml_dtypes.bfloat16))
    _dtypes._extension_dtype.cache_clear()
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(DtypeUnavailable, match="pip install"):
        tensors.decode(proto)
    with pytest.raises(DtypeUnavailable, match="bfloat16"):
        tensors.encode([1.0], "bfloat16")
    assert tensors.decode(tensors.encode([1.0])).tolist() == [1.0]
    _dtypes._extension_dtype.cache_clear()


def test_a_dtype_newer_than_ml_dtypes_says_so(monkeypatch):
    _dtypes._extension_dtype.cache_clear()
    monkeypatch.delattr(ml_dtypes, "int4")
    with pytest.raises(DtypeUnavailable, match="newer ml_dtypes"):
        tensors.encode([1], "int4")
    _dtypes._extension_dtype.cache_clear()


@pytest.mark.parametrize("repeats", [1, 40, 4000])
def test_values_that_are_not_packed_are_read_too(repeats):
    """Protobuf takes repeated numbers packed or one by one; so must the code that walks over them."""
    one_by_one = struct.pack("<Bf", 5 << 3 | 5, 2.5) * repeats
    data = make(wire.DT_FLOAT, [repeats + 1000], float_val=[1.5] * 1000).SerializeToString() + one_by_one
    assert tensors.decode(data).tolist() == [1.5] * 1000 + [2.5] * repeats
