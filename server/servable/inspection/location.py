"""From the directory that was named to the version directory that is looked at.

It must not know what is in a model.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from servable import saved_model
from servable.errors import FailedPrecondition, NotFound
from servable.sources import base_path

# The format before SavedModel. Reading it says what it is.
_SESSION_BUNDLE_NAME = "export.meta"


@dataclass(frozen=True, slots=True)
class Location:
    """Where a model lies.

    Attributes:
        path: The version directory, absolute.
        version: Its number; None if its name is none.
        versions: All numbers below the base path, ascending; empty if a version directory was named.
    """

    path: Path
    version: int | None
    versions: Sequence[int] = ()


def locate(directory: str) -> Location:
    """Take a version directory as it is, and of a base path the highest version.

    Raises:
        NotFound: if there is no such directory, or neither a model nor a version in it.
        FailedPrecondition: if it is a file.
        ServingError: if it cannot be listed or is a URI.
    """
    path = Path(os.path.abspath(directory))
    if "://" not in directory:
        _require_directory(path)
        if _holds_model(path):
            return Location(path, base_path.parse_version(path.name))
    versions = base_path.list_versions(path.name, directory if "://" in directory else str(path)).versions
    if not versions:
        raise _nothing_in(path)
    return Location(versions[-1].path, versions[-1].number, tuple(version.number for version in versions))


def _require_directory(path: Path) -> None:
    if os.path.isfile(path):
        raise FailedPrecondition(f"{path} is a file. Name the directory that holds it.")
    if not os.path.isdir(path):
        raise NotFound(f"{path} does not exist.")


def _holds_model(path: Path) -> bool:
    names = (saved_model.BINARY_NAME, saved_model.TEXT_NAME, _SESSION_BUNDLE_NAME)
    return any(os.path.exists(path / name) for name in names)


def _nothing_in(path: Path) -> NotFound:
    return NotFound(
        f"{path} holds neither a SavedModel ({saved_model.BINARY_NAME}) nor version directories, "
        f"which are named by numbers, such as {path / '1'}.{_suggest(path)}"
    )


def _suggest(path: Path) -> str:
    """What was probably meant, from the models that lie one or two levels below."""
    unnumbered = sorted({model.parent.name for model in path.glob(f"*/{saved_model.BINARY_NAME}*")})
    bases = sorted({str(model.parent.parent) for model in path.glob(f"*/*/{saved_model.BINARY_NAME}*")})
    if unnumbered:
        return f" There are models in {', '.join(unnumbered)}: rename one to a number."
    return f" Did you mean {' or '.join(bases)}?" if bases else ""
