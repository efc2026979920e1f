"""Where the values of tensors lie in a message, which messages fit a pattern, and which are made from one."""

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from servable import wire
from servable.codec import decoding
from servable.codec.message_patterns import MessagePattern, find_value_spans
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
        for alias, span in find_value_spans(message, INPUTS).items()
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
    for span in find_value_spans(message, INPUTS).values():
        assert span.start <= span.stop


@PROPERTIES
@given(request=requests({"": ["x"], "two": ["x", "y"]}), data=st.data())
def test_replacing_a_span_changes_nothing_else(request, data):
    """What the template cache relies on: every other field of the message is as before."""
    try:
        before = wire.PredictRequest.FromString(request)
    except DecodeError:
        return
    for alias, span in find_value_spans(request, INPUTS).items():
        number = before.inputs[alias].dtype if alias in before.inputs else 0
        if not decoding.is_raw_copy(span.field, number):
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


PATTERN_PROPERTIES = settings(max_examples=300, deadline=None, derandomize=True, database=None)
PIECES = st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=4)), max_size=4)


def joined(pieces, last):
    """A message of fixed parts and contents in turn, and where its holes are."""
    message, holes = b"", []
    for fixed, content in pieces:
        message += fixed
        holes.append((len(message), len(message) + len(content)))
        message += content
    return message + last, holes


@PATTERN_PROPERTIES
@given(pieces=PIECES, last=st.binary(max_size=4), other=st.data())
def test_a_message_fits_if_and_only_if_it_differs_in_holes(pieces, last, other):
    message, holes = joined(pieces, last)
    pattern = MessagePattern(message, holes)
    drawn = other.draw(st.binary(max_size=len(message) + 1)) + message
    changed = bytearray(message)
    for index in other.draw(st.lists(st.integers(0, max(len(message) - 1, 0)), max_size=2)) if message else ():
        changed[index] ^= 1
    for candidate in (message, bytes(changed), drawn, drawn[: len(message)], message + b"\0", message[:-1]):
        open_bytes = {index for start, stop in holes for index in range(start, stop)}
        expected = len(candidate) == len(message) and all(
            index in open_bytes or candidate[index] == message[index] for index in range(len(message))
        )
        assert pattern.fits(candidate) is expected


@PATTERN_PROPERTIES
@given(pieces=PIECES, last=st.binary(max_size=4), data=st.data())
def test_filled_holes_make_the_message(pieces, last, data):
    message, holes = joined(pieces, last)
    pattern = MessagePattern(message, holes)
    size = lambda content: st.binary(min_size=len(content), max_size=len(content))  # noqa: E731
    contents = [data.draw(size(content)) for _, content in pieces]
    expected, _ = joined([(fixed, new) for (fixed, _), new in zip(pieces, contents, strict=True)], last)
    assert pattern.fill(contents) == expected
    assert pattern.fits(expected)
    assert (pattern.size, pattern.fixed) == (len(message), len(message) - sum(map(len, contents)))


@pytest.mark.parametrize("array", [np.arange(2, dtype=np.uint8), np.array(258, np.uint16), np.zeros((2, 1), np.int8)])
def test_arrays_are_contents(array):
    assert MessagePattern(b"a--b", [(1, 3)]).fill([array]) == b"a" + array.tobytes() + b"b"


@pytest.mark.parametrize("contents", [[], [b"1", b"2"]])
def test_as_many_contents_as_holes(contents):
    with pytest.raises(ValueError, match="zip"):
        MessagePattern(b"a-b", [(1, 2)]).fill(contents)
