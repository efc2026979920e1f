"""Brings aspired versions to life and into the routes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from servable.errors import Internal, ServingError
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.states import ServableId, State, VersionState
from servable.routing import Handle, Router, Routes, Servable

_log = logging.getLogger(__name__)

Loader = Callable[[Path], Servable]
"""Loads the version that lies in a directory, or raises a ServingError."""


@dataclass(frozen=True, slots=True)
class AspiredVersion:
    """A version that should be served, and where it lies."""

    servable: ServableId
    path: Path


class Manager:
    """Loads versions, one after the other. The one writer of the router; call it from one thread."""

    def __init__(self, loader: Loader, router: Router, monitor: StateMonitor) -> None:
        self._loader, self._router, self._monitor = loader, router, monitor

    def aspire(self, versions: Iterable[AspiredVersion]) -> None:
        """Load these versions, the highest first. One that fails ends with its error and holds up no other."""
        aspired = sorted(versions, key=lambda version: -version.servable.version)
        for version in aspired:
            self._monitor.publish(version.servable, VersionState(State.START))
        for version in aspired:
            self._load(version)

    def _load(self, aspired: AspiredVersion) -> None:
        self._monitor.publish(aspired.servable, VersionState(State.LOADING))
        _log.info("loading %s from %s", aspired.servable, aspired.path)
        try:
            servable = self._loader(aspired.path)
        except ServingError as error:
            self._fail(aspired.servable, error)
        except Exception as error:
            _log.exception("loading %s failed in an unforeseen way", aspired.servable)
            self._fail(aspired.servable, Internal(f"{type(error).__name__}: {error}"))
        else:
            handle = Handle(aspired.servable.name, aspired.servable.version, servable)
            self._router.routes = Routes([*self._router.routes, handle])
            self._monitor.publish(aspired.servable, VersionState(State.AVAILABLE))
            _log.info("%s is available", aspired.servable)

    def _fail(self, servable: ServableId, error: ServingError) -> None:
        _log.error("loading %s failed: %s", servable, error)
        self._monitor.publish(servable, VersionState(State.END, error))
