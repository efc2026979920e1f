"""The control plane put together: config file, source and manager, and the threads that drive them.

    config ──apply──> source ──aspire──> manager ──load, unload──> workers
    (RPC, file)       looks at           decides what              run it, and post
                      base paths         happens to a version      the outcome back

The control plane has no locks: config file, source and manager are each touched by the thread of one loop only
(`loops.Loop`), and send each other messages. Tests step them without threads or clocks.

A reload is answered after the manager has acted on it (`Loop.follow`), so that requests to a model that it removed are
refused by then. It must not know gRPC.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from servable.config import models, text_proto
from servable.config.models import ModelConfig
from servable.errors import ServingError
from servable.lifecycle.manager import Loader, LoadSettings, Manager, ThreadWorkers
from servable.lifecycle.monitor import StateMonitor
from servable.loops import LONGEST_STOP_S, Loop, stop_all
from servable.management.served_models import Problems, ServedModels
from servable.options import ServerOptions, schedulable_cpus
from servable.routing import Router
from servable.sources import Source

_log = logging.getLogger(__name__)

_MICROS = 1e-6
# As in the original, the first models load at the same time; no request is served yet that this could slow down.
_INITIAL_LOAD_THREADS_PER_CPU = 4
_UNREADABLE = "Failed to read ModelServerConfig file"


class ControlPlane:
    """The control plane of one server. Start it once; stop it once.

    Attributes:
        served_models: Takes configs.
    """

    def __init__(  # noqa: PLR0913
        self,
        options: ServerOptions,
        loader: Loader,
        router: Router,
        monitor: StateMonitor,
        announce: Callable[[str], None],
        *,
        prepare: Callable[[Sequence[ModelConfig]], None] = lambda _models: None,
    ) -> None:
        """Make the parts; nothing runs yet.

        Args:
            options: The flags.
            loader: Loads a version from its directory.
            router: Where ready versions and labels go.
            monitor: Where states are published.
            announce: Called with the name of each model that is configured, before any of its versions loads.
            prepare: Called with each config before it is applied; what it raises refuses the config.
        """
        self._options = options
        self._manager_loop = Loop("manager", lambda _now_s: self._manager.run())
        self._workers = ThreadWorkers(self._manager_loop, options.num_unload_threads)
        self._manager = Manager(loader, router, monitor, self._workers)
        self._manager.settings = _load_settings(options, schedulable_cpus() * _INITIAL_LOAD_THREADS_PER_CPU)
        self._source = Source(self._aspire, options.file_system_poll_wait_seconds)
        self._source_loop = Loop("source", self._source.turn)
        self.served_models = ServedModels(
            self._watch,
            monitor,
            router,
            free_labels=options.allow_version_labels_for_unavailable_models,
            announce=announce,
            prepare=prepare,
        )
        self._loops = [self._manager_loop, self._source_loop]

    def start(self) -> None:
        """Start the threads; nothing is served before a config is applied."""
        self._workers.start()
        for loop in self._loops:
            loop.start()

    def end_initial_load(self) -> None:
        """From now on load with as many threads as --num_load_threads says."""
        settings = _load_settings(self._options, max(self._options.num_load_threads, 1))
        self._manager_loop.post(lambda: setattr(self._manager, "settings", settings))

    def follow_config_file(self) -> None:
        """Read the config file again and again, if the flags ask for that."""
        interval_s = self._options.model_config_file_poll_wait_seconds
        if self._options.model_config_file and interval_s > 0:
            file = ConfigFile(self._options.model_config_file, interval_s, self.served_models)
            loop = Loop("config file", file.turn)
            self._loops.append(loop)
            loop.start()

    def stop(self) -> None:
        """End the threads. Versions stay loaded, since calls may still use them."""
        ends_at_s = time.monotonic() + LONGEST_STOP_S
        stop_all(self._loops)
        self._workers.stop(ends_at_s - time.monotonic())

    def _watch(self, models: Sequence[ModelConfig]) -> Future[Problems]:
        # The manager's thread resolves the future after it has taken removed models out of the routes.
        return self._manager_loop.follow(self._source_loop.ask(partial(self._source.watch, models)))

    def _aspire(self, name: str, paths: Mapping[int, Path]) -> None:
        self._manager_loop.post(partial(self._manager.aspire, name, paths))


class ConfigFile:
    """Reads a text file with a ModelServerConfig again and again, and applies it like a reload.

    Not thread-safe: one thread calls `turn`. Source of the behaviour: TensorFlow Serving, model_servers/server.cc
    (PollFilesystemAndReloadConfig).
    """

    def __init__(self, path: str, interval_s: float, served_models: ServedModels) -> None:
        """Watch a file.

        Args:
            path: The file.
            interval_s: Seconds between two readings.
            served_models: Gets the models that the file names.
        """
        self._path, self._interval_s, self._served_models = path, interval_s, served_models
        self._due_s: float | None = None
        self._last_fault = ""
        # The text that was read last; the models in it, or else what is wrong with it (neither if it sets no config).
        self._text = b""
        self._configs: Sequence[ModelConfig] | None = None
        self._fault = ""

    def turn(self, now_s: float) -> float:
        """Read the file and apply it, if that is due. A file that is wrong is logged, and changes nothing.

        Returns:
            When the next reading is due.
        """
        if self._due_s is None or now_s >= self._due_s:
            self._log_once(self._reload())
            self._due_s = now_s + self._interval_s
        return self._due_s

    def _reload(self) -> str:
        """Read and apply the file; return what is wrong, or an empty text."""
        try:
            text = text_proto.content(self._path)
        except ServingError as error:
            return f"{_UNREADABLE}: {error}"
        if text != self._text:
            # Once for each text: the parser logs what it finds.
            self._text, self._configs, self._fault = text, *self._parse(text)
        if self._configs is None:
            return self._fault
        try:
            # Not waited for: the log and GetModelStatus say how the models load.
            self._served_models.apply(self._configs).progress.stop()
        except ServingError as error:
            return f"PollFilesystemAndReloadConfig failed to ReloadConfig: {error}"
        return ""

    def _parse(self, text: bytes) -> tuple[Sequence[ModelConfig] | None, str]:
        try:
            return models.parse(self._path, text, self._served_models.names), ""
        except ServingError as error:
            return None, f"{_UNREADABLE}: {error}"

    def _log_once(self, fault: str) -> None:
        """Log what is wrong, unless the reading before found the same."""
        if fault and fault != self._last_fault:
            _log.error("%s", fault)
        self._last_fault = fault


def _load_settings(options: ServerOptions, threads: int) -> LoadSettings:
    return LoadSettings(options.max_num_load_retries, options.load_retry_interval_micros * _MICROS, threads)
