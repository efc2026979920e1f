"""The README says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from servable import options

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_flag_table_is_that_of_the_flags():
    table = re.search(r"<!-- flags: .*? -->\n(.*?)\n<!-- end of flags -->", README, re.DOTALL)
    assert table
    assert table[1].strip() == options.markdown_table().strip()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_a_link_leads_somewhere(link):
    assert (ROOT / link).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\(#([^)]+)\)", README))))
def test_an_inner_link_leads_to_a_heading(name):
    headings = re.findall(r"^#+ (.+)$", README, re.MULTILINE)
    assert name in {heading.lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("command", sorted(set(re.findall(r"^(scripts/\w+)", README, re.MULTILINE))))
def test_a_command_is_there(command):
    assert (ROOT / command).stat().st_mode & 0o100
