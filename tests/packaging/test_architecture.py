"""ARCHITECTURE.md names each package and nothing that is not there, and no module of the server is one too many."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "server" / "servable"
ARCHITECTURE = ROOT / "ARCHITECTURE.md"
DECISIONS = ROOT / "docs" / "decisions"
# So many lines are two pages.
MOST_LINES = 160
MOST_TERMS = 15


def section(title):
    text = ARCHITECTURE.read_text()
    assert f"\n## {title}\n" in text
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def first_cells(table):
    """The words in code of the first column."""
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("|")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def find_packages():
    entries = [path for path in SERVER.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    return {path.stem + ("/" if path.is_dir() else "") for path in entries} - {"__init__", "__main__"}


def test_each_package_is_named_once_and_no_other():
    named = first_cells(section("Packages"))
    assert sorted(named) == sorted(find_packages())


def find_named_files():
    texts = [ARCHITECTURE, *DECISIONS.glob("*.md")]
    return sorted({name for path in texts for name in re.findall(r"`((?:\w+/)+\w+\.py)`", path.read_text())})


@pytest.mark.parametrize("name", find_named_files())
def test_a_file_that_is_named_is_there(name):
    assert (SERVER / name).exists() or (ROOT / name).exists()


def test_it_has_two_pages_and_a_short_glossary():
    assert len(ARCHITECTURE.read_text().splitlines()) <= MOST_LINES
    terms = [line for line in section("Words").splitlines() if line.startswith("| ")]
    assert len(terms) - 1 <= MOST_TERMS


def test_the_index_of_decisions_lists_each_page_and_each_entry_has_its_date():
    index = (DECISIONS / "index.md").read_text()
    for page in DECISIONS.glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index
        headings = re.findall(r"^## (.*)$", page.read_text(), re.MULTILINE)
        assert all(re.match(r"\d{4}-\d\d-\d\d: ", heading) for heading in headings)
