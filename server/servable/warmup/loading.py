"""A loader that warms up what another one loads (TensorFlow Serving: saved_model_warmup.cc, run inside Load)."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path

from servable import wire
from servable.errors import ServingError
from servable.lifecycle.manager import Loader
from servable.routing import Servable
from servable.warmup import records
from servable.warmup.records import WARMUP_FILE, ReadRecords
from servable.warmup.replay import Replay

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WarmLoader:
    """A Loader whose versions have answered their recorded requests.

    Attributes:
        load: Loads the version.
        read: Reads the records of its warm-up file.
        iterations: How often each request is executed.
        check_method_name: Refuse signatures of another kind of method, as the RPCs do.
    """

    load: Loader
    read: ReadRecords
    iterations: int = 1
    check_method_name: bool = False

    def __call__(self, directory: Path) -> Servable:
        """Load the version of a directory and replay its warm-up file, if it has one.

        Raises:
            ServingError: as the load or the warm-up fails; then nothing of the version is left in memory.
        """
        servable = self.load(directory)
        failure = self._try(directory, servable)
        if failure is None:
            return servable
        # The error lives on as the version's state, and its traceback, with this frame, as long.
        del servable
        raise failure

    def _try(self, directory: Path, servable: Servable) -> ServingError | None:
        """Warm up, or close the servable; the error is a copy, since what caused it holds the model's graph."""
        try:
            self._warm_up(directory, servable)
        except BaseException as error:
            servable.close()
            if isinstance(error, ServingError):
                return type(error)(error.message, error.hints)
            raise
        return None

    def _warm_up(self, directory: Path, servable: Servable) -> None:
        path = directory / WARMUP_FILE
        # Whatever cannot be looked at is missing, as in the original; Path.exists would raise.
        if not os.path.exists(path):
            _log_missing(directory, path)
            return
        replay = _Told(Replay(servable, check_method_name=self.check_method_name), path)
        began_s = time.monotonic()
        count = records.replay(path, self.read, replay, self.iterations)
        _log.info("warmed up with the %d records of %s in %.3f s", count, path, time.monotonic() - began_s)


def _log_missing(directory: Path, path: Path) -> None:
    _log.info("No warmup data file found at %s", path)
    pattern = f"{path.name}*"
    for misplaced in sorted([*directory.glob(pattern), *directory.glob(f"*/{pattern}")]):
        _log.warning("%s is not used: a warm-up file is read at %s only", misplaced, path)


class _Told:
    """Executes logs; an error tells that it comes from a warm-up, which its text does not say by itself."""

    def __init__(self, replay: Replay, path: Path) -> None:
        self._replay, self._path = replay, path

    def __call__(self, log: wire.PredictionLog) -> None:
        try:
            self._replay(log)
        except ServingError as error:
            raise type(error)(
                f"{error.message}\nThis is what a record of {self._path} met. `servable warmup` writes such a file "
                "anew; --enable_model_warmup=false loads without it.",
                error.hints,
            ) from error
