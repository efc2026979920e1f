"""Watches the base paths of the configured models and says which versions each should serve.

Stepped: one thread calls it, and a test can. It must not know how versions are loaded. Source of the behaviour:
TensorFlow Serving, sources/storage_path/file_system_storage_path_source.cc.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from servable.config.models import ModelConfig
from servable.errors import Internal, NotFound, ServingError
from servable.sources import base_path, policy

_log = logging.getLogger(__name__)

ListVersions = Callable[[str, str], base_path.Listing]


class Aspire(Protocol):
    """Takes what a model should serve."""

    def __call__(self, name: str, paths: Mapping[int, Path], /) -> None:
        """The path of each version, by number, in place of all said before."""


class Source:
    """The models that are watched. Not thread-safe.

    A base path that cannot be listed changes nothing for its model, and nothing for the others: the original leaves all
    models as they are then.
    """

    def __init__(
        self, aspire: Aspire, poll_interval_s: float, list_versions: ListVersions = base_path.list_versions
    ) -> None:
        """Watch nothing yet.

        Args:
            aspire: Told of each model at each look.
            poll_interval_s: Seconds between two looks; 0 or less: only when the models change.
            list_versions: Finds the versions of a model under a base path.
        """
        self._aspire, self._interval_s, self._list_versions = aspire, poll_interval_s, list_versions
        self._models: dict[str, ModelConfig] = {}
        self._next_look_s: float | None = None
        # What was said of each model at the last look: it is said again only when it changes.
        self._said: dict[str, Sequence[str]] = {}

    def watch(self, models: Iterable[ModelConfig]) -> dict[str, ServingError]:
        """Watch these models instead of those before, and look at once at those that are new or changed.

        Nothing is aspired any more of models that are not among these.

        Returns:
            What keeps a model that was looked at without a version, by its name.
        """
        before, self._models = self._models, {model.name: model for model in models}
        for name in before.keys() - self._models.keys():
            self._said.pop(name, None)
            self._aspire(name, {})
        return self._look([model for name, model in self._models.items() if before.get(name) != model])

    def turn(self, now_s: float) -> float | None:
        """Look at all models if it is time.

        Returns:
            When it is time again; None if never.
        """
        if self._interval_s <= 0:
            return None
        if self._next_look_s is None or now_s >= self._next_look_s:
            if self._next_look_s is not None:
                self._look(self._models.values())
            self._next_look_s = now_s + self._interval_s
        return self._next_look_s

    def _look(self, models: Iterable[ModelConfig]) -> dict[str, ServingError]:
        problems = {model.name: self._look_at(model) for model in models}
        return {name: problem for name, problem in problems.items() if problem is not None}

    def _look_at(self, model: ModelConfig) -> ServingError | None:
        try:
            listing = self._list_versions(model.name, model.base_path)
        except ServingError as error:
            self._say(
                model.name, [f"FileSystemStoragePathSource encountered a filesystem access error: {error.message}"]
            )
            return error
        except Exception as error:
            problem = Internal(f"{type(error).__name__}: {error}")
            self._say(
                model.name,
                [f"looking at {model.base_path} failed in an unforeseen way: {problem}"],
                with_traceback=True,
            )
            return problem
        chosen = policy.select(listing.versions, model.version_policy)
        self._say(model.name, [*listing.warnings, *policy.find_faults(model.name, chosen, model.version_policy)])
        self._aspire(model.name, {version.number: version.path for version in chosen})
        return None if chosen else NotFound(f"no versions found under base path {model.base_path}")

    def _say(self, name: str, warnings: Sequence[str], *, with_traceback: bool = False) -> None:
        if self._said.get(name, []) != warnings:
            for warning in warnings:
                _log.warning("%s", warning, exc_info=with_traceback)
            if not warnings:
                _log.info("the base path of %s is in order again", name)
        self._said[name] = warnings
