"""The README and the pages of docs/ agree with the code, and their links lead somewhere on GitHub."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from servable import options

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]


def find_links(pattern):
    """Returns each page with each link of it that the pattern finds, once."""
    return [
        pytest.param(page, link, id=f"{page.relative_to(ROOT)}: {link}")
        for page in PAGES
        for link in sorted(set(re.findall(pattern, page.read_text())))
    ]


def test_the_flag_table_is_that_of_the_flags():
    flags = (ROOT / "docs" / "flags.md").read_text()
    table = re.search(r"<!-- flags: .*? -->\n(.*?)\n<!-- end of flags -->", flags, re.DOTALL)
    assert table
    assert table[1].strip() == options.markdown_table().strip()


@pytest.mark.parametrize(("page", "link"), find_links(r"\]\(([^)#]+)(?:#[^)]*)?\)"))
def test_a_link_leads_somewhere(page, link):
    assert (page.parent / link).exists()


@pytest.mark.parametrize(("page", "link"), find_links(r"\]\(([^)#]*#[^)]+)\)"))
def test_a_link_with_an_anchor_leads_to_a_heading(page, link):
    path, _, name = link.partition("#")
    headings = re.findall(r"^#+ (.+)$", (page.parent / path if path else page).read_text(), re.MULTILINE)
    assert name in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^(scripts/\w+)", README.read_text(), re.MULTILINE))))
def test_a_command_is_there(command):
    assert (ROOT / command).stat().st_mode & 0o100
