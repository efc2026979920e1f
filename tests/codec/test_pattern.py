"""Messages with holes: which fit, and which are made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.codec.pattern import Pattern

PROPERTIES = settings(max_examples=300, deadline=None, derandomize=True, database=None)
PIECES = st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=4)), max_size=4)


def joined(pieces, last):
    """A message of fixed parts and contents in turn, and where its holes are."""
    message, holes = b"", []
    for fixed, content in pieces:
        message += fixed
        holes.append((len(message), len(message) + len(content)))
        message += content
    return message + last, holes


@PROPERTIES
@given(pieces=PIECES, last=st.binary(max_size=4), other=st.data())
def test_a_message_fits_if_and_only_if_it_differs_in_holes(pieces, last, other):
    message, holes = joined(pieces, last)
    pattern = Pattern(message, holes)
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


@PROPERTIES
@given(pieces=PIECES, last=st.binary(max_size=4), data=st.data())
def test_filled_holes_make_the_message(pieces, last, data):
    message, holes = joined(pieces, last)
    pattern = Pattern(message, holes)
    size = lambda content: st.binary(min_size=len(content), max_size=len(content))  # noqa: E731
    contents = [data.draw(size(content)) for _, content in pieces]
    expected, _ = joined([(fixed, new) for (fixed, _), new in zip(pieces, contents, strict=True)], last)
    assert pattern.fill(contents) == expected
    assert pattern.fits(expected)
    assert (pattern.size, pattern.fixed) == (len(message), len(message) - sum(map(len, contents)))


@pytest.mark.parametrize("array", [np.arange(2, dtype=np.uint8), np.array(258, np.uint16), np.zeros((2, 1), np.int8)])
def test_arrays_are_contents(array):
    assert Pattern(b"a--b", [(1, 3)]).fill([array]) == b"a" + array.tobytes() + b"b"


@pytest.mark.parametrize("contents", [[], [b"1", b"2"]])
def test_as_many_contents_as_holes(contents):
    with pytest.raises(ValueError, match="zip"):
        Pattern(b"a-b", [(1, 2)]).fill(contents)
