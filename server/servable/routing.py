"""From a ModelSpec to the loaded version that answers it.

Readers take one immutable map whole, without a lock; a change of versions makes a new map. This module must
not know how a version is loaded or run, only what a request may ask of one. Source of the behaviour:
TensorFlow Serving, server_core.cc (ServableRequestFromModelSpec) and basic_manager.cc.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from servable import wire
from servable.config.batching import QueueLimits
from servable.errors import InvalidArgument, NotFound, Unavailable
from servable.run_costs import RunCosts
from servable.signatures import Signature

# Hints travel in a header; a server with thousands of models names the first of them.
_MOST_NAMES_IN_A_HINT = 20
# The search for a near name takes time for each character and each name, and callers choose what they send.
_LONGEST_NAME_TO_COMPARE = 100
_MOST_NAMES_TO_COMPARE = 500


class Runner(Protocol):
    """One set of feeds and fetches of a graph, ready to run. Safe to share between threads."""

    costs: RunCosts
    """What its runs cost, noted by whoever times them from the merged arrays to the replies."""

    @property
    def may_not_end(self) -> bool:
        """Whether a run may last for ever, however quick others were."""

    @property
    def fetch_dtypes(self) -> Sequence[int]:
        """The tensorflow.DataType of each fetch."""

    def check(self, feeds: Sequence[np.ndarray[Any, Any]]) -> None:
        """Refuse what `run` would refuse before it runs.

        Raises:
            InvalidArgument: if an array has another dtype than its tensor.
        """

    def run(self, feeds: Sequence[np.ndarray[Any, Any]], timeout_s: float | None) -> Sequence[np.ndarray[Any, Any]]:
        """Run once.

        Args:
            feeds: One array for each feed, in the order that the runner was asked for.
            timeout_s: Time until the caller stops waiting; None for no bound.

        Returns:
            One array for each fetch, in order.

        Raises:
            ServingError: with the code and text of TensorFlow.
        """


class Servable(Protocol):
    """One loaded version of a model. Safe to share between threads; it lives as long as somebody holds it."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """All signatures by key."""

    @property
    def queue_limits(self) -> QueueLimits | None:
        """How its requests are batched; None if they are not."""

    def ready_runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> Runner | None:
        """The runner for these tensor names if there is one already. Quick."""

    def runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> Runner:
        """A runner for these tensor names; the same names give the same runner. The first time may take seconds.

        Raises:
            ServingError: if the graph has no such tensors.
        """

    def close(self) -> None:
        """Give back its memory. Called once, when no call holds a handle of it any more."""


@dataclass(frozen=True)
class Handle:
    """A loaded version under its name and number.

    Whoever answers a call holds the handle until the reply is made: a version that leaves is unloaded when nobody
    holds its handle any more.
    """

    __slots__ = ("__weakref__", "name", "servable", "version")

    name: str
    version: int
    servable: Servable


Labels = Mapping[str, Mapping[str, int]]
"""Version by label by model."""


class Routes:
    """An immutable map of what is loaded: name to version to handle, and name to label to version."""

    __slots__ = ("__weakref__", "_handles", "_labels", "_latest")

    def __init__(self, handles: Iterable[Handle] = (), labels: Labels | None = None) -> None:
        """Route to these handles.

        Args:
            handles: What is loaded.
            labels: What labels stand for; None as long as no config was applied that could say.
        """
        self._handles: dict[str, dict[int, Handle]] = {}
        for handle in handles:
            self._handles.setdefault(handle.name, {})[handle.version] = handle
        self._latest = {name: versions[max(versions)] for name, versions in self._handles.items()}
        self._labels = labels

    def __iter__(self) -> Iterator[Handle]:
        return (handle for versions in self._handles.values() for handle in versions.values())

    @property
    def labels(self) -> Labels | None:
        """What labels stand for; None as long as no config was applied that could say."""
        return self._labels

    def get(self, name: str, version: int) -> Handle | None:
        """The handle of a version, if it is loaded."""
        return self._handles.get(name, {}).get(version)

    def of(self, name: str) -> Iterable[Handle]:
        """The handles of a model."""
        return self._handles.get(name, {}).values()

    def with_versions(self, name: str, handles: Iterable[Handle]) -> Routes:
        """These routes, but with just these handles for one model. Other models are not looked at."""
        own = {handle.version: handle for handle in handles}
        routes = Routes(labels=self._labels)
        routes._handles, routes._latest = self._handles.copy(), self._latest.copy()
        if own:
            routes._handles[name], routes._latest[name] = own, own[max(own)]
        else:
            routes._handles.pop(name, None)
            routes._latest.pop(name, None)
        return routes

    def with_labels(self, labels: Labels) -> Routes:
        """These routes with other labels."""
        return Routes(self, labels)

    def resolve(self, spec: wire.ModelSpec) -> Handle:
        """The version that a spec asks for: by number, by label, or the highest that is loaded.

        Raises:
            InvalidArgument: for an empty name or an unknown label.
            NotFound: if no such version is loaded.
            Unavailable: for a label, before there is a config to know labels from.
        """
        name = spec.name
        if not name:
            raise InvalidArgument("ModelSpec has no name specified.")
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            handle = self._latest.get(name)
            if handle is None:
                raise NotFound(f"Servable not found for request: Latest({name})", self._name_hints(name))
            return handle
        version = spec.version.value if choice == "version" else self._labelled(name, spec.version_label)
        handle = self.get(name, version)
        if handle is None:
            raise NotFound(
                f"Servable not found for request: Specific({name}, {version})",
                self._version_hints(name) or self._name_hints(name),
            )
        return handle

    def _labelled(self, name: str, label: str) -> int:
        if self._labels is None:
            raise Unavailable(f"Model labels does not init yet.{label}")
        labels = self._labels.get(name, {})
        if label not in labels:
            raise InvalidArgument(
                f"Unrecognized servable version label: {label}", {"known_labels": ", ".join(sorted(labels))}
            )
        return labels[label]

    def _name_hints(self, name: str) -> Mapping[str, str]:
        return suggest(name, self._handles, "loaded_models")

    def _version_hints(self, name: str) -> Mapping[str, str]:
        versions = self._handles.get(name)
        return {"loaded_versions": ", ".join(map(str, sorted(versions)))} if versions else {}


class Router:
    """Holds the current routes. Readers take them whole and without a lock; writers take turns."""

    __slots__ = ("_writing", "routes")

    def __init__(self, routes: Routes | None = None) -> None:
        self.routes = routes or Routes()
        self._writing = threading.Lock()

    def resolve(self, spec: wire.ModelSpec) -> Handle:
        """As Routes.resolve, on the routes of this moment."""
        return self.routes.resolve(spec)

    def add(self, handle: Handle) -> None:
        """Route to a handle, in place of another one of its version."""
        with self._writing:
            self.routes = self.routes.with_versions(handle.name, [*self._others(handle), handle])

    def remove(self, handle: Handle) -> None:
        """Route to a handle no more; another one of its version stays."""
        with self._writing:
            current = self.routes.get(handle.name, handle.version)
            if current is handle:
                self.routes = self.routes.with_versions(handle.name, self._others(handle))

    def relabel(self, labels: Labels) -> None:
        """Replace all labels. If they are the same, the routes stay too, and with them what was learnt under them."""
        with self._writing:
            if self.routes.labels != labels:
                self.routes = self.routes.with_labels(labels)

    def _others(self, handle: Handle) -> list[Handle]:
        return [other for other in self.routes.of(handle.name) if other.version != handle.version]


def suggest(name: str, known: Iterable[str], key: str) -> dict[str, str]:
    """Hints for a name that is not known: what is, and the nearest to what was meant."""
    names = sorted(known)
    hints = {key: ", ".join(names[:_MOST_NAMES_IN_A_HINT])}
    if len(name) > _LONGEST_NAME_TO_COMPARE or len(names) > _MOST_NAMES_TO_COMPARE:
        return hints
    nearest = difflib.get_close_matches(name, names, n=1)
    return hints | {"did_you_mean": nearest[0]} if nearest else hints
