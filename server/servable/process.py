"""A server as a process: from the flags to the exit status, with signals in between.

This module does not know what a server is made of.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from servable import app
from servable.config.batching import BatchingConfig
from servable.config.models import ModelConfig
from servable.inspection.load_warnings import InspectingLoader
from servable.lifecycle.manager import Loader
from servable.loops import Loop
from servable.methods import Answer
from servable.observability.metrics import Metrics
from servable.observability.process_usage import cpu_seconds, resident_bytes
from servable.options import ServerOptions
from servable.servables import Servable
from servable.tflite_model.stored import NAME as TFLITE_NAME
from servable.warmup.replay import WarmLoader

if TYPE_CHECKING:
    from servable.execution.loader import SavedModelLoader

_log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Termination:
    """SIGTERM and SIGINT: the first asks for a drain, one more ends the process at once.

    Exception: a signal that comes during the delay before the drain only skips the rest of that delay.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested, self._delay_skipped = threading.Event(), threading.Event()
        self._may_drain = self._is_delaying = False
        self._delay_s = 0.0
        self._reader, self._writer = socket.socketpair()

    def install(self) -> None:
        """Handle the signals. As the first process of a container, a process without handlers would ignore them.

        Signals have a thread of their own. Python calls handlers on the main thread only, once that returns from
        TensorFlow or from a lock; a load may take minutes, or never return. So the interpreter writes the number of
        each signal to a socket, which the thread reads.
        """
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._read, name="signals", daemon=True).start()

    def expect_drain(self, delay_s: float) -> None:
        """From now on calls may be in flight, so the first signal asks for a drain in place of ending the process.

        Args:
            delay_s: How long the server goes on serving after the first signal.
        """
        self._delay_s = min(delay_s, threading.TIMEOUT_MAX)
        self._may_drain = True

    def wait(self) -> None:
        """Return after the first signal."""
        self._requested.wait()

    def wait_for_delay(self) -> None:
        """Return when the delay is over, or when a signal skips it. The next signal ends the process."""
        self._delay_skipped.wait(self._delay_s)
        with self._lock:
            self._is_delaying = False

    def _read(self) -> None:
        while True:
            # One byte for each signal, of any number that has a handler.
            for number in self._reader.recv(64):
                if number in _SIGNALS:
                    self._receive(number)

    def _receive(self, number: int) -> None:
        # On the thread `signals`. The main thread ends the delay under the same lock, so a signal either skips the rest
        # of the delay or ends the process.
        with self._lock:
            if not self._requested.is_set():
                if not self._may_drain:
                    # No call is in flight while models load, and a load may take minutes.
                    _end(0)
                self._is_delaying = self._delay_s > 0
                self._requested.set()
            elif self._is_delaying:
                self._is_delaying = False
                self._delay_skipped.set()
            else:
                _end(128 + number)


def serve(options: ServerOptions, models_of_paths: Sequence[ModelConfig] = ()) -> NoReturn:
    """Serve until a signal, then drain, then end the process with 0.

    Args:
        options: The flags.
        models_of_paths: What paths on the command line name.

    Raises:
        ServingError: if the server cannot start.
    """
    began_s = time.monotonic()
    termination = Termination()
    termination.install()
    configuration = app.configure(options, models_of_paths)
    metrics = Metrics()
    loader = make_loader(options, configuration.batching, metrics)
    server = app.Server(configuration, loader, _make_profiler(options), metrics)
    # The objects that TensorFlow's import has made are never garbage, but each full collection would visit them, and
    # all requests would wait for that: a quarter of a second. Before `load`, since models must remain collectable.
    gc.freeze()
    server.load()
    _reclaim_memory()
    termination.expect_drain(options.drain_delay_s)
    server.listen()
    started_s = time.monotonic() - began_s
    _log.info("started in %.1f s", started_s, extra=_state("SERVING", seconds=round(started_s, 3)))
    for line in server.describe():
        _log.info("%s", line)
    termination.wait()
    server.leave()
    if options.drain_delay_s:
        _log.info(
            "NOT_SERVING; serving on for %g s, so that balancers leave; a second signal skips this",
            options.drain_delay_s,
            extra=_state("NOT_SERVING", delay_s=options.drain_delay_s),
        )
    termination.wait_for_delay()
    _log.info(
        "draining: calls in flight have %g s; one more signal ends them",
        options.drain_timeout_s,
        extra=_state("DRAINING", timeout_s=options.drain_timeout_s),
    )
    began_s = time.monotonic()
    server.drain(options.drain_timeout_s)
    _log.info("stopped", extra=_state("STOPPED", seconds=round(time.monotonic() - began_s, 3)))
    _end(0)


def _state(state: str, **fields: float) -> dict[str, dict[str, str | float]]:
    """The fields of a line that says in which state the server is."""
    return {"fields": {"state": state, **fields}}


def _reclaim_memory() -> None:
    """Give memory back to the system from now on, where that can be done; what the first loads took, at once."""
    # Its package imports TensorFlow, as the loader has done.
    from servable.execution import memory
    from servable.execution.reclaimer import Reclaimer

    if memory.can_give_back():
        memory.give_back()
        Loop("memory", Reclaimer(resident_bytes, cpu_seconds, memory.give_back).turn).start()


def _end(status: int) -> NoReturn:
    """End the process with a status, after what was logged is written.

    Not by sys.exit, which would wait for threads that may be in TensorFlow for long.
    """
    logging.shutdown()
    os._exit(status)


def make_loader(
    options: ServerOptions, batching: BatchingConfig | None = None, metrics: Metrics | None = None
) -> Loader:
    """A loader as the flags ask for it; the metrics count its warm-ups."""
    cold_loader = make_cold_loader(options, batching)
    # It imports TensorFlow, as the line above has done.
    from servable.execution import op_libraries

    loader: Loader = InspectingLoader(cold_loader, cold_loader.tags, op_libraries.find_ops_without_kernel)
    if options.prefer_tflite_model:
        loader = _prefer_tflite(loader, options, batching)
    if not options.enable_model_warmup:
        return loader
    from servable.execution import tf_records

    iterations = max(options.num_request_iterations_for_warmup, 1)
    on_replay = (metrics or Metrics()).note_warmup
    return WarmLoader(loader, tf_records.read, iterations, options.enable_signature_method_name_check, on_replay)


def served_tags(options: ServerOptions) -> Sequence[str]:
    """The tags of the meta graph that the flags ask for."""
    return options.saved_model_tags.split(",") if options.saved_model_tags else ["serve"]


def make_cold_loader(options: ServerOptions, batching: BatchingConfig | None = None) -> SavedModelLoader:
    """A loader by the flags, without the warm-up."""
    from servable.execution import memory

    memory.prepare()
    # TensorFlow takes seconds to import: a wrong flag is told before.
    from servable.execution import op_libraries, session_config
    from servable.execution.loader import SavedModelLoader

    op_libraries.load_all(options.custom_op_libraries, options.import_)
    return SavedModelLoader(
        served_tags(options),
        session_config.from_flags(options),
        batching=batching,
        freeze_up_to_bytes=max(options.freeze_variables_up_to_mb, 0) * 1_000_000,
    )


def _prefer_tflite(otherwise: Loader, options: ServerOptions, batching: BatchingConfig | None) -> Loader:
    """A loader of the model.tflite of a version that has one, and of other versions by another loader."""
    from servable.execution.tflite.loader import TfliteLoader

    load_tflite = TfliteLoader(options.num_tflite_pools, options.num_tflite_interpreters_per_pool, batching)

    def load(directory: Path) -> Servable:
        # As in a warm-up: a file in a folder that may not be entered is missing.
        is_tflite = os.path.exists(directory / TFLITE_NAME)
        return load_tflite(directory) if is_tflite else otherwise(directory)

    return load


def _make_profiler(options: ServerOptions) -> dict[str, Answer]:
    if not options.enable_profiler:
        return {}
    from servable.execution import profiler

    return {f"/{app.PROFILER_SERVICE}/{name}": method for name, method in profiler.methods().items()}
