"""A few bytes must not claim all memory: what a tensor may take beyond what was sent for it.

The original gives memory for whatever a shape says; here a tensor that was not sent in full ends at 64 MiB.
"""

import tracemalloc

import pytest

from servable import wire
from servable.codec import decoding
from tests.conformance.calls import INVALID_ARGUMENT, RUNS, predict, predict_request, refusal, values
from tests.conformance.tensors import tensor

LIMIT_BYTES = 64 * 1024 * 1024
# What refusing may take: the message itself, an exception and some text.
SMALL_BYTES = 1024 * 1024

ABSURD = {
    "one_value": ("float", tensor("float", [1 << 40], float_val=[1.0])),
    "no_value": ("float", tensor("float", [1 << 20, 1 << 20])),
    "largest_shape": ("float", tensor("float", [(1 << 63) - 1], float_val=[1.0])),
    "content": ("float", tensor("float", [1 << 40], b"\x00\x00\x80\x3f")),
    "one_string": ("string", tensor("string", [1 << 40], string_val=[b"a"])),
    "no_string": ("string", tensor("string", [1 << 40])),
    "string_content": ("string", tensor("string", [1 << 40], b"\x01a")),
    "long_string": ("string", tensor("string", [1 << 20], string_val=[b"a" * (1 << 20)])),
}


def decode(proto):
    return decoding.decode(wire.TensorProto.FromString(proto.SerializeToString()))


def peak_bytes_of_refusing(proto):
    """The most memory that Python took at a time while it refused to decode a tensor."""
    message = wire.TensorProto.FromString(proto.SerializeToString())
    tracemalloc.start()
    try:
        with pytest.raises(decoding.MalformedTensor):
            decoding.decode(message)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(params=RUNS)
def running(servers, request):
    return servers("dtypes", runs=request.param)


@pytest.mark.behaviour("1.4", "unlike the original, a huge shape is refused before memory is taken")
@pytest.mark.parametrize("name", ABSURD)
def test_an_absurd_size_is_refused_and_the_next_call_is_answered(running, name):
    dtype, proto = ABSURD[name]
    reported = refusal(running.prediction.Predict, predict_request("dtypes", {"x": proto}, f"identity_{dtype}"))
    assert reported.code_and_text == (INVALID_ARGUMENT, "tensor parsing error: x")
    assert reported.hints["reason"]
    reply = predict(running, "dtypes", {"x": tensor("float", [2], float_val=[1.5])}, "identity_float")
    assert values(reply.outputs["y"]) == [1.5, 1.5]


@pytest.mark.behaviour("1.4", "unlike the original, a huge shape is refused before memory is taken")
@pytest.mark.parametrize("name", sorted(ABSURD.keys() - {"long_string"}))
def test_an_absurd_size_is_refused_before_memory_is_taken(name):
    assert peak_bytes_of_refusing(ABSURD[name][1]) < SMALL_BYTES


@pytest.mark.behaviour("1.4", "unlike the original, a huge shape is refused before memory is taken")
def test_a_long_string_is_copied_out_of_its_message_and_no_more():
    assert peak_bytes_of_refusing(ABSURD["long_string"][1]) < (1 << 20) + SMALL_BYTES


@pytest.mark.behaviour("1.4", "unlike the original, a huge shape is refused before memory is taken")
@pytest.mark.parametrize(
    ("dtype", "shape", "sent"),
    [
        ("uint8", [LIMIT_BYTES], {"int_val": [1]}),
        ("float", [LIMIT_BYTES // 4], {}),
        ("complex128", [4, LIMIT_BYTES // 64], {"dcomplex_val": [1.0, 2.0]}),
    ],
)
def test_filling_ends_at_64_mib(dtype, shape, sent):
    assert decode(tensor(dtype, shape, **sent)).nbytes == LIMIT_BYTES
    assert peak_bytes_of_refusing(tensor(dtype, [shape[0] + 1, *shape[1:]], **sent)) < SMALL_BYTES


# TensorFlow keeps a string in a cell of 24 bytes, and one that does not fit there beside it.
@pytest.mark.behaviour("1.4", "unlike the original, a huge shape is refused before memory is taken")
@pytest.mark.parametrize(
    ("most", "string"),
    [(LIMIT_BYTES // 24, b""), (LIMIT_BYTES // 24, b"a" * 22), (LIMIT_BYTES // (24 + 1000), b"a" * 1000)],
    ids=["empty", "short", "long"],
)
def test_filling_with_strings_ends_where_tensorflow_would_take_64_mib(most, string):
    assert len(decode(tensor("string", [most], string_val=[string]))) == most
    assert peak_bytes_of_refusing(tensor("string", [most + 1], string_val=[string])) < SMALL_BYTES


@pytest.mark.behaviour("1.4", "unlike the original, a huge shape is refused before memory is taken")
def test_what_is_sent_in_full_has_no_limit():
    content = bytes(LIMIT_BYTES + 1)
    assert decode(tensor("uint8", [LIMIT_BYTES + 1], content)).nbytes == LIMIT_BYTES + 1
