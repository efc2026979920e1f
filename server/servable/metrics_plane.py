"""The metrics put together: what is known of versions and of the process, and the pages as handlers of HTTP.

It must not know what carries HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.registry import Collector

import servable
from servable.config.monitoring import MonitoringConfig
from servable.http_exchange import HttpHandler, HttpReply, HttpRequest
from servable.lifecycle.manager import Loader
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import State, VersionState
from servable.loops import Loop
from servable.observability import log, page, process_usage
from servable.observability.families import Family, Kind, Labels
from servable.observability.metrics import Metrics
from servable.routing import Router
from servable.servables import Servable

_log = logging.getLogger(__name__)

OUR_PATH: Final = "/metrics"
"""Where --metrics_port serves the page beside the configured path."""
_FOLD_EVERY_S: Final = 1.0
_OF_VERSION: Final = ("model_name", "version")
_FAILED: Final = "failed"


class MetricsPlane:
    """The metrics of one server, and who reads them. Start it once; stop it once."""

    def __init__(
        self, metrics: Metrics, config: MonitoringConfig, monitor: StateMonitor, router: Router, tensorflow_version: str
    ) -> None:
        """Put it together; nothing runs yet.

        Args:
            metrics: What is counted.
            config: Where the page is.
            monitor: Knows the states of versions.
            router: Knows what is loaded.
            tensorflow_version: For the build info.
        """
        self._metrics, self._config, self._monitor, self._router = metrics, config, monitor, router
        self._loads = _Loads()
        self._build: Labels = (servable.__version__, tensorflow_version, platform.python_version())
        self._collectors = _process_collectors()
        self._loop = Loop("metrics", self._fold)
        metrics.add_source(self._families)
        metrics.add_source(log.families)
        monitor.listen(lambda servable_id, _state: metrics.requests.add_model(servable_id.name))

    def measuring(self, load: Loader) -> Loader:
        """A loader whose loads are counted, and measured: their time, and the memory that they took."""
        return self._loads.measuring(self._metrics.counting_loads(load))

    def start(self) -> None:
        """Start the thread that keeps the counts up to date."""
        self._loop.start()

    def stop(self) -> None:
        """End that thread."""
        self._loop.stop()

    def rest_handlers(self) -> Mapping[str, HttpHandler]:
        """The handlers for the REST port, by path: none if the config does not enable them."""
        return {self._config.path: _Page(self, self._config.path)} if self._config.is_enabled else {}

    def port_handler(self) -> HttpHandler:
        """The handler for --metrics_port: the page at the configured path and at /metrics."""
        return _Pages(self.handlers())

    def handlers(self) -> Mapping[str, HttpHandler]:
        """The handlers for a port that has metrics in any case, by path: the configured one and /metrics."""
        return {self._config.path: _Page(self, self._config.path), OUR_PATH: _Page(self)}

    def load_of(self, version: Servable) -> Load | None:
        """What the load of a version took, if it is known."""
        return self._loads.of(version)

    def write(self, *, open_metrics: bool = False) -> bytes:
        """The page as it is now. It takes milliseconds for each model, on the calling thread."""
        families = self._metrics.families()
        if open_metrics:
            return page.write_open_metrics(families, self._collectors, self._metrics.exemplars)
        return page.write(families, self._collectors)

    def _fold(self, now_s: float) -> float:
        self._metrics.fold()
        return now_s + _FOLD_EVERY_S

    def _families(self) -> Iterable[Family]:
        loaded = [(handle, self._loads.of(handle.servable)) for handle in self._router.routes]
        known = {(handle.name, str(handle.version)): load for handle, load in loaded if load is not None}
        return (
            Family(
                "servable_build_info",
                Kind.GAUGE,
                ("version", "tensorflow_version", "python_version"),
                {self._build: 1},
                "Always 1; the labels say what runs.",
            ),
            Family("servable_versions", Kind.GAUGE, ("model_name", "state"), self._count_versions(), "Versions."),
            Family(
                "servable_version_load_seconds",
                Kind.GAUGE,
                _OF_VERSION,
                {labels: load.seconds for labels, load in known.items()},
                "What the load of a version that serves took, its warm-up included.",
            ),
            Family(
                "servable_version_memory_bytes",
                Kind.GAUGE,
                _OF_VERSION,
                {labels: load.resident_bytes for labels, load in known.items()},
                "By how much the resident memory of the process grew while the version loaded: an estimate.",
            ),
        )

    def _count_versions(self) -> dict[Labels, float]:
        counts: dict[Labels, float] = {}
        for name in self._monitor.names():
            found = Counter(map(_name_state, self._monitor.versions(name).values()))
            counts.update({(name, state): found[state] for state in (*_STATES.values(), _FAILED)})
        return counts


_STATES: Final[Mapping[State, str]] = {state: state.name.lower() for state in State}


def _name_state(known: VersionState) -> str:
    has_failed = known.state is State.END and known.error is not None
    return _FAILED if has_failed else _STATES[known.state]


@dataclass(frozen=True, slots=True)
class Load:
    """What a load took.

    Attributes:
        seconds: Its time.
        resident_bytes: By how much the resident memory of the process grew. Loads at the same time share what they say.
    """

    seconds: float
    resident_bytes: int


class _Loads:
    """What the loads of versions took that still exist. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_servable: WeakKeyDictionary[Servable, Load] = WeakKeyDictionary()

    def measuring(self, load: Loader) -> Loader:
        def measured(path: Path) -> Servable:
            began_s, resident_bytes = time.monotonic(), process_usage.resident_bytes()
            loaded = load(path)
            grown_bytes = max(process_usage.resident_bytes() - resident_bytes, 0)
            with self._lock:
                self._by_servable[loaded] = Load(time.monotonic() - began_s, grown_bytes)
            return loaded

        return measured

    def of(self, version: Servable) -> Load | None:
        with self._lock:
            return self._by_servable.get(version)


def _process_collectors() -> list[Collector]:
    """What prometheus_client knows of the process and of Python. Each registers itself, somewhere."""
    registry = CollectorRegistry(auto_describe=False)
    return [ProcessCollector(registry=registry), PlatformCollector(registry), GCCollector(registry)]


class _Page:
    """Answers with the page."""

    def __init__(self, plane: MetricsPlane, exact_target: str | None = None) -> None:
        """Answer for a plane.

        Args:
            plane: Writes the page.
            exact_target: Refuse any other target, as the original does with a query; None refuses none.
        """
        self._plane, self._exact_target = plane, exact_target

    async def __call__(self, request: HttpRequest) -> HttpReply:
        target = self._exact_target
        if target is not None and request.target != target:
            text = f"Unexpected path: {request.target}. Should be {target}"
            return HttpReply(400, text.encode("latin-1", "replace"), page.TEXT)
        accept = (request.header(b"accept") or b"").decode("latin-1")
        if page.wants_open_metrics(accept):
            body = await asyncio.to_thread(self._plane.write, open_metrics=True)
            return HttpReply(200, body, page.OPEN_METRICS)
        return HttpReply(200, await asyncio.to_thread(self._plane.write), page.TEXT)


class _Pages:
    """Answers some paths; any other is not found."""

    def __init__(self, by_path: Mapping[str, HttpHandler]) -> None:
        self._by_path = by_path

    async def __call__(self, request: HttpRequest) -> HttpReply:
        handler = self._by_path.get(request.path)
        if handler is None:
            known = " and ".join(sorted(self._by_path))
            return HttpReply(404, f"The metrics are at {known}.\n".encode(), page.TEXT)
        return await handler(request)
