"""SECURITY.md agrees with the code: each test that it names is there, and its limits are those of the flags."""

import re
from pathlib import Path

import pytest

from servable import options

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:client/)?tests/[\w/]+\.py)::(\w+)`", PAGE)))
FLAGS = options.markdown_table().splitlines()[2:]
DEFAULTS = {row.split("`")[1]: row.split("|")[3].strip(" `") for row in FLAGS}
LIMITS = re.findall(r"^\| [^|]+ \| `(--\w+)` \| (.+) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda value: value)
def test_a_test_that_is_named_is_there(path, name):
    assert re.search(rf"^ *(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_each_defence_names_a_test():
    model, _ = PAGE.split("\n## Limits\n")
    rows = [row for row in re.findall(r"^\| (?!-).*$", model, re.MULTILINE) if not row.endswith("shown by |")]
    assert len(rows) > 30
    assert [row for row in rows if "tests/" not in row] == []


@pytest.mark.parametrize(("flag", "default"), LIMITS)
def test_a_limit_has_the_default_of_its_flag(flag, default):
    assert DEFAULTS[flag] == default


def test_each_flag_that_is_named_is_there():
    assert set(re.findall(r"`(--\w+)", PAGE)) <= set(DEFAULTS)
