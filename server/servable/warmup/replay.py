"""Warm-up at load: a loader that replays the warm-up file of a version, through the methods that answer RPCs.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/saved_model_warmup.cc, which runs inside the load, and
saved_model_warmup_util.cc.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from servable import wire
from servable.errors import DataLoss, InvalidArgument, ServingError, Unimplemented
from servable.inference.classify import Classify
from servable.inference.multi_inference import MultiInference
from servable.inference.predict import Predict
from servable.inference.regress import Regress
from servable.lifecycle.manager import Loader
from servable.methods import Answer
from servable.routing import Router, Routes
from servable.servables import Handle, Servable
from servable.warmup.records import MAX_RECORDS, WARMUP_FILE, ReadRecords, parse_record

_log = logging.getLogger(__name__)

_NAME, _VERSION = "warm-up", 1
# With a time limit, a runner also prepares what only calls with a deadline need. This one is too long to end any run.
_TIME_LIMIT_S = 24 * 3600.0

OnReplay = Callable[[Path, str, int, float], None]
"""Takes the version's directory, how the reading of its warm-up file ended (`OK`, or the error), how many records were
read, and the seconds that the replay took. Not called if the execution of a record failed."""

Execute = Callable[[wire.PredictionLog], None]
"""Runs the request of one log, or raises a ServingError."""


@dataclass(frozen=True, slots=True)
class WarmLoader:
    """A Loader that replays a version's warm-up file before it returns the version.

    Attributes:
        load: Loads the version.
        read: Reads the records of its warm-up file.
        iterations: How often each request is executed.
        check_method_name: Refuse signatures of another kind of method, as the RPCs do.
        on_replay: Called after each replay.
    """

    load: Loader
    read: ReadRecords
    iterations: int = 1
    check_method_name: bool = False
    on_replay: OnReplay = lambda _directory, _status, _records, _seconds: None

    def __call__(self, directory: Path) -> Servable:
        """Load the version of a directory and replay its warm-up file, if it has one.

        Raises:
            ServingError: as the load or the warm-up fails; then nothing of the version is left in memory.
        """
        servable = self.load(directory)
        failure = self._try(directory, servable)
        if failure is None:
            return servable
        # The error is kept in the version's state, and its traceback keeps this frame.
        del servable
        raise failure

    def _try(self, directory: Path, servable: Servable) -> ServingError | None:
        """Warm up; if that fails, close the servable. The error is a copy: the cause of the first holds the graph."""
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
        # A file in a folder that may not be entered is missing, as in the original; Path.exists would raise.
        if not os.path.exists(path):
            _log_missing(directory, path)
            return
        execute = _WithWarmupContext(LogExecutor(servable, check_method_name=self.check_method_name), path)
        began_s, reading = time.monotonic(), _CountedReading(self.read)
        try:
            count = replay_file(path, reading, execute, self.iterations)
        except DataLoss as error:
            if reading.has_failed:
                status = f"{error.code.name}: {error.message}"
                self.on_replay(directory, status, reading.records, time.monotonic() - began_s)
            raise
        taken_s = time.monotonic() - began_s
        self.on_replay(directory, "OK", count, taken_s)
        _log.info("warmed up with the %d records of %s in %.3f s", count, path, taken_s)


class _CountedReading:
    """Reads records, and knows afterwards how many there were, and whether the file could not be read."""

    def __init__(self, read: ReadRecords) -> None:
        self._read = read
        self.records, self.has_failed = 0, False

    def __call__(self, path: Path) -> Iterator[bytes]:
        try:
            for record in self._read(path):
                self.records += 1
                yield record
        except DataLoss:
            self.has_failed = True
            raise


def replay_file(path: Path, read: ReadRecords, execute: Execute, iterations: int = 1) -> int:
    """Execute every record of a warm-up file, each so many times in a row.

    Returns:
        The number of records.

    Raises:
        InvalidArgument: if a record is no PredictionLog, or after the 1001st has been executed.
        DataLoss: if the file is no TFRecord file, or cut.
        ServingError: as the execution raises it; nothing that follows is executed.
    """
    count = 0
    for record in _read_records(path, read):
        log = parse_record(record, path)
        for _ in range(iterations):
            execute(log)
        count += 1
        if count > MAX_RECORDS:
            raise InvalidArgument(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}")
    return count


class LogExecutor:
    """Executes the request of a PredictionLog on a version that is in no routes yet, by the methods that answer RPCs.

    The original calls code below its RPCs, so a request's model name, version and label mean nothing there; here the
    executor replaces them by its own.
    """

    def __init__(self, servable: Servable, *, check_method_name: bool = False) -> None:
        """Set up the methods.

        Args:
            servable: The version.
            check_method_name: Refuse signatures of another kind of method, as the RPCs do.
        """
        router = Router(Routes([Handle(_NAME, _VERSION, servable)]))
        self._methods: Mapping[str, Answer] = {
            "predict_log": Predict(router, check_method_name=check_method_name),
            "classify_log": Classify(router, check_method_name),
            "regress_log": Regress(router, check_method_name),
            "multi_inference_log": MultiInference(router, check_method_name),
        }

    def __call__(self, log: wire.PredictionLog) -> None:
        """Execute the request of a log; one without any is passed over.

        Raises:
            Unimplemented: for a log of SessionRun or PredictStreamed.
            ServingError: as the RPC raises it.
        """
        kind = log.WhichOneof("log_type")
        if kind is None:
            return
        if kind not in self._methods:
            number = wire.PredictionLog.DESCRIPTOR.fields_by_name[kind].number
            raise Unimplemented(f"Unsupported log_type for warmup: {number}", {"log_type": kind})
        request = getattr(log, kind).request
        if kind == "multi_inference_log":
            _address_tasks(request.tasks)
        else:
            _address(request.model_spec)
        self._methods[kind](request.SerializeToString(), _TIME_LIMIT_S)


def _address(spec: wire.ModelSpec) -> None:
    """Name the executor's version; the signature stays."""
    spec.name = _NAME
    spec.ClearField("version_choice")


def _address_tasks(tasks: Sequence[wire.InferenceTask]) -> None:
    """Name the executor's version in each task that names the first task's model; MultiInference refuses others."""
    recorded = [task.model_spec.name for task in tasks]
    if recorded[:1] == [""]:
        raise InvalidArgument("Found ModelSpec with an empty model name.")
    for task, name in zip(tasks, recorded, strict=True):
        if name == recorded[0]:
            _address(task.model_spec)


class _WithWarmupContext:
    """Executes logs, and adds the warm-up file to the text of an error, which is otherwise that of an RPC."""

    def __init__(self, execute: Execute, path: Path) -> None:
        self._execute, self._path = execute, path

    def __call__(self, log: wire.PredictionLog) -> None:
        try:
            self._execute(log)
        except ServingError as error:
            raise type(error)(
                f"{error.message}\nThis is what a record of {self._path} met. `servable warmup` writes such a file "
                "anew; --enable_model_warmup=false loads without it.",
                error.hints,
            ) from error


def _log_missing(directory: Path, path: Path) -> None:
    _log.debug("No warmup data file found at %s", path)
    pattern = f"{path.name}*"
    for misplaced in sorted([*directory.glob(pattern), *directory.glob(f"*/{pattern}")]):
        _log.warning("%s is not used: a warm-up file is read at %s only", misplaced, path)


def _read_records(path: Path, read: ReadRecords) -> Iterator[bytes]:
    """The records; a DataLoss of the file gets a hint. Errors of executing a record are not raised in here."""
    try:
        yield from read(path)
    except DataLoss as error:
        raise DataLoss(f"{error.message}. Please verify your warmup data is in TFRecord format.") from error
