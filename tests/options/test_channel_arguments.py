"""The value of --grpc_channel_arguments."""

import pytest

from servable.errors import InvalidArgument
from servable.options import parse_channel_arguments


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", []),
        ("grpc.max_connection_age_ms=2000", [("grpc.max_connection_age_ms", 2000)]),
        (
            "grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb",
            [("grpc.max_connection_age_ms", 2000), ("grpc.lb_policy_name", "grpclb")],
        ),
        ("a=1,a=2", [("a", 1), ("a", 2)]),
        ("a=", [("a", "")]),
        ("=a", [("", "a")]),
        (" a = 1", [(" a ", 1)]),
    ],
)
def test_elements_are_read_in_their_order(text, arguments):
    assert parse_channel_arguments(text) == arguments


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("0", 0),
        ("-5", -5),
        ("+5", 5),
        ("007", 7),
        ("2147483647", 2147483647),
        ("-2147483648", -2147483648),
        ("0" * 20 + "1", 1),
    ],
)
def test_an_int32_is_an_int(value, read):
    assert parse_channel_arguments(f"k={value}") == [("k", read)]


@pytest.mark.parametrize("value", ["2147483648", "-2147483649", "9" * 5000, "1.0", "0x10", "1_0", "1 2", "true", "٨"])
def test_anything_else_is_a_string(value):
    assert parse_channel_arguments(f"k={value}") == [("k", value)]


def test_what_follows_a_second_equals_sign_is_dropped():
    assert parse_channel_arguments("a=b=c,d=1=2") == [("a", "b"), ("d", 1)]


@pytest.mark.behaviour("11.3", "an element without = is refused instead of a crash")
@pytest.mark.parametrize(
    ("text", "element"),
    [("a", "a"), ("a=1,b", "b"), ("a=1,", ""), (",a=1", ""), ("a=1,,b=2", ""), (" ", " ")],
)
def test_an_element_without_an_equals_sign_is_refused(text, element):
    with pytest.raises(InvalidArgument) as caught:
        parse_channel_arguments(text)
    assert caught.value.message == (
        f"grpc_channel_arguments: '{element}' has no '='. "
        "Expected key=value elements separated by commas, such as grpc.max_connection_age_ms=2000."
    )
