"""The control plane put together: config, source, manager, and the threads that drive them.

    config ──apply──> source ──aspire──> manager ──load, unload──> workers
    (RPC, file)       looks at           decides what              run it, and post
                      base paths         happens to a version      the outcome back

Each of the three has one thread and is touched by that thread only. It must not know gRPC.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from servable.config.models import ModelConfig
from servable.lifecycle.manager import Loader, LoadSettings, Manager
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.threads import ThreadWorkers
from servable.loops import LONGEST_STOP_S, Loop, stop_all
from servable.management.config_file import ConfigFile
from servable.management.served_models import Problems, ServedModels
from servable.options import ServerOptions, schedulable_cpus
from servable.routing import Router
from servable.sources.source import Source

_MICROS = 1e-6
# As in the original, the first models load side by side; nobody is served yet whom that could disturb.
_INITIAL_LOAD_THREADS_PER_CPU = 4


class ControlPlane:
    """Start it once; stop it once.

    Attributes:
        served_models: Takes configs.
    """

    def __init__(
        self,
        options: ServerOptions,
        loader: Loader,
        router: Router,
        monitor: StateMonitor,
        announce: Callable[[str], None],
    ) -> None:
        """Put it together; nothing runs yet.

        Args:
            options: The flags.
            loader: Loads a version from its directory.
            router: Where ready versions and labels go.
            monitor: Where states are published.
            announce: Told the name of each model that is configured, before anything of it loads.
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
        """Read the config file again from time to time, if the flags ask for that."""
        interval_s = self._options.model_config_file_poll_wait_seconds
        if self._options.model_config_file and interval_s > 0:
            file = ConfigFile(self._options.model_config_file, interval_s, self.served_models)
            loop = Loop("config file", file.turn)
            self._loops.append(loop)
            loop.start()

    def stop(self) -> None:
        """End the threads. What is loaded stays so; calls may still use it."""
        ends_at_s = time.monotonic() + LONGEST_STOP_S
        stop_all(self._loops)
        self._workers.stop(ends_at_s - time.monotonic())

    def _watch(self, models: Sequence[ModelConfig]) -> Future[Problems]:
        # Whoever removed a model and was told so finds it refused: the manager has taken it out of the routes by then.
        return self._manager_loop.follow(self._source_loop.ask(partial(self._source.watch, models)))

    def _aspire(self, name: str, paths: Mapping[int, Path]) -> None:
        self._manager_loop.post(partial(self._manager.aspire, name, paths))


def _load_settings(options: ServerOptions, threads: int) -> LoadSettings:
    return LoadSettings(options.max_num_load_retries, options.load_retry_interval_micros * _MICROS, threads)
