"""Which names of files are versions, and in which order a base path lists them."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from servable.sources import list_versions, parse_version

INT64 = range(-(1 << 63), 1 << 63)
ASCII_SPACE = " \t\n\v\f\r"
LONGEST_NAME_BYTES = 255

# Numbers with zeros, signs and space around them, and what is close to one.
NUMERALS = st.builds(
    "{}{}{}{}{}".format,
    st.text(ASCII_SPACE, max_size=2),
    st.sampled_from(["", "", "+", "-", "+-", "--", "- "]),
    st.sampled_from(["", "", "0", "0000"]),
    st.integers(0, 12) | st.integers(min_value=0, max_value=1 << 65) | st.sampled_from([INT64[-1], 1 << 63, "", "1_0"]),
    st.text(ASCII_SPACE, max_size=2) | st.sampled_from([".0", "e3", "x", "\u0663", "\u00a0", "\0"]),
)
NAMES = NUMERALS | st.text(max_size=8) | st.text("0123456789+-_ ", max_size=LONGEST_NAME_BYTES)


def read_number(name):
    """What absl::SimpleAtoi makes of a name, written out digit by digit."""
    digits = name.strip(ASCII_SPACE)
    sign = -1 if digits[:1] == "-" else 1
    if digits[:1] in {"+", "-"}:
        digits = digits[1:]
    if not digits or any(digit not in "0123456789" for digit in digits):
        return None
    number = 0
    for digit in digits:
        number = 10 * number + "0123456789".index(digit)
    return sign * number if sign * number in INT64 else None


@given(NAMES)
def test_a_name_is_a_version_if_it_is_a_whole_int64(name):
    assert parse_version(name) == read_number(name)


@given(st.integers(INT64[0], INT64[-1]))
def test_every_int64_names_itself(number):
    assert parse_version(str(number)) == number


# At most 60 characters, of which each takes four bytes at most.
FILE_NAMES = NAMES.map(lambda name: name.replace("/", "").replace("\0", "")[:60]).filter(
    lambda name: name not in {"", ".", ".."}
)


@given(st.dictionaries(FILE_NAMES, st.booleans(), max_size=8))
def test_a_base_path_lists_the_last_name_of_each_number_by_number(children):
    expected = {}
    for name in sorted(children):
        if read_number(name) is not None:
            expected[read_number(name)] = name
    with tempfile.TemporaryDirectory() as base:
        for name, is_directory in children.items():
            Path(base, name).mkdir() if is_directory else Path(base, name).touch()
        listed = list_versions("model", base).versions
    assert [(version.number, version.path) for version in listed] == [
        (number, Path(base, expected[number])) for number in sorted(expected)
    ]
