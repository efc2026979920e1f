"""A value is quoted in errors as RapidJSON's PrettyWriter prints it, up to some 256 bytes."""

import math

import pytest

from servable.codec.json import reading
from servable.codec.json.dump import dump


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"null", "null"),
        (b"[]", "[]"),
        (b"{}", "{}"),
        (b'[1, 2.0, true, "a"]', '[1, 2.0, true, "a"]'),
        (b'{"a":1,"b":[1,{"c":{}}]}', '{\n    "a": 1,\n    "b": [1, {\n            "c": {}\n        }]\n}'),
        (b'{"a":1,"a":2}', '{\n    "a": 1,\n    "a": 2\n}'),
        (b"[1, NaN, 2]", "[1, "),
        (b'{"n": Inf}', '{\n    "n": '),
        (rb'"\u0001\u001f\b\f\n\r\t\"\\/<\u007f"', r'"\u0001\u001F\b\f\n\r\t\"\\/<' + '\x7f"'),
    ],
)
def test_a_value_is_printed_in_the_layout_of_the_original(body, text):
    assert dump(reading.read(body)) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.5, "0.5"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (-1.25e-9, "-1.25e-9"),
        (123456.789, "123456.789"),
        (1e20, "100000000000000000000.0"),
        (1e21, "1e21"),
        (1.5e300, "1.5e300"),
    ],
)
def test_a_double_is_printed_with_its_shortest_digits(number, text):
    assert dump(number) == text


def test_the_text_ends_before_the_first_event_after_256_bytes():
    long = "x" * 1000
    assert dump([long, 1]) == f'["{long}"'
    whole = "[" + ", ".join(map(str, range(1000))) + "]"
    assert dump(list(range(1000))) == whole[: whole.index(",", 255)]
    assert dump([[math.nan]]) == "[["


def test_of_a_string_as_long_as_a_body_the_beginning_is_printed():
    assert dump("x" * 20_000_000) == f'"{"x" * 4096}"'
