"""requirements.toml and the tests are in step: every behaviour has its tests, every conformance test its behaviour."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent
LEFT = "left: "

SECTIONS = tomllib.loads((FOLDER / "requirements.toml").read_text())
LINES = [
    pytest.param(tests, id=f"{section}: {behaviour}")
    for section, behaviours in SECTIONS.items()
    for behaviour, tests in behaviours.items()
]


@cache
def functions(path: Path) -> frozenset[str]:
    """The names of the test functions of a file, read without importing it."""
    tree = ast.parse(path.read_text())
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def exists(test: str) -> bool:
    path, _, name = test.partition("::")
    return (ROOT / path).is_file() and name in functions(ROOT / path)


@pytest.mark.parametrize("tests", LINES)
def test_a_behaviour_has_tests_or_a_reason(tests):
    if isinstance(tests, str):
        assert tests.startswith(LEFT)
        assert len(tests) > len(LEFT)
    else:
        assert tests
        assert [test for test in tests if not exists(test)] == []


def test_every_conformance_test_stands_for_a_behaviour():
    named = {test for behaviours in SECTIONS.values() for tests in behaviours.values() for test in tests}
    written = {
        f"{path.relative_to(ROOT)}::{name}"
        for path in FOLDER.glob("test_*.py")
        for name in functions(path)
        if path != Path(__file__)
    }
    assert sorted(written - named) == []


CONTRACT = (
    "1.1 1.2 1.3 1.4 2.1 2.2 2.3 2.4 3 4.1 4.2 5 6.1 6.2 6.3 6.4 6.5 6.6 7.1 7.2 7.3 7.4 8.1 8.2 8.3 8.4 8.5 8.6 "
    "12 13.12 13.13 13.14"
)


@pytest.mark.parametrize("section", CONTRACT.split())
def test_a_section_of_the_contract_is_there(section):
    assert SECTIONS[section]
