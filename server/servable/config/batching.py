"""How requests are batched: a BatchingParameters file, checked as in the original, or the defaults without one.

This module must not know queues or threads. Source of the behaviour: TensorFlow Serving,
servables/tensorflow/bundle_factory_util.cc and TensorFlow, kernels/batching_util/shared_batch_scheduler.h.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from servable import wire
from servable.config import text_proto
from servable.errors import InvalidArgument
from servable.options import ServerOptions

# In a version's directory, with --enable_per_model_batching_parameters.
PER_MODEL_FILE: Final = "batching_params.pbtxt"

_DEFAULT_ROWS: Final = 1000
_DEFAULT_ENQUEUED: Final = 10
# A model that takes so long for a few rows gains little from more of them, and each caller waits for all: MobileNetV2
# answered 40 requests a second in batches of 64, 110 without batches, on two cores.
_LONGEST_RUN_S: Final = 0.03


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """The limits of one queue of requests.

    Attributes:
        max_task_rows: The most rows of one request.
        max_batch_rows: The most rows of one batch.
        timeout_s: How long a batch that is not full waits for more; 0: not at all.
        max_batches: How many batches may be queued, the open one included.
        allowed_rows: The numbers of rows that a run may have; the first that is large enough is taken. Empty: any.
        pads: Whether requests of different shapes are padded to fit.
        splits: Whether one request may be spread over several batches.
        batches_at_once: How many batches of one queue may run at the same time; None: as many as there are threads.
            With one at a time, batches grow without a timeout: requests that arrive during a run are the next batch.
        longest_run_s: How long a run of several requests should take at most: a batch has fewer rows if more would take
            longer, and max_batches counts batches as if they were full. None: no limit.
    """

    max_task_rows: int = _DEFAULT_ROWS
    max_batch_rows: int = _DEFAULT_ROWS
    timeout_s: float = 0.0
    max_batches: int = _DEFAULT_ENQUEUED
    allowed_rows: tuple[int, ...] = ()
    pads: bool = False
    splits: bool = False
    batches_at_once: int | None = 1
    longest_run_s: float | None = None


WITHOUT_FILE: Final = QueueLimits(longest_run_s=_LONGEST_RUN_S)
"""The limits without a file; they need no tuning."""


@dataclass(frozen=True, slots=True)
class BatchingConfig:
    """The limits of each queue, and the threads that all queues share. The defaults are those without a file.

    Attributes:
        limits: The limits of each queue.
        threads: How many batches run at the same time; None: as many as there are CPUs.
        thread_name: The beginning of the threads' names.
        is_per_model: Whether the limits come from each version's own file (--enable_per_model_batching_parameters).
    """

    limits: QueueLimits = WITHOUT_FILE
    threads: int | None = None
    thread_name: str = "model_server_batch_threads"
    is_per_model: bool = False

    def find_limits(self, directory: Path) -> QueueLimits | None:
        """The limits of the queues of a version, by its directory; None if it is not batched.

        Raises:
            ServingError: as `read_per_model` does.
        """
        return read_per_model(directory) if self.is_per_model else self.limits


def from_flags(options: ServerOptions) -> BatchingConfig | None:
    """The config that the flags ask for; None without --enable_batching.

    Raises:
        ServingError: as `read` and `read_threads` do.
    """
    if not options.enable_batching:
        return None
    path, is_per_model = options.batching_parameters_file, options.enable_per_model_batching_parameters
    if not path:
        return BatchingConfig(is_per_model=is_per_model)
    return replace(read_threads(path), is_per_model=True) if is_per_model else read(path)


def read(path: str) -> BatchingConfig:
    """The config of a --batching_parameters_file.

    Raises:
        ServingError: as `text_proto.read` and `from_message` do.
    """
    return from_message(text_proto.read(path, wire.BatchingParameters))


def read_threads(path: str) -> BatchingConfig:
    """The threads of a --batching_parameters_file, all that counts of it with --enable_per_model_batching_parameters.

    Raises:
        InvalidArgument: with the original's text, if the number of threads is less than 1.
        ServingError: as `text_proto.read` does.
    """
    return _with_threads(text_proto.read(path, wire.BatchingParameters), QueueLimits())


def read_per_model(directory: Path) -> QueueLimits | None:
    """The limits of one version (TensorFlow Serving: --enable_per_model_batching_parameters).

    Returns:
        None if the version has no such file: it is not batched at all.

    Raises:
        ServingError: as `text_proto.read` and `limits_of` do.
    """
    path = os.path.join(directory, PER_MODEL_FILE)
    # Path.exists would raise some errors of stat.
    return limits_of(text_proto.read(path, wire.BatchingParameters)) if os.path.exists(path) else None


def from_message(message: wire.BatchingParameters) -> BatchingConfig:
    """The config of a message.

    Raises:
        InvalidArgument: with the original's text, if a number is out of range or the sizes do not fit together.
    """
    return _with_threads(message, limits_of(message))


def _with_threads(message: wire.BatchingParameters, limits: QueueLimits) -> BatchingConfig:
    count = message.num_batch_threads.value if message.HasField("num_batch_threads") else None
    if count is not None and count < 1:
        raise InvalidArgument(f"num_batch_threads must be positive; was {count}")
    return BatchingConfig(limits, count, message.thread_pool_name.value or "batch_threads")


def limits_of(message: wire.BatchingParameters) -> QueueLimits:
    """The limits that a message sets; its threads are ignored.

    Raises:
        InvalidArgument: with the original's text, if a number is out of range or the sizes do not fit together.
    """
    splits = message.enable_large_batch_splitting.value
    task_rows = _value(message, "max_batch_size", _DEFAULT_ROWS)
    batches = _value(message, "max_enqueued_batches", _DEFAULT_ENQUEUED)
    limits = QueueLimits(
        task_rows,
        _value(message, "max_execution_batch_size", task_rows) if splits else task_rows,
        _value(message, "batch_timeout_micros", 0) * 1e-6,
        batches if splits or batches else 1,
        tuple(message.allowed_batch_sizes),
        message.pad_variable_length_inputs,
        splits,
        None,
    )
    _check(limits)
    return limits


def _value(message: wire.BatchingParameters, field: str, default: int) -> int:
    if not message.HasField(field):  # type: ignore[arg-type]
        return default
    value: int = getattr(message, field).value
    return value


def _check(limits: QueueLimits) -> None:
    allowed = limits.allowed_rows
    if allowed and allowed[-1] != limits.max_task_rows:
        raise InvalidArgument(
            "Last entry in allowed_batch_sizes must match max_batch_size; "
            f"last entry was {allowed[-1]}; expected {limits.max_task_rows}"
        )
    if limits.max_task_rows < 1:
        raise InvalidArgument(f"input_batch_size_limit must be positive; was {limits.max_task_rows}")
    if limits.timeout_s < 0:
        raise InvalidArgument(f"batch_timeout_micros must be non-negative; was {round(limits.timeout_s * 1e6)}")
    if limits.max_batches < 1:
        raise InvalidArgument(f"max_enqueued_batches must be positive; was {limits.max_batches}")
    if limits.splits and not 0 < limits.max_batch_rows <= limits.max_task_rows:
        raise InvalidArgument(
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
            f"max_execution_batch_size; they were {limits.max_task_rows} and {limits.max_batch_rows}"
        )
