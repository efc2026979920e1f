"""docs/conformance.md says what the tests' marks say, and the marks are on tests and in known sections."""

from __future__ import annotations

import pytest

from tests.conformance import behaviours
from tests.conformance.behaviours import ROOT, SECTIONS, Mark, read_left, read_marks, write_document


@pytest.fixture(scope="module")
def marks():
    return read_marks(ROOT / "tests")


@pytest.fixture
def read(tmp_path):
    """Reads the marks of a test module with the given text."""

    def read(text):
        (tmp_path / "test_it.py").write_text(text)
        return read_marks(tmp_path, tmp_path)

    return read


def test_the_document_is_that_of_the_marks(marks):
    """If it is not: python -m tests.conformance.behaviours > docs/conformance.md."""
    assert (ROOT / "docs/conformance.md").read_text() == write_document(marks, read_left())


def test_every_conformance_test_stands_for_a_behaviour(marks):
    modules = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "tests/conformance").glob("test_*.py")}
    del modules["tests/conformance/test_behaviours.py"]
    written = {f"{name}::{test}" for name, path in modules.items() for test in behaviours.find_tests(path)}
    assert written
    assert sorted(written - {mark.test for mark in marks}) == []


def test_no_section_is_unknown(marks):
    assert {mark.section for mark in marks} | read_left().keys() <= SECTIONS.keys()


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_has_behaviours(marks, section):
    assert section in {mark.section for mark in marks} | read_left().keys()


def test_what_is_left_has_a_reason_and_no_test(marks):
    tested = {(mark.section, mark.sentence) for mark in marks}
    left = {(section, sentence): reason for section, lines in read_left().items() for sentence, reason in lines.items()}
    assert left
    assert all(left.values())
    assert left.keys() & tested == set()


def test_a_test_says_a_behaviour_once(marks):
    assert len(marks) == len(set(marks))


def test_a_mark_is_on_a_test_on_one_of_its_parameters_or_on_the_module(read):
    assert read(
        """
pytestmark = pytest.mark.behaviour("1.1", "all")

@pytest.mark.behaviour("1.2", "one"
    " sentence")
@pytest.mark.parametrize("case", [1, pytest.param(2, marks=pytest.mark.behaviour("1.3", "two"))])
def test_this(case):
    pass
"""
    ) == [
        Mark("1.1", "all", "test_it.py"),
        Mark("1.2", "one sentence", "test_it.py::test_this"),
        Mark("1.3", "two", "test_it.py::test_this"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        '@pytest.mark.behaviour("1.1", "it helps")\ndef make(): pass',
        'CASES = [pytest.param(1, marks=pytest.mark.behaviour("1.1", "it helps"))]',
        'def test_this():\n    @pytest.mark.behaviour("1.1", "it helps")\n    def test_inner(): pass',
    ],
    ids=["function", "constant", "inner"],
)
def test_a_mark_that_marks_no_test_is_refused(read, text):
    with pytest.raises(ValueError, match=r"test_it\.py:\d: a behaviour is marked on a test"):
        read(text)


@pytest.mark.parametrize("arguments", ['"1.1"', '"1.1", "a", "b"', 'SECTION, "a"', '"1.1", f"{a}"'])
def test_a_mark_that_cannot_be_read_is_refused(read, arguments):
    with pytest.raises(ValueError, match=r"test_it\.py:1: a behaviour is a section and a sentence"):
        read(f"@pytest.mark.behaviour({arguments})\ndef test_this(): pass")


def test_sentences_are_in_order_by_their_numbers_and_are_no_markup():
    marks = [Mark("1.1", sentence, "test_it.py::test_it") for sentence in ["10 b", "9 <b>, `<c>`", "Z", "a"]]
    lines = write_document(marks, {"1.1": {"<left>": "why & how"}}).splitlines()
    assert [line for line in lines if line.startswith("- ")] == [
        "- 9 &lt;b&gt;, `<c>`",
        "- 10 b",
        "- a",
        "- Z",
        "- 1.1, &lt;left&gt;: why &amp; how",
    ]
