"""A server with cached templates answers any request exactly as one with an empty cache."""

import threading

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from servable import wire
from servable.codec.message_patterns import find_value_spans
from tests.codec import any_requests, wire_bytes
from tests.codec.wire_bytes import CONTENT, FLOAT_VAL, INT_VAL, entry, number_field, sized, spec, tensor, varint
from tests.inference.asking import (
    INPUTS,
    SPARE,
    arrays_request,
    ask,
    floats_request,
    is_cached,
    model_routes,
    new_predict,
    outcome,
)
from tests.inference.together import run_together
from tests.properties.mutations import TELLING, mutated

PROPERTIES = settings(max_examples=200, deadline=None, derandomize=True, database=None)
TIMEOUT_S = 30.0


@st.composite
def other_values(draw, request):
    """The same request with other bytes where values are, or nearly there."""
    changed = bytearray(request)
    for span in find_value_spans(request, wire_bytes.INPUTS).values():
        size = span.stop - span.start
        content = draw(st.binary(min_size=min(size, 1), max_size=min(size, 9)))
        start = span.start + draw(st.sampled_from([0] * 9 + [-1, 1]))
        changed[start : start + size] = (content * size)[:size]
    return bytes(changed[: len(request)])


@st.composite
def other_bytes(draw, request):
    """The same request with a few other bytes anywhere."""
    changed = bytearray(request)
    for _ in range(draw(st.integers(1, 3))):
        index = draw(st.integers(0, max(len(request) - 1, 0)))
        content = draw(st.integers(0, 255).map(lambda byte: bytes([byte])) | TELLING)
        changed[index : index + len(content)] = content
    return bytes(changed[: len(request)])


@PROPERTIES
@given(request=any_requests.requests(INPUTS), as_content=st.booleans(), data=st.data())
def test_the_cache_changes_no_answer(request, as_content, data):
    routes = model_routes()
    warm = new_predict(routes, as_content=as_content)
    changes = st.one_of(*[other_values(request)] * 4, other_bytes(request), mutated([request]))
    others = [data.draw(changes) for _ in range(4)]
    for index, asked in enumerate([request, request, *others, request, *others]):
        # Routes of its own, so that its cache is empty.
        fresh = new_predict(model_routes(), as_content=as_content)
        expected = outcome(fresh, asked)
        assert outcome(warm, asked) == expected
        event(f"{'as it was' if asked == request else 'changed'}, {'answered' if len(expected) > 3 else 'refused'}")
        if index and len(expected) > 3:
            event(f"{'cached' if is_cached(warm, asked) else 'not cached'}")


@PROPERTIES
@given(requests=st.lists(any_requests.requests(INPUTS), min_size=2, max_size=5), data=st.data())
def test_requests_of_many_kinds_do_not_disturb_each_other(requests, data):
    warm = new_predict()
    for request in requests:
        outcome(warm, request)
    for request in requests:
        asked = data.draw(other_values(request))
        assert outcome(warm, asked) == outcome(new_predict(), asked)


F = wire.DT_FLOAT
ONE, TWO = b"\x00\x00\x80\x3f", b"\x00\x00\x00\x40"
CACHED = {
    "packed floats": (tensor(F, [1], sized(FLOAT_VAL, ONE)), ONE),
    "content": (tensor(F, [1], sized(CONTENT, ONE)), ONE),
    "int32 content": (tensor(wire.DT_INT32, [1, 1], sized(CONTENT, ONE)), ONE),
    "bfloat16 content": (tensor(wire.DT_BFLOAT16, [2], sized(CONTENT, ONE)), ONE),
    "qint8 content": (tensor(wire.DT_QINT8, [4], sized(CONTENT, ONE)), ONE),
    "int4 content": (tensor(wire.DT_INT4, [4], sized(CONTENT, ONE)), ONE),
    "a scalar": (tensor(F, [], sized(FLOAT_VAL, ONE)), ONE),
    "a long length": (tensor(F, [1], sized(FLOAT_VAL, ONE, padding=3)), ONE),
    "complex64": (tensor(wire.DT_COMPLEX64, [1], sized(9, ONE * 2)), ONE),
    "double": (tensor(wire.DT_DOUBLE, [1], sized(6, ONE * 2)), ONE),
}
NOT_CACHED = {
    "integers": tensor(wire.DT_INT32, [1], sized(INT_VAL, varint(300))),
    "small integers": tensor(wire.DT_UINT8, [2], sized(INT_VAL, b"\x05\x06")),
    "bools": tensor(wire.DT_BOOL, [2], sized(CONTENT, b"\x01\x00")),
    "typed bools": tensor(wire.DT_BOOL, [2], sized(11, b"\x01\x00")),
    "strings": tensor(wire.DT_STRING, [1], sized(8, b"abc")),
    "strings as content": tensor(wire.DT_STRING, [1], sized(CONTENT, b"\x03abc")),
    "fewer values": tensor(F, [2], sized(FLOAT_VAL, ONE)),
    "more values": tensor(F, [1], sized(FLOAT_VAL, ONE + TWO)),
    "no values": tensor(F, [1]),
    "one by one": tensor(F, [1], number_field(99, 1), b"\x2d" + ONE),
    "two pieces": tensor(F, [2], sized(FLOAT_VAL, ONE), sized(FLOAT_VAL, TWO)),
    "both": tensor(F, [1], sized(FLOAT_VAL, TWO), sized(CONTENT, ONE)),
    "the field of doubles": tensor(F, [1], sized(6, ONE * 2)),
    "half of ints": tensor(wire.DT_HALF, [2], sized(13, varint(300) * 2)),
}


@pytest.mark.parametrize("kind", CACHED)
def test_the_next_request_of_its_kind_is_read_by_a_template(kind):
    proto, content = CACHED[kind]
    request = spec("m") + entry("x", proto)
    other = request.replace(content, TWO)
    predict = new_predict()
    assert not is_cached(predict, request)
    assert is_cached(predict, request)
    assert is_cached(predict, other)
    assert outcome(predict, other) == outcome(new_predict(), other)


@pytest.mark.parametrize("kind", NOT_CACHED)
def test_values_that_are_no_raw_copy_are_parsed_each_time(kind):
    request = spec("m") + entry("x", NOT_CACHED[kind])
    predict = new_predict()
    assert [is_cached(predict, request) for _ in range(3)] == [False] * 3
    assert outcome(predict, request) == outcome(new_predict(), request)


@pytest.mark.parametrize("kind", NOT_CACHED)
def test_tensors_beside_a_view_are_constants(kind):
    request = spec("m", signature="two") + entry("x", CACHED["content"][0]) + entry("y", NOT_CACHED[kind])
    other = request.replace(ONE, TWO, 1)
    predict = new_predict()
    outcome(predict, request)
    assert is_cached(predict, other)
    assert outcome(predict, other) == outcome(new_predict(), other)
    changed = request[:-1] + bytes([request[-1] ^ 1])
    assert outcome(predict, changed) == outcome(new_predict(), changed)


@pytest.mark.parametrize("order", ["xy", "yx"])
def test_several_inputs_are_views_in_any_order(order):
    def make(**content):
        sent = [entry(alias, tensor(F, [1], sized(CONTENT, content[alias]))) for alias in order]
        return b"".join([spec("m", signature="two"), *sent])

    predict = new_predict()
    ask(predict, make(x=ONE, y=TWO))
    other = make(x=TWO, y=b"\x00\x00\x40\x40")
    run, _ = ask(predict, other)
    assert all(np.shares_memory(array, np.frombuffer(other, np.uint8)) for array in run.arrays)
    assert outcome(predict, other) == outcome(new_predict(), other)


def test_a_default_is_used_again_and_is_not_mixed_with_what_is_sent():
    absent, sent = floats_request(1, signature="spare"), spec("m", signature="spare") + entry("x", CACHED["content"][0])
    sent += entry("z", tensor(F, [1], sized(FLOAT_VAL, TWO)))
    predict = new_predict()
    for _ in range(3):
        for request in (absent, sent):
            assert outcome(predict, request) == outcome(new_predict(), request)
    run, _ = ask(predict, absent)
    (spare,) = (array for array in run.arrays if array.shape == SPARE.shape)
    assert spare.tobytes() == SPARE.tobytes()


CONSTANT = spec("m", signature="two") + entry("x", CACHED["content"][0]) + entry("y", NOT_CACHED["fewer values"])


def test_the_cache_shares_no_array_with_the_first_request():
    predict, seen = new_predict(), outcome(new_predict(), CONSTANT)
    write_into(ask(predict, CONSTANT)[0].arrays)
    assert outcome(predict, CONSTANT) == seen


@pytest.mark.parametrize("request_", [CONSTANT, floats_request(1, signature="spare")], ids=["constant", "default"])
def test_what_a_graph_writes_into_its_inputs_is_not_seen_by_the_next_request(request_):
    """TensorFlow feeds an array that lies at a multiple of 64 bytes as it is.

    Ops that work in place (InplaceAdd, a Python function) then write into it, whether or not NumPy would let them.
    """
    predict, seen = new_predict(), outcome(new_predict(), request_)
    for _ in range(3):
        assert outcome(predict, request_) == seen
        write_into(ask(predict, request_)[0].arrays)


def write_into(arrays):
    for array in arrays:
        if array.flags.writeable:
            array[...] = 7


def test_many_threads_store_and_find_at_once():
    """Requests of the same lengths and of different meaning, all new at the same moment."""
    labelled = {
        "": {},
        "v1": {"version": 1},
        "v2": {"version": 2},
        "old": {"label": "old"},
        "two": {"signature": "two"},
    }

    def make(kind, value):
        values = np.full((2, 3), value, np.float32)
        inputs = {"x": (values, F), "y": (values.T, F)} if kind == "two" else {"x": (values, F)}
        return arrays_request(inputs, **labelled[kind], as_content=value % 2 == 1)

    expected = {(kind, value): outcome(new_predict(), make(kind, value)) for kind in labelled for value in range(10)}
    predict, wrong = new_predict(), []

    def ask_all(barrier, offset):
        cases = sorted(expected)
        barrier.wait(TIMEOUT_S)
        for kind, value in cases[offset:] + cases[:offset]:
            got = outcome(predict, make(kind, value))
            if got != expected[kind, value]:
                wrong.append((kind, value, got))

    for attempt in range(10):
        barrier = threading.Barrier(8)
        predict = new_predict()
        run_together(ask_all, [(barrier, 3 * index + attempt) for index in range(8)])
    assert not wrong
