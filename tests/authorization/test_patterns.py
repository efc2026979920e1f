"""Names that rules give."""

import pytest

from servable.authorization import patterns


@pytest.mark.parametrize(
    ("given", "name", "belongs"),
    [
        (["a"], "a", True),
        (["a"], "A", False),
        (["a"], "ab", False),
        (["a*"], "a", True),
        (["a*"], "abc", True),
        (["a*"], "ba", False),
        (["*"], "", True),
        (["a*", "x"], "x", True),
        (["caf\u00e9"], "cafe\u0301", False),  # two forms of one word: the router does not make them alike either
        (["team-a-*"], "team-\u0430-x", False),  # a Cyrillic letter that looks alike
        (["a"], "a\n", False),
        ([], "a", False),
    ],
)
def test_a_name_belongs_by_its_code_points(given, name, belongs):
    assert (name in patterns.make_names(given)) is belongs


@pytest.mark.parametrize("pattern", ["a", "a*", "*", "é*", "a.b[c]"])
def test_names_prefixes_and_all_are_patterns(pattern):
    assert patterns.find_fault(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "wrong"), [("", "is empty"), ("*a", "before its end"), ("a*b", "a\\*b"), ("**", "end")]
)
def test_what_is_no_pattern_is_explained(pattern, wrong):
    fault = patterns.find_fault(pattern)
    assert fault
    assert wrong.replace("\\", "") in fault
