"""JSON is read as RapidJSON reads it: the same values, and the same errors at the same offsets."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable import wire
from servable.codec.json import exact, reading
from servable.codec.json.values import JsonObject, to_bytes
from servable.errors import InvalidArgument
from tests.codec.json.requests import inputs

INVALID = "Invalid value."
ESCAPE = "Invalid escape character in string."
ERRORS = [
    (b"", "The document is empty.", 0),
    (b" \n", "The document is empty.", 2),
    (b"\xef\xbb\xbf ", "The document is empty.", 4),
    (b"}", "The document is empty.", 0),
    (b"{", "Missing a name for object member.", 1),
    (b'{"a":}', INVALID, 5),
    (b'\xef\xbb\xbf{"a":}', INVALID, 8),
    (b'{"a":[1,]}', INVALID, 8),
    (b'{"a":1,}', "Missing a name for object member.", 7),
    (b'{"a":1,,}', "Missing a name for object member.", 7),
    (b"{a:1}", "Missing a name for object member.", 1),
    (b"{//c", "Missing a name for object member.", 1),
    (b'{"a" 1}', "Missing a colon after a name of object member.", 5),
    (b'{"a":1 "b":2}', "Missing a comma or '}' after an object member.", 7),
    (b'{"a":01}', "Missing a comma or '}' after an object member.", 6),
    (b'{"a":[1 2]}', "Missing a comma or ']' after an array element.", 8),
    (b"nan", INVALID, 1),
    (b'{"a":nan}', INVALID, 6),
    (b'{"a":tru}', INVALID, 8),
    (b'{"a":Na}', INVALID, 7),
    (b'{"a":Infi}', INVALID, 9),
    (b'{"a":-}', INVALID, 6),
    (b'{"a":+1}', INVALID, 5),
    (b'{"a":.5}', INVALID, 5),
    (b"{\"a\":'x'}", INVALID, 5),
    (b'{"a":1.}', "Miss fraction part in number.", 7),
    (b'{"a":1e}', "Miss exponent in number.", 7),
    (b'{"a":1e999}', "Number too big to be stored in double.", 5),
    (b'{"a":' + b"9" * 400 + b"}", "Number too big to be stored in double.", 5),
    (rb'{"a":"\x"}', ESCAPE, 6),
    (rb'{"a":"\u12"}', "Incorrect hex digit after \\u escape in string.", 6),
    (rb'{"a":"\ud800"}', "The surrogate pair in string is invalid.", 6),
    (b'{"a":"abc', "Missing a closing quotation mark in string.", 9),
    (b'{"a":"a\nb"}', ESCAPE, 7),
]


@pytest.mark.parametrize(("body", "reason", "offset"), ERRORS)
def test_an_error_has_the_text_and_the_offset_of_the_original(body, reason, offset):
    with pytest.raises(exact.MalformedJson) as raised:
        reading.read(body)
    assert (raised.value.reason, raised.value.offset) == (reason, offset)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"[1, 1.0, 1e0, -0, -0.0]", [1, 1.0, 1.0, 0, -0.0]),
        (b"18446744073709551615", 2**64 - 1),
        (b"18446744073709551616", float(2**64)),
        (b"-9223372036854775808", -(2**63)),
        (b"-9223372036854775809", -float(2**63)),
        (b"[Inf, -Inf, Infinity, -Infinity]", [math.inf, -math.inf, math.inf, -math.inf]),
        (b"1e-999", 0.0),
        (b"{} x", JsonObject([])),
        (b"\xef\xbb\xbf[]", []),
        (rb'"\u0041\u00e9\ud83d\ude00\/"', "Aé😀/"),
    ],
)
def test_a_value_that_python_reads_otherwise_or_not_at_all(body, value):
    read = exact.read(body)
    if isinstance(value, JsonObject):
        assert isinstance(read, JsonObject)
        assert read.members == value.members
        return
    assert read == value
    assert json.dumps(read) == json.dumps(value), "ints stay ints, and -0.0 keeps its sign"


def test_strings_that_are_no_text_keep_their_bytes():
    assert to_bytes(exact.read(rb'"\udc00"')) == b"\xed\xb0\x80"
    assert to_bytes(exact.read(b'"\xff\xc0"')) == b"\xff\xc0"


def test_the_first_member_of_a_name_is_found():
    for read in (exact.read, reading.read):
        assert read(b'{"a": 1, "a": 2}').get("a") == 1


def test_half_a_million_levels_are_read_and_refused_without_a_crash():
    depth = 500_000
    value = reading.read(b'{"x":' + b"[" * depth + b"]" * depth + b"}").get("x")
    for _ in range(depth - 1):
        (value,) = value
    assert value == []
    with pytest.raises(exact.MalformedJson):
        reading.read(b"[" * depth)


def test_more_levels_than_the_limit_are_refused(monkeypatch):
    monkeypatch.setattr(exact, "MOST_LEVELS", 2000)
    assert exact.read(b"[" * 2000 + b"]" * 2000)
    with pytest.raises(exact.MalformedJson, match="More than 2000 levels"):
        exact.read(b"[" * 2001 + b"]" * 2001)


def test_more_values_than_the_limit_are_refused_unless_they_are_arrays_of_numbers(monkeypatch):
    pytest.importorskip("simdjson")
    monkeypatch.setattr(reading, "MOST_VALUES", 1000)
    assert len(reading.read(b"[" + b"0," * 998 + b"0]")) == 999
    with pytest.raises(InvalidArgument, match="more than 1000 values"):
        reading.read(b"[" + b"0," * 1000 + b"0]")
    numbers = b'{"inputs": [' + b"0," * 1000 + b"0]}"
    assert reading.read_predict(numbers).read_tensors(inputs(x=wire.DT_FLOAT)).arrays["x"].shape == (1001,)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def plain(value):
    """JsonObjects as dicts, NaN as a text."""
    if isinstance(value, JsonObject):
        return {name: plain(item) for name, item in value.members}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return "NaN" if value != value else value  # noqa: PLR0124


@given(json_values, st.booleans())
def test_what_python_writes_is_read_by_both_readers_alike(value, ascii_only):
    body = json.dumps(value, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    read = exact.read(body)
    assert plain(read) == plain(reading.read(body)) == plain(json.loads(body, object_pairs_hook=JsonObject))


def outcome_of(read, body):
    """The value, or the text of the error."""
    try:
        return plain(read(body))
    except exact.MalformedJson as error:
        return str(error)


escapes = st.sampled_from(
    ["\\ud83d", "\\uDBff", "\\ude00", "\\uDC0f", "\\u0041", "\\", "\\\\", "\\uD8", "u", "d83d", "\ude00", "é"]
)


@given(st.lists(escapes, max_size=8).map("".join))
def test_surrogates_are_read_by_both_readers_alike(text):
    body = f'["{text}"]'.encode(errors="surrogatepass")
    assert outcome_of(reading.read, body) == outcome_of(exact.read, body)


def test_pairs_of_surrogates_are_left_to_python(monkeypatch):
    monkeypatch.setattr(exact, "read", None)
    text = "😀 and 𝄞"
    assert reading.read(json.dumps([text]).encode()) == [text]


@given(st.binary(max_size=40) | st.text('{}[]",:\\u0123eE+-.nulltrefasIfinityN \n', max_size=40).map(str.encode))
def test_python_accepts_nothing_that_the_exact_reader_refuses(body):
    assert outcome_of(reading.read, body) == outcome_of(exact.read, body)
