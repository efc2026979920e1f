"""How outputs are written: in the field of their dtype, or with the flag all as tensor_content."""

import struct

import numpy as np
import pytest

from servable import wire
from servable.codec import encoding
from tests.conformance.calls import PREDICTION_SERVICE, RUNS, predict, predict_request, values
from tests.conformance.tensors import KINDS, entries, number, tensor

EVERY_DTYPE = pytest.mark.parametrize("dtype", KINDS)


@pytest.fixture(params=RUNS, scope="module")
def in_fields(servers, request):
    return servers("dtypes", runs=request.param)


@pytest.fixture(params=RUNS, scope="module")
def as_content(servers, request):
    return servers("dtypes", runs=request.param, enable_serialization_as_tensor_content=True)


def identity(running, dtype, proto):
    return predict(running, "dtypes", {"x": proto}, f"identity_{dtype}").outputs["y"]


def set_fields(proto):
    return {field.name for field, _ in proto.ListFields()}


def sizes(proto):
    return [dim.size for dim in proto.tensor_shape.dim]


@pytest.mark.behaviour("1.4", "outputs are in the field of their dtype")
@EVERY_DTYPE
def test_values_are_in_the_field_of_the_dtype_and_nowhere_else(in_fields, dtype):
    kind = KINDS[dtype]
    reply = identity(in_fields, dtype, tensor(dtype, [2, 1], kind.content))
    assert set_fields(reply) == {"dtype", "tensor_shape", kind.field}
    assert reply.dtype == number(dtype)
    assert sizes(reply) == [2, 1]
    assert entries(reply, kind.field) == kind.first + kind.second


@pytest.mark.behaviour("1.4", "--enable_serialization_as_tensor_content: every dtype in tensor_content, strings too")
@pytest.mark.behaviour("5", "--enable_serialization_as_tensor_content")
@EVERY_DTYPE
def test_with_the_flag_values_of_every_dtype_are_tensor_content(as_content, dtype):
    kind = KINDS[dtype]
    reply = identity(as_content, dtype, tensor(dtype, [2, 1], **{kind.field: kind.first + kind.second}))
    assert set_fields(reply) == {"dtype", "tensor_shape", "tensor_content"}
    assert reply.dtype == number(dtype)
    assert sizes(reply) == [2, 1]
    assert reply.tensor_content == kind.content


@pytest.mark.behaviour("1.4", "outputs have their full length")
@EVERY_DTYPE
def test_equal_values_are_written_at_full_length(in_fields, dtype):
    kind = KINDS[dtype]
    reply = identity(in_fields, dtype, tensor(dtype, [1000], **{kind.field: kind.first}))
    assert entries(reply, kind.field) == kind.first * 1000


@pytest.mark.behaviour("1.4", "outputs have their full length")
def test_with_the_flag_equal_values_are_written_at_full_length(as_content):
    reply = identity(as_content, "float", tensor("float", [1000], float_val=[1.5]))
    assert reply.tensor_content == struct.pack("<f", 1.5) * 1000


@pytest.mark.behaviour("1.4", "an empty tensor is dtype and shape, a size of 0 is left out")
@EVERY_DTYPE
def test_an_empty_tensor_has_a_dtype_and_a_shape_only(in_fields, dtype):
    reply = identity(in_fields, dtype, tensor(dtype, [2, 0]))
    assert set_fields(reply) == {"dtype", "tensor_shape"}
    assert reply.dtype == number(dtype)
    assert sizes(reply) == [2, 0]


@pytest.mark.behaviour("1.4", "an empty tensor is dtype and shape, a size of 0 is left out")
@EVERY_DTYPE
def test_with_the_flag_an_empty_tensor_has_a_dtype_and_a_shape_only(as_content, dtype):
    reply = identity(as_content, dtype, tensor(dtype, [0]))
    assert set_fields(reply) == {"dtype", "tensor_shape"}
    assert sizes(reply) == [0]


@pytest.mark.behaviour("1.4", "a scalar has an empty tensor_shape, version_number is unset")
@EVERY_DTYPE
def test_a_scalar_has_an_empty_shape(in_fields, dtype):
    kind = KINDS[dtype]
    reply = identity(in_fields, dtype, tensor(dtype, [], **{kind.field: kind.second}))
    assert set_fields(reply) == {"dtype", "tensor_shape", kind.field}
    assert not sizes(reply)
    assert entries(reply, kind.field) == kind.second


@pytest.mark.behaviour("1.4", "a scalar has an empty tensor_shape, version_number is unset")
@EVERY_DTYPE
def test_with_the_flag_a_scalar_has_an_empty_shape(as_content, dtype):
    kind = KINDS[dtype]
    reply = identity(as_content, dtype, tensor(dtype, [], **{kind.field: kind.first}))
    assert set_fields(reply) == {"dtype", "tensor_shape", "tensor_content"}
    assert not sizes(reply)
    half = len(kind.content) // 2
    assert reply.tensor_content == (b"\x03one" if dtype == "string" else kind.content[:half])


@pytest.mark.behaviour("1.4", "an empty tensor is dtype and shape, a size of 0 is left out")
def test_a_size_of_zero_is_left_out_of_its_dimension(in_fields):
    """A reader sees `dim {}`: the alias y, dtype DT_FLOAT, then a shape of one dimension without a field."""
    request = predict_request("dtypes", {"x": tensor("float", [0])}, "identity_float")
    reply = in_fields.call(PREDICTION_SERVICE + "Predict", request.SerializeToString())
    assert b"\x0a\x01y\x12\x06\x08\x01\x12\x02\x12\x00" in reply


@pytest.mark.behaviour("1.4", "outputs are in the field of their dtype")
@pytest.mark.parametrize(
    ("dtype", "bits"),
    [
        ("half", [0x7C00, 0xFC00, 0x7E01, 0x8000, 0x0001]),
        ("bfloat16", [0x7F80, 0xFF80, 0x7FC1, 0x8000, 0x0001]),
    ],
)
def test_a_bit_pattern_comes_back_as_it_was_sent(in_fields, dtype, bits):
    """Infinities, a NaN with a payload, the negative zero and the smallest number."""
    assert list(identity(in_fields, dtype, tensor(dtype, [5], half_val=bits)).half_val) == bits


@pytest.mark.behaviour("1.4", "outputs are in the field of their dtype")
def test_numbers_that_are_none_come_back_bit_for_bit(in_fields):
    content = b"".join(struct.pack("<I", bits) for bits in (0x7F800000, 0xFF800000, 0x7FC00001, 0x80000000))
    reply = identity(in_fields, "float", tensor("float", [4], content))
    assert np.array(reply.float_val, np.float32).tobytes() == content


@pytest.mark.behaviour("1.4", "outputs are in the field of their dtype")
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "qint32"])
def test_a_negative_number_keeps_its_sign(in_fields, dtype):
    assert list(identity(in_fields, dtype, tensor(dtype, [1], int_val=[-100])).int_val) == [-100]


@pytest.mark.behaviour("1.4", "outputs are in the field of their dtype")
@pytest.mark.parametrize(
    ("dtype", "content", "means"), [("int4", b"\xf8\x08\x7f", [-8, -8, -1]), ("uint4", b"\xf8\x08\x7f", [8, 8, 15])]
)
def test_a_four_bit_number_is_what_is_in_its_four_bits(in_fields, dtype, content, means):
    assert list(identity(in_fields, dtype, tensor(dtype, [3], content)).int_val) == means


@pytest.mark.behaviour("1.4", "--enable_serialization_as_tensor_content: every dtype in tensor_content, strings too")
@pytest.mark.parametrize(
    ("sent", "content"),
    [
        ([b"", b"\xff\x00"], b"\x00\x02\xff\x00"),
        ([b"x" * 127, b"y" * 128], b"\x7f\x80\x01" + b"x" * 127 + b"y" * 128),
        ([b"x" * 20000], b"\xa0\x9c\x01" + b"x" * 20000),
    ],
    ids=["no_text", "two_byte_length", "three_byte_length"],
)
def test_with_the_flag_strings_are_lengths_and_then_bytes(as_content, sent, content):
    reply = identity(as_content, "string", tensor("string", [len(sent)], string_val=sent))
    assert reply.tensor_content == content


@pytest.mark.behaviour("1.4", "outputs are in the field of their dtype")
def test_a_matrix_is_written_row_by_row(in_fields):
    reply = identity(in_fields, "int32", tensor("int32", [2, 3], int_val=[1, 2, 3, 4, 5, 6]))
    assert sizes(reply) == [2, 3]
    assert list(reply.int_val) == [1, 2, 3, 4, 5, 6]


@pytest.mark.behaviour("1.4", "outputs are in the field of their dtype")
@pytest.mark.parametrize("in_content", [False, True])
@pytest.mark.parametrize(("dtype", "scalar"), [("float", np.float32), ("int16", np.int16), ("complex64", np.complex64)])
def test_an_array_that_does_not_lie_row_by_row_in_memory_is_written_so(dtype, scalar, in_content):
    rows = np.arange(6).reshape(2, 3).astype(scalar)
    straight, turned = wire.TensorProto(), wire.TensorProto()
    encoding.encode(rows, number(dtype), straight, as_content=in_content)
    encoding.encode(np.asfortranarray(rows), number(dtype), turned, as_content=in_content)
    assert turned == straight


@pytest.mark.behaviour("1.4", "outputs are in the field of their dtype")
@pytest.mark.parametrize("runs", RUNS)
def test_a_reference_variable_is_written_as_what_it_refers_to(servers, runs):
    reply = predict(servers("counter", runs=runs), "counter", signature="get_counter").outputs["output"]
    assert reply.dtype == number("float")


@pytest.mark.behaviour("1.4", "requests and replies of more than 4 MiB")
def test_a_reply_may_be_larger_than_4_mib(in_fields):
    sent = tensor("float", [3 << 20], float_val=[1.5])
    assert len(identity(in_fields, "float", sent).float_val) == 3 << 20


@pytest.mark.behaviour("1.4", "--enable_serialization_as_tensor_content: every dtype in tensor_content, strings too")
def test_with_the_flag_tools_read_numbers_as_before(as_content):
    assert values(identity(as_content, "double", tensor("double", [2], double_val=[1.5, -2.0]))) == [1.5, -2.0]
