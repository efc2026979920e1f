"""Routes: from a ModelSpec to the handle of the loaded version that answers it.

Routes are an immutable map. Readers take the current one without a lock; each change of versions or labels makes a new
map, which replaces the old one in one step. This module does not know how a version is loaded or run. Source of the
behaviour: TensorFlow Serving, server_core.cc (ServableRequestFromModelSpec) and basic_manager.cc.
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Iterable, Iterator, Mapping

from servable import wire
from servable.errors import InvalidArgument, NotFound, Unavailable
from servable.servables import Handle

# Hints are sent in a header of limited size, and a server may have thousands of models.
_MOST_NAMES_IN_A_HINT = 20
# The search for a similar name takes time for each character and each name, and callers choose what they send.
_LONGEST_NAME_TO_COMPARE = 100
_MOST_NAMES_TO_COMPARE = 500


Labels = Mapping[str, Mapping[str, int]]
"""Version by label by model."""


class Routes:
    """An immutable map of what is loaded: name to version to handle, and name to label to version."""

    __slots__ = ("__weakref__", "_handles", "_labels", "_latest")

    def __init__(self, handles: Iterable[Handle] = (), labels: Labels | None = None) -> None:
        """Route to these handles.

        Args:
            handles: What is loaded.
            labels: What labels stand for; None until the first config has been applied.
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
        """What labels stand for; None until the first config has been applied."""
        return self._labels

    def get(self, name: str, version: int) -> Handle | None:
        """The handle of a version, if it is loaded."""
        return self._handles.get(name, {}).get(version)

    def of(self, name: str) -> Iterable[Handle]:
        """The handles of a model."""
        return self._handles.get(name, {}).values()

    def with_versions(self, name: str, handles: Iterable[Handle]) -> Routes:
        """These routes, but with exactly these handles for one model; the others stay."""
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
        """As `find`, of the version that a spec asks for."""
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            return self.find(spec.name)
        if choice == "version":
            return self.find(spec.name, spec.version.value)
        return self.find(spec.name, label=spec.version_label)

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Handle:
        """A version by number, by label, or the highest that is loaded.

        Args:
            name: Of the model. Bytes that are no text may stand in it as surrogates, as in the label.
            version: Its number.
            label: Its label; not with a number.

        Raises:
            InvalidArgument: for an empty name or an unknown label.
            NotFound: if no such version is loaded.
            Unavailable: for a label, before the first config has been applied.
        """
        if not name:
            raise InvalidArgument("ModelSpec has no name specified.")
        if label is not None:
            version = self._labelled(name, label)
        if version is None:
            latest = self._latest.get(name)
            if latest is None:
                raise NotFound(f"Servable not found for request: Latest({name})", self._name_hints(name))
            return latest
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
    """Holds the current routes. Readers take them whole, without a lock; a lock serializes writers."""

    __slots__ = ("_writing", "routes")

    def __init__(self, routes: Routes | None = None) -> None:
        self.routes = routes or Routes()
        self._writing = threading.Lock()

    def resolve(self, spec: wire.ModelSpec) -> Handle:
        """As Routes.resolve, on the current routes."""
        return self.routes.resolve(spec)

    def add(self, handle: Handle) -> None:
        """Route to a handle; it replaces another one of the same version."""
        with self._writing:
            self.routes = self.routes.with_versions(handle.name, [*self._others(handle), handle])

    def remove(self, handle: Handle) -> None:
        """Remove the route to a handle; if another handle has replaced it for its version, that one stays."""
        with self._writing:
            current = self.routes.get(handle.name, handle.version)
            if current is handle:
                self.routes = self.routes.with_versions(handle.name, self._others(handle))

    def relabel(self, labels: Labels) -> None:
        """Replace all labels. Equal ones change nothing, so the template caches of these routes stay, too."""
        with self._writing:
            if self.routes.labels != labels:
                self.routes = self.routes.with_labels(labels)

    def _others(self, handle: Handle) -> list[Handle]:
        return [other for other in self.routes.of(handle.name) if other.version != handle.version]


def suggest(name: str, known: Iterable[str], key: str) -> dict[str, str]:
    """Hints for an unknown name: the known ones, and the one that is most similar."""
    names = sorted(known)
    hints = {key: ", ".join(names[:_MOST_NAMES_IN_A_HINT])}
    if len(name) > _LONGEST_NAME_TO_COMPARE or len(names) > _MOST_NAMES_TO_COMPARE:
        return hints
    nearest = difflib.get_close_matches(name, names, n=1)
    return hints | {"did_you_mean": nearest[0]} if nearest else hints
