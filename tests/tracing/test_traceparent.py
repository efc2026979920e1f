"""W3C Trace Context: what is read, what is refused, and what is bounded. See tests/properties/test_trace_context.py."""

import pytest

from servable.tracing import traceparent
from servable.tracing.traceparent import RANDOM, SAMPLED, TraceParent

ID, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"00-{ID}-{SPAN}",
        f"00-{ID}-{SPAN}-1",
        f"00-{ID}-{SPAN}-01-",
        f"00-{ID}-{SPAN}-01 ",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"ff-{ID}-{SPAN}-01",
        f"01-{ID}-{SPAN}-01what",
        f"01-{ID}-{SPAN}-01-{'a' * 512}",
        f"00-{ID}-{SPAN}-0g",
    ],
)
def test_what_is_malformed_is_as_if_it_had_not_been_sent(text):
    assert traceparent.parse(text) is None


@pytest.mark.parametrize("text", [f"01-{ID}-{SPAN}-01", f"cc-{ID}-{SPAN}-01-what-comes", f"cc-{ID}-{SPAN}-01-"])
def test_of_a_later_version_the_part_is_read_that_this_one_has(text):
    assert traceparent.parse(text) == TraceParent(int(ID, 16), int(SPAN, 16), SAMPLED)


def test_flags_that_are_not_known_are_not_kept():
    assert traceparent.parse(f"00-{ID}-{SPAN}-ff").flags == SAMPLED | RANDOM
    assert traceparent.parse(f"00-{ID}-{SPAN}-fc").flags == 0


@pytest.mark.parametrize("text", [f"00-{ID}-{SPAN}-{flags:02x}" for flags in (0, 1, 2, 3, 254, 255)])
def test_a_look_at_one_digit_says_whether_the_caller_recorded_it(text):
    is_unsampled = text[traceparent.LOW_DIGIT] in traceparent.UNSAMPLED_DIGITS
    assert is_unsampled is not traceparent.parse(text).is_sampled


@pytest.mark.parametrize(
    "text", ["a", "a=", "=a", "A=1", "a=1,a=2", "a=b=c", "a=1,\x00=2", ",".join(f"k{i}=1" for i in range(33))]
)
def test_state_that_is_malformed_is_dropped_whole(text):
    assert traceparent.parse_state([text]) == ()


def test_white_space_and_empty_members_are_allowed():
    assert traceparent.parse_state([" a=1 ,\t,b=2", "", "t@v=3"]) == (("a", "1"), ("b", "2"), ("t@v", "3"))


def test_of_long_state_the_first_members_are_kept():
    kept = traceparent.parse_state([",".join(f"k{index}={'v' * 200}" for index in range(4))])
    assert [key for key, _ in kept] == ["k0", "k1"]
    assert traceparent.parse_state(["a=1," * 100_000]) == ()
