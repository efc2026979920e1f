"""docs/operations.md as data: its blocks, by the title over each, and its headings."""

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()
# What needs root and a system of its own.
ROOT_ONLY = "as root"


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        title: Where its commands run or, if it begins with a slash, the path of the file that it is.
        text: Its lines.
    """

    title: str
    text: str


BLOCKS = [Block(*found) for found in re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL)]
HEADINGS = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)


def commands(title):
    """The commands of the one block with this title."""
    (text,) = [block.text for block in BLOCKS if block.title == title]
    return text


def files_below(folder):
    """The blocks that are files there, by path."""
    return {block.title: block.text for block in BLOCKS if block.title.startswith(folder)}


def places_of_certificates():
    """Where each folder that the CA fills goes, by its name: a path on a machine."""
    rows = re.findall(r"^\| (`[\w`, -]+`) \| `(/\S+)`.* \| `spiffe://", PAGE, re.MULTILINE)
    return {name: place for names, place in rows for name in re.findall(r"`([\w-]+)`", names)}
