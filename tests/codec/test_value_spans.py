"""Where the values of tensors lie in a message, and that whatever stands there is all that changes."""

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from servable import wire
from servable.codec import decoding, value_spans
from tests.codec.any_requests import requests
from tests.codec.wire_bytes import (
    CONTENT,
    DTYPE,
    FIXED_64,
    FLOAT_VAL,
    INPUTS,
    INT_VAL,
    KEY,
    VALUE,
    entry,
    group,
    number_field,
    shape,
    sized,
    spec,
    tag,
    tensor,
    varint,
)

FLOATS = b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
X = tensor(wire.DT_FLOAT, [2], sized(FLOAT_VAL, FLOATS))
PROPERTIES = settings(max_examples=400, deadline=None, derandomize=True, database=None)


def texts(message):
    """The field and the bytes of each span, by alias."""
    return {
        alias: (span.field, message[span.start : span.stop])
        for alias, span in value_spans.find(message, INPUTS).items()
    }


def test_packed_values_and_content_are_found_wherever_they_stand():
    y = tensor(wire.DT_INT64, [1], sized(CONTENT, bytes(range(8))))
    message = entry("y", y) + spec("m", signature="s") + entry("x", X) + sized(3, b"out")
    assert texts(message) == {"x": (FLOAT_VAL, FLOATS), "y": (CONTENT, bytes(range(8)))}


def test_what_comes_before_and_after_the_values_does_not_matter():
    odd = sized(FLOAT_VAL, FLOATS, padding=2) + number_field(3, 5) + shape(2) + number_field(DTYPE, 1)
    message = sized(
        INPUTS, number_field(9, 300) + sized(VALUE, odd) + tag(9, 5) + b"\x12\x00\x12\x00" + sized(KEY, b"x")
    )
    assert texts(message) == {"x": (FLOAT_VAL, FLOATS)}


@pytest.mark.parametrize(
    "values",
    [
        [],
        [sized(FLOAT_VAL, FLOATS[:4]), sized(FLOAT_VAL, FLOATS[4:])],
        [sized(FLOAT_VAL, FLOATS), sized(FLOAT_VAL, b"")],
        [sized(FLOAT_VAL, FLOATS), sized(CONTENT, FLOATS)],
        [sized(FLOAT_VAL, FLOATS[:4]), tag(FLOAT_VAL, 5) + FLOATS[4:]],
        [tag(FLOAT_VAL, 5) + FLOATS[4:]],
        [number_field(INT_VAL, 1)],
        [sized(FLOAT_VAL, FLOATS), number_field(100, 1)],
        [group(100), sized(FLOAT_VAL, FLOATS)],
    ],
    ids=["none", "pieces", "an empty piece", "content too", "one more", "one", "a varint", "an unknown field", "group"],
)
def test_values_that_are_not_there_once_and_in_one_piece_are_left_out(values):
    assert texts(entry("x", tensor(wire.DT_FLOAT, [2], *values))) == {}


@pytest.mark.parametrize(
    "message",
    [
        entry("x", X) + entry("x", X),
        entry("x", X) + entry("x", X) + entry("x", X),
        entry("x", X) + entry("x", tensor(wire.DT_FLOAT, [2])),
        entry("x", tensor(wire.DT_FLOAT, [2])) + entry("x", X),
        sized(INPUTS, sized(KEY, b"x") + sized(VALUE, X) + sized(VALUE, X)),
        sized(INPUTS, sized(KEY, b"x") + sized(VALUE, X) + sized(VALUE, b"")),
        sized(INPUTS, sized(KEY, b"x")),
    ],
    ids=["twice", "thrice", "then without", "first without", "two values", "a second, empty value", "no value"],
)
def test_tensors_that_are_sent_twice_or_not_at_all_are_left_out(message):
    assert "x" not in texts(message)
    assert texts(message + entry("y", X)) == {"y": (FLOAT_VAL, FLOATS)}


def test_the_last_key_counts_and_none_is_an_empty_one():
    several = sized(INPUTS, sized(KEY, b"y") + sized(VALUE, X) + sized(KEY, b"x"))
    assert texts(several + sized(INPUTS, sized(VALUE, X))) == {"x": (FLOAT_VAL, FLOATS), "": (FLOAT_VAL, FLOATS)}


def test_other_fields_are_no_tensors():
    assert texts(spec("m") + sized(3, sized(KEY, b"x") + sized(VALUE, X)) + number_field(INPUTS, 1)) == {}
    # Eight bytes that would be an entry, if they were not a number.
    number = sized(VALUE, sized(FLOAT_VAL, FLOATS[:4]))
    assert len(number) == 8
    assert texts(tag(INPUTS, FIXED_64) + number) == {}


@pytest.mark.parametrize("rest", [b"\xff", tag(INPUTS, 2), group(9), b"\x07"])
def test_what_ends_early_or_has_groups_has_no_spans(rest):
    message = entry("x", X) + rest
    assert texts(message) == {}


@PROPERTIES
@given(st.binary(max_size=60))
def test_any_bytes_are_looked_through(message):
    for span in value_spans.find(message, INPUTS).values():
        assert span.start <= span.stop


@PROPERTIES
@given(request=requests({"": ["x"], "two": ["x", "y"]}), data=st.data())
def test_whatever_stands_in_a_span_is_all_that_changes(request, data):
    """The promise that requests are known by: every other field of the message is as before."""
    try:
        before = wire.PredictRequest.FromString(request)
    except DecodeError:
        return
    for alias, span in value_spans.find(request, INPUTS).items():
        number = before.inputs[alias].dtype if alias in before.inputs else 0
        if not decoding.is_as_is(span.field, number):
            continue
        size = span.stop - span.start
        other = data.draw(st.binary(min_size=size, max_size=size))
        after = wire.PredictRequest.FromString(request[: span.start] + other + request[span.stop :])
        name = wire.TensorProto.DESCRIPTOR.fields_by_number[span.field].name
        own = after.inputs[alias].SerializeToString()
        assert own.count(varint(size) + other) >= 1 or not size
        for message in (before, after):
            message.inputs[alias].ClearField(name)
        assert after.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)
        before = wire.PredictRequest.FromString(request)
