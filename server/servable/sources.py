"""From base paths to the versions that should be served: listing (I/O), version policy (pure), and the source.

`list_versions` finds the versions below a base path, `select_versions` applies a version policy, and a `Source` does
both for all configured models, again at each poll.

This module must not know how versions are loaded or what for. Source of the behaviour: TensorFlow Serving,
sources/storage_path/file_system_storage_path_source.cc.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from servable.config.models import All, Latest, ModelConfig, Specific, VersionPolicy
from servable.errors import Internal, NotFound, PermissionDenied, ServingError, Unimplemented

_log = logging.getLogger(__name__)

# absl::SimpleAtoi: a decimal int64 with an optional sign, and white space around it.
_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)[ \t\n\v\f\r]*")
_INT64 = range(-(1 << 63), 1 << 63)


@dataclass(frozen=True, slots=True)
class Version:
    """A child of a base path that names a version: its number and its path."""

    number: int
    path: Path


@dataclass(frozen=True, slots=True)
class Listing:
    """What is under a base path: the versions by ascending number, and warnings about the rest."""

    versions: Sequence[Version]
    warnings: Sequence[str] = ()


ListVersions = Callable[[str, str], Listing]


class Aspire(Protocol):
    """Takes what a model should serve."""

    def __call__(self, name: str, paths: Mapping[int, Path], /) -> None:
        """The path of each version of a model, by number; it replaces what was passed for the model before."""


def list_versions(model: str, base_path: str) -> Listing:
    """The versions of a model.

    Of several names for one number (`1`, `001`) the last in the order of names counts.

    Raises:
        NotFound: if the base path does not exist or is no directory.
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


def list_version_directory(model: str, path: str) -> Listing:
    """The directory itself as version 1, for a model that lies in no version directory.

    Raises:
        ServingError: as `list_versions` does.
    """
    _list_children(model, path)
    return Listing([Version(1, Path(path))])


def parse_version(name: str) -> int | None:
    """The number that a directory name stands for (`00000123` is 123); None if it is no int64."""
    match = _NUMBER.fullmatch(name)
    number = int(match[1]) if match else None
    return number if number is not None and number in _INT64 else None


def select_versions(versions: Sequence[Version], policy: VersionPolicy) -> list[Version]:
    """Those of some versions that a policy selects, by ascending number."""
    ascending = sorted(versions, key=lambda version: version.number)
    if isinstance(policy, All):
        return ascending
    if isinstance(policy, Latest):
        return ascending[-policy.count :]
    return [version for version in ascending if version.number in policy.versions]


def warn_of_missing_versions(model: str, selected: Sequence[Version], policy: VersionPolicy) -> list[str]:
    """A warning for each version that a policy names and that is missing, or if it names none."""
    if not isinstance(policy, Specific):
        return []
    if not policy.versions:
        return [f"The version policy of servable {model} names no specific version, so nothing is served."]
    found = {version.number for version in selected}
    return [
        f"Version {number} of servable {model}, which was requested specifically, was not found on the file system"
        for number in policy.versions
        if number not in found
    ]


class Source:
    """Polls the base paths of the configured models and passes on which versions each should serve.

    A base path that cannot be listed changes nothing for its model, and nothing for the others: the original then
    leaves all models as they are.

    Not thread-safe and without locks: only the thread of the loop that drives it calls it, or a test does, step by
    step.
    """

    def __init__(self, aspire: Aspire, poll_interval_s: float, list_versions: ListVersions = list_versions) -> None:
        """Make a source without models.

        Args:
            aspire: Called for each model after each listing.
            poll_interval_s: Seconds between two polls; 0 or less: base paths are listed only when models change.
            list_versions: Finds the versions of a model under a base path.
        """
        self._aspire, self._interval_s, self._list_versions = aspire, poll_interval_s, list_versions
        self._models: dict[str, ModelConfig] = {}
        self._next_poll_s: float | None = None
        # The warnings of each model's latest poll: they are logged again only when they change.
        self._warnings: dict[str, Sequence[str]] = {}

    def watch(self, models: Iterable[ModelConfig]) -> dict[str, ServingError]:
        """Replace the models, and list the base paths of those that are new or changed at once.

        Models that are dropped aspire to no versions any more.

        Returns:
            Why a model whose base path was listed has no version, by its name.
        """
        before, self._models = self._models, {model.name: model for model in models}
        for name in before.keys() - self._models.keys():
            self._warnings.pop(name, None)
            self._aspire(name, {})
        return self._poll([model for name, model in self._models.items() if before.get(name) != model])

    def turn(self, now_s: float) -> float | None:
        """Poll all models if it is time.

        Returns:
            When it is time again; None if never.
        """
        if self._interval_s <= 0:
            return None
        if self._next_poll_s is None or now_s >= self._next_poll_s:
            if self._next_poll_s is not None:
                self._poll(self._models.values())
            self._next_poll_s = now_s + self._interval_s
        return self._next_poll_s

    def _poll(self, models: Iterable[ModelConfig]) -> dict[str, ServingError]:
        problems = {model.name: self._poll_model(model) for model in models}
        return {name: problem for name, problem in problems.items() if problem is not None}

    def _poll_model(self, model: ModelConfig) -> ServingError | None:
        try:
            list_versions = list_version_directory if model.is_version_directory else self._list_versions
            listing = list_versions(model.name, model.base_path)
        except ServingError as error:
            self._warn(
                model.name, [f"FileSystemStoragePathSource encountered a filesystem access error: {error.message}"]
            )
            return error
        except Exception as error:
            problem = Internal(f"{type(error).__name__}: {error}")
            self._warn(
                model.name,
                [f"listing {model.base_path} failed unexpectedly: {problem}"],
                with_traceback=True,
            )
            return problem
        selected = select_versions(listing.versions, model.version_policy)
        missing = warn_of_missing_versions(model.name, selected, model.version_policy)
        self._warn(model.name, [*listing.warnings, *missing])
        self._aspire(model.name, {version.number: version.path for version in selected})
        return None if selected else NotFound(f"no versions found under base path {model.base_path}")

    def _warn(self, name: str, warnings: Sequence[str], *, with_traceback: bool = False) -> None:
        if self._warnings.get(name, []) != warnings:
            for warning in warnings:
                _log.warning("%s", warning, exc_info=with_traceback)
            if not warnings:
                _log.info("the base path of %s has no problems any more", name)
        self._warnings[name] = warnings


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
        # Python words the error for a NUL byte differently in each version. Otherwise a character has no bytes.
        cause = "A path cannot contain a NUL byte" if "\0" in base_path else error
        raise _inaccessible(model, base_path, NotFound, cause) from error


def _inaccessible(model: str, base_path: str, kind: type[ServingError], cause: object) -> ServingError:
    return kind(
        f"Could not find base path {base_path} for servable {model} with error {kind.code.name}: {base_path}; {cause}"
    )
