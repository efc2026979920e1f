"""What a TensorProto means, for every dtype, as an identity signature gives it back (TensorFlow: tensor.cc)."""

import ml_dtypes
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2

from tests.conformance.calls import INVALID_ARGUMENT, RUNS, predict, predict_request, refusal, refused_predict
from tests.conformance.tensors import FIELDS, KINDS, entries, number, tensor

EVERY_DTYPE = pytest.mark.parametrize("dtype", KINDS)
FIXED_SIZE = pytest.mark.parametrize("dtype", sorted(KINDS.keys() - {"string"}))
MALFORMED = (INVALID_ARGUMENT, "tensor parsing error: x")

STRAY = {"float8_val": b"\x3c", "string_val": [b"stray"], "bool_val": [True]}


@pytest.fixture(params=RUNS, scope="module")
def running(servers, request):
    return servers("dtypes", runs=request.param)


def identity(running, dtype, proto):
    """The tensor that comes back for a tensor."""
    reply = predict(running, "dtypes", {"x": proto}, f"identity_{dtype}").outputs["y"]
    assert reply.dtype == number(dtype)
    return reply


def identity_values(running, dtype, proto):
    """What the field of the dtype holds in the tensor that comes back."""
    return entries(identity(running, dtype, proto), KINDS[dtype].field)


def refused_tensor(running, proto, dtype="float"):
    return refused_predict(running, "dtypes", {"x": proto}, f"identity_{dtype}")


@pytest.mark.behaviour("1.4", "values travel in the field of their dtype")
@EVERY_DTYPE
def test_values_travel_in_the_field_of_their_dtype(running, dtype):
    kind = KINDS[dtype]
    proto = tensor(dtype, [2], **{kind.field: kind.first + kind.second})
    assert identity_values(running, dtype, proto) == kind.first + kind.second


@pytest.mark.behaviour("1.4", "tensor_content wins, and has the exact length")
@EVERY_DTYPE
def test_values_travel_as_tensor_content(running, dtype):
    kind = KINDS[dtype]
    assert identity_values(running, dtype, tensor(dtype, [2], kind.content)) == kind.first + kind.second


@pytest.mark.behaviour("1.4", "tensor_content wins, and has the exact length")
@EVERY_DTYPE
def test_tensor_content_wins_over_values(running, dtype):
    kind = KINDS[dtype]
    proto = tensor(dtype, [2], kind.content, **{kind.field: kind.second + kind.first})
    assert identity_values(running, dtype, proto) == kind.first + kind.second


@pytest.mark.behaviour("1.4", "a string that ends in zero bytes fills as it is")
def test_a_string_that_ends_in_zero_bytes_fills_as_it_is(running):
    proto = tensor("string", [3], string_val=[b"a\0", b"b\0\0"])
    assert identity_values(running, "string", proto) == [b"a\0", b"b\0\0", b"b\0\0"]


@pytest.mark.behaviour("1.4", "the last value fills what is missing")
@EVERY_DTYPE
def test_the_last_value_fills_what_is_missing(running, dtype):
    kind = KINDS[dtype]
    proto = tensor(dtype, [2, 2], **{kind.field: kind.first + kind.second})
    assert identity_values(running, dtype, proto) == kind.first + kind.second * 3


@pytest.mark.behaviour("1.4", "no values are zeros, empty strings, false")
@EVERY_DTYPE
def test_no_values_at_all_mean_zeros(running, dtype):
    assert identity_values(running, dtype, tensor(dtype, [3])) == KINDS[dtype].zero * 3


@pytest.mark.behaviour("1.4", "surplus values are dropped")
@EVERY_DTYPE
def test_surplus_values_are_dropped(running, dtype):
    kind = KINDS[dtype]
    proto = tensor(dtype, [1], **{kind.field: kind.first + kind.second * 2})
    assert identity_values(running, dtype, proto) == kind.first


@pytest.mark.behaviour("1.4", "values in another field count as absent")
@EVERY_DTYPE
def test_values_in_the_fields_of_other_dtypes_count_as_absent(running, dtype):
    kind = KINDS[dtype]
    stray = {field: STRAY.get(field, [9, 9]) for field in FIELDS if field != kind.field}
    assert identity_values(running, dtype, tensor(dtype, [2], **stray)) == kind.zero * 2


@pytest.mark.behaviour("1.4", "a size of 0 is an empty tensor")
@EVERY_DTYPE
def test_a_size_of_zero_is_an_empty_tensor_whatever_else_is_sent(running, dtype):
    kind = KINDS[dtype]
    reply = identity(running, dtype, tensor(dtype, [2, 0], kind.content, **{kind.field: kind.first}))
    assert [dim.size for dim in reply.tensor_shape.dim] == [2, 0]
    assert not entries(reply, kind.field)


@pytest.mark.behaviour("1.4", "an unknown rank without dimensions is a scalar")
@EVERY_DTYPE
def test_no_dimensions_are_a_scalar(running, dtype):
    kind = KINDS[dtype]
    reply = identity(running, dtype, tensor(dtype, [], **{kind.field: kind.second}))
    assert not reply.tensor_shape.dim
    assert entries(reply, kind.field) == kind.second


@pytest.mark.behaviour("1.4", "tensor_content wins, and has the exact length")
@pytest.mark.behaviour("12", "Predict: tensor_content of a wrong length, a dtype or a shape that is none")
@FIXED_SIZE
@pytest.mark.parametrize(("count", "sent"), [(2, slice(-1)), (3, slice(None)), (1, slice(None))])
def test_tensor_content_of_another_length_is_refused(running, dtype, count, sent):
    assert refused_tensor(running, tensor(dtype, [count], KINDS[dtype].content[sent]), dtype) == MALFORMED


@pytest.mark.behaviour("1.4", "an unknown rank without dimensions is a scalar")
def test_a_tensor_without_a_shape_is_a_scalar(running):
    assert identity_values(running, "float", tensor_pb2.TensorProto(dtype=number("float"), float_val=[2.5])) == [2.5]


@pytest.mark.behaviour("1.4", "an unknown rank without dimensions is a scalar")
def test_an_unknown_rank_is_a_scalar(running):
    proto = tensor("float", [], float_val=[2.5])
    proto.tensor_shape.unknown_rank = True
    reply = identity(running, "float", proto)
    assert reply.tensor_shape == tensor_shape_pb2.TensorShapeProto()
    assert list(reply.float_val) == [2.5]


@pytest.mark.behaviour("1.4", "names of dimensions are ignored")
def test_names_of_dimensions_are_ignored(running):
    proto = tensor("float", [1], float_val=[2.5])
    proto.tensor_shape.dim[0].name = "batch"
    assert not identity(running, "float", proto).tensor_shape.dim[0].name


@pytest.mark.behaviour("1.4", "dtype 0, an unknown one, a reference")
@pytest.mark.behaviour("12", "Predict: tensor_content of a wrong length, a dtype or a shape that is none")
@pytest.mark.parametrize(
    "refused",
    [0, 34, 99, 101, 107, 120, -1],
    ids=["invalid", "unused", "unknown", "ref", "string_ref", "ref", "negative"],
)
def test_a_dtype_that_is_none_is_refused(running, refused):
    assert refused_tensor(running, tensor(refused, [1])) == MALFORMED


OTHER_DTYPES = [
    (21, "variant"),
    # Those that the installed TensorFlow knows.
    *(
        (number, name)
        for number, name in [(27, "float8_e4m3b11fnuz"), (31, "int2"), (32, "uint2"), (33, "float4_e2m1fn")]
        if hasattr(ml_dtypes, name)
    ),
]
RESOURCE_HINT = (
    "). Perhaps a resource tensor was being provided as a feed? That is not currently allowed. Please file an issue at "
    "https://github.com/tensorflow/tensorflow/issues/new, ideally with a short code snippet that leads to this error "
    "message."
)


@pytest.mark.behaviour("1.4", "dtypes that no signature here takes are called by their names")
@pytest.mark.parametrize("sizes", [[], [1], [0], [1 << 20]], ids=str)
@pytest.mark.parametrize(
    ("refused", "name"),
    [(21, "variant"), (31, "int2"), (32, "uint2"), (33, "float4_e2m1fn"), (27, "float8_e4m3b11fnuz")],
)
def test_another_dtype_is_called_by_its_name(running, refused, name, sizes):
    text = f"Expects arg[0] to be float but {name} is provided"
    assert refused_tensor(running, tensor(refused, sizes)) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "a resource is refused before dtypes are compared, by its name and type")
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "0(name:  type: "),
        ({"name": "n"}, "0(name: n type: "),
        ({"name": "n", "maybe_type_name": "t", "hash_code": 2**64 - 1}, "18446744073709551615(name: n type: t"),
    ],
    ids=["none", "named", "whole"],
)
def test_a_resource_is_refused_by_its_name(running, fields, said):
    proto = tensor("resource", [1])
    proto.resource_handle_val.add(**fields)
    text = f"Invalid resource type hash code: {said}{RESOURCE_HINT}"
    assert refused_tensor(running, proto) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "a resource is refused before dtypes are compared, by its name and type")
def test_a_resource_of_a_session_is_not_in_its_store(running):
    proto = tensor("resource", [])
    proto.resource_handle_val.add(name="h", container="TensorHandle")
    text = "The tensor with handle 'h' is not in the session store."
    assert refused_tensor(running, proto) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "a resource is refused before dtypes are compared, by its name and type")
@pytest.mark.parametrize("dtype", ["resource", "variant"])
def test_outputs_are_checked_before_what_cannot_be_fed(running, dtype):
    refused = refused_predict(running, "dtypes", {"x": tensor(dtype, [])}, "identity_float", outputs=["nope"])
    assert refused[1].startswith("output tensor alias not found in signature: nope")


@pytest.mark.behaviour("1.4", "a variant that TensorFlow cannot read is no tensor")
@pytest.mark.parametrize(
    ("name", "metadata", "is_tensor"),
    [
        *((name, bytes(size), True) for name, size in [("int", 4), ("float", 4), ("bool", 1), ("double", 8)]),
        *((name, bytes(3), False) for name in ("int", "float", "bool", "double", "", "unknown")),
    ],
)
def test_a_variant_that_tensorflow_reads_is_called_one(running, name, metadata, is_tensor):
    proto = tensor("variant", [1])
    proto.variant_val.add(type_name=name, metadata=metadata)
    try:
        tf.io.parse_tensor(proto.SerializeToString(), tf.variant)
    except tf.errors.InvalidArgumentError:
        assert not is_tensor
    else:
        assert is_tensor
    text = "Expects arg[0] to be float but variant is provided"
    assert refused_tensor(running, proto) == ((INVALID_ARGUMENT, text) if is_tensor else MALFORMED)


@pytest.mark.behaviour("1.4", "tensor parsing error: a resource or a variant of a bad shape")
@pytest.mark.parametrize("dtype", ["resource", "variant"])
@pytest.mark.parametrize("malformed", [{"sizes": [-1]}, {"sizes": [1 << 40]}, {"sizes": [1], "content": b"1"}], ids=str)
def test_a_resource_or_variant_is_a_tensor_first(running, dtype, malformed):
    proto = tensor(dtype, malformed["sizes"], malformed.get("content", b""))
    assert refused_tensor(running, proto) == MALFORMED


@pytest.mark.behaviour("1.4", "negative sizes, an overflow, more than 254 dimensions")
@pytest.mark.behaviour("12", "Predict: tensor_content of a wrong length, a dtype or a shape that is none")
@pytest.mark.parametrize(
    "shape",
    [
        [-1],
        [2, -1],
        [0, -1],
        [1 << 32, 1 << 31],
        [1 << 62, 2],
        [1 << 40, 1 << 40, 0],
        [1] * 255,
    ],
    ids=["negative", "negative_inside", "negative_behind_zero", "2^63", "overflow", "overflow_before_zero", "255"],
)
def test_a_shape_that_is_none_is_refused(running, shape):
    assert refused_tensor(running, tensor("float", shape, float_val=[1.0])) == MALFORMED


@pytest.mark.behaviour("1.4", "unlike the original, a tensor has at most 32 dimensions")
def test_32_dimensions_are_carried(running):
    reply = identity(running, "float", tensor("float", [1] * 32, float_val=[1.5]))
    assert [dim.size for dim in reply.tensor_shape.dim] == [1] * 32


@pytest.mark.behaviour("1.4", "unlike the original, a tensor has at most 32 dimensions")
@pytest.mark.parametrize("shape", [[1] * 33, [1] * 254, [0, 1 << 40, 1 << 40]], ids=["33", "254", "zero_times_huge"])
def test_a_shape_that_numpy_cannot_hold_is_refused_unlike_by_the_original(running, shape):
    assert refused_tensor(running, tensor("float", shape, float_val=[1.0])) == MALFORMED


@pytest.mark.behaviour("1.4", "unlike the original, the sizes of a tensor without elements have a limit")
@pytest.mark.parametrize("shape", [[0, 1 << 31], [1 << 16, 0, 1 << 15], [1 << 62, 0]])
@pytest.mark.parametrize("dtype", ["float", "string"])
def test_sizes_that_kernels_cannot_multiply_are_refused_unlike_by_the_original(running, dtype, shape):
    assert refused_tensor(running, tensor(dtype, shape), dtype) == MALFORMED


@pytest.mark.behaviour("1.4", "unlike the original, the sizes of a tensor without elements have a limit")
@pytest.mark.parametrize("shape", [[0, (1 << 31) - 1], [1 << 16, 0, (1 << 15) - 1], [0, 0, 0]])
def test_sizes_below_the_limit_are_carried_without_elements(running, shape):
    reply = identity(running, "float", tensor("float", shape))
    assert [dim.size for dim in reply.tensor_shape.dim] == shape


@pytest.mark.behaviour("1.4", "values of int_val and half_val wrap around")
@pytest.mark.parametrize(
    ("dtype", "sent", "means"),
    [
        ("int8", [300, -129], [44, 127]),
        ("qint8", [300, -129], [44, 127]),
        ("uint8", [300, -1], [44, 255]),
        ("quint8", [300, -1], [44, 255]),
        ("int16", [40000, -32769], [-25536, 32767]),
        ("qint16", [40000, -32769], [-25536, 32767]),
        ("uint16", [65537, -1], [1, 65535]),
        ("quint16", [65537, -1], [1, 65535]),
        ("int4", [8, 300], [-8, -4]),
        ("uint4", [-8, 300], [8, 12]),
        ("half", [0x13C00, -1], [0x3C00, 0xFFFF]),
        ("bfloat16", [0x13F80, -1], [0x3F80, 0xFFFF]),
    ],
)
def test_values_out_of_range_wrap_around(running, dtype, sent, means):
    field = KINDS[dtype].field
    assert identity_values(running, dtype, tensor(dtype, [2], **{field: sent})) == means


@pytest.mark.behaviour("1.4", "tensor_content of a bool holds 0 and 1")
@pytest.mark.parametrize("content", [b"\x02", b"\xff"])
def test_tensor_content_of_a_bool_holds_zeros_and_ones_only(running, content):
    assert refused_tensor(running, tensor("bool", [1], content), "bool") == MALFORMED


@pytest.mark.behaviour("1.4", "surplus values are dropped")
@pytest.mark.parametrize(
    ("dtype", "sent", "means"),
    [
        ("complex64", [1.0, 2.0, 3.0], [1.0, 2.0, 1.0, 2.0]),
        ("complex128", [1.0], [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_half_a_complex_number_is_dropped(running, dtype, sent, means):
    field = KINDS[dtype].field
    assert identity_values(running, dtype, tensor(dtype, [2], **{field: sent})) == means


@pytest.mark.behaviour("1.4", "tensor_content of strings is lengths, then bytes")
@pytest.mark.parametrize(
    ("content", "means"),
    [
        (b"\x01\x02abc", [b"a", b"bc"]),
        (b"\x00\x00", [b"", b""]),
        (b"\xac\x02\x01" + b"x" * 300 + b"y", [b"x" * 300, b"y"]),
        (b"\x81\x80\x00\x01ab", [b"a", b"b"]),
        (b"\x02\x01\xff\x00\xfe", [b"\xff\x00", b"\xfe"]),
    ],
    ids=["short", "empty", "two_byte_length", "padded_length", "no_text"],
)
def test_strings_travel_as_lengths_and_then_bytes(running, content, means):
    assert identity_values(running, "string", tensor("string", [2], content)) == means


@pytest.mark.behaviour("1.4", "tensor_content of strings is lengths, then bytes")
@pytest.mark.parametrize(
    "content",
    [
        b"\x01",
        b"\x01\x02ab",
        b"\x01\x02abcd",
        b"\x01\x82",
        b"\xff\xff\xff\xff\x0f\x01ab",
        b"\x80\x80\x80\x80\x80\x80\x01\x01ab",
    ],
    ids=["one_length_missing", "bytes_missing", "bytes_left", "length_cut", "4_GiB", "length_too_long"],
)
def test_string_content_that_does_not_add_up_is_refused(running, content):
    assert refused_tensor(running, tensor("string", [2], content), "string") == MALFORMED


@pytest.mark.behaviour("1.4", "strings need not be UTF-8")
def test_strings_need_not_be_text(running):
    sent = [b"\xff\xfe\x00", "ü".encode()]
    assert identity_values(running, "string", tensor("string", [2], string_val=sent)) == sent


@pytest.mark.behaviour("1.4", "ours: why a tensor is refused is a hint")
@pytest.mark.parametrize(
    ("proto", "reason"),
    [
        (tensor("float", [2], b"abc"), "tensor_content has 3 bytes; 2 values of float take 8"),
        (tensor("float", [-5]), "shape [-5] has a negative size or too many elements"),
        (tensor(101, [1]), "dtype DT_FLOAT_REF cannot be sent as a tensor"),
        (tensor(99, [1]), "dtype 99 cannot be sent as a tensor"),
        (tensor("float", [1] * 33), "33 dimensions; at most 32 are supported"),
        (tensor("float", [0, 1 << 31]), "shape [0, 2147483648] is too large even without elements"),
    ],
    ids=["length", "shape", "dtype", "number", "dimensions", "empty"],
)
def test_the_reason_travels_as_a_hint(running, proto, reason):
    reported = refusal(running.prediction.Predict, predict_request("dtypes", {"x": proto}, "identity_float"))
    assert reported.code_and_text == MALFORMED
    assert reported.hints["reason"] == reason
