"""The versions below a base path.

Source of the behaviour: TensorFlow Serving, sources/storage_path/file_system_storage_path_source.cc.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from servable.errors import NotFound, PermissionDenied, ServingError, Unimplemented

# absl::SimpleAtoi: a decimal int64 with an optional sign, and white space around it.
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")
_INT64 = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True, slots=True)
class Version:
    """A child of a base path that names a version: its number and where it lies."""

    number: int
    path: Path


@dataclass(frozen=True, slots=True)
class Listing:
    """What is under a base path: the versions by ascending number, and what an operator should know of the rest."""

    versions: Sequence[Version]
    warnings: Sequence[str] = ()


def parse_version(name: str) -> int | None:
    """The number that a directory name stands for (`00000123` is 123); None if it is no int64."""
    match = _NUMBER.fullmatch(name)
    number = int(match[1]) if match else None
    return number if number is not None and number in _INT64 else None


def list_versions(model: str, base_path: str) -> Listing:
    """The versions of a model.

    Of several names for one number (`1`, `001`) the last in the order of names counts.

    Raises:
        NotFound: if the base path is not there or is no directory.
        PermissionDenied: if it cannot be listed.
        Unimplemented: if it is a URI of a file system that this server cannot read.
    """
    found: dict[int, Version] = {}
    warnings: list[str] = []
    for name in sorted(_list_children(model, base_path)):
        number = parse_version(name)
        if number is None:
            continue
        if number in found:
            warnings.append(
                f"Duplicate version directories for version {number} of servable {model}: "
                f"{found[number].path.name} is ignored, {name} counts"
            )
        found[number] = Version(number, Path(base_path, name))
    if not found:
        warnings.append(
            f"No versions of servable {model} found under base path {base_path}. "
            "Did you forget to name your leaf directory as a number (eg. '/1/')?"
        )
    return Listing([found[number] for number in sorted(found)], warnings)


def _list_children(model: str, base_path: str) -> Iterable[str]:
    if "://" in base_path:
        raise Unimplemented(
            f"Base path {base_path} of servable {model} is a URI; only local paths can be read. Copy the model here."
        )
    try:
        return os.listdir(base_path)
    except OSError as error:
        kind = PermissionDenied if isinstance(error, PermissionError) else NotFound
        raise _inaccessible(model, base_path, kind, error.strerror) from error
    except ValueError as error:
        # Python speaks of a NUL byte in other words with each version. Else there are no bytes for a character.
        cause = "A path cannot contain a NUL byte" if "\0" in base_path else error
        raise _inaccessible(model, base_path, NotFound, cause) from error


def _inaccessible(model: str, base_path: str, kind: type[ServingError], cause: object) -> ServingError:
    return kind(
        f"Could not find base path {base_path} for servable {model} with error {kind.code.name}: {base_path}; {cause}"
    )
