"""The warm-up file of a version, and the loop that replays it.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/saved_model_warmup_util.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from google.protobuf.message import DecodeError

from servable import wire
from servable.errors import DataLoss, InvalidArgument

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000
# The original quotes the whole record, which may be megabytes; the error is a status that clients read.
_QUOTED_BYTES = 1024

ReadRecords = Callable[[Path], Iterator[bytes]]
"""The records of a TFRecord file, one at a time. Raises DataLoss where the file is none, or another ServingError."""

Execute = Callable[[wire.PredictionLog], None]
"""Runs the request of one log, or raises a ServingError."""


def replay(path: Path, read: ReadRecords, execute: Execute, iterations: int = 1) -> int:
    """Execute every record of a warm-up file, each so many times in a row.

    Returns:
        The number of records.

    Raises:
        InvalidArgument: if a record is no PredictionLog, or after the 1001st has been executed.
        DataLoss: if the file is no TFRecord file, or cut.
        ServingError: as the execution raises it; nothing that follows is executed.
    """
    count = 0
    for record in _read(path, read):
        log = parse(record, path)
        for _ in range(iterations):
            execute(log)
        count += 1
        if count > MAX_RECORDS:
            raise InvalidArgument(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}")
    return count


def parse(record: bytes, path: Path) -> wire.PredictionLog:
    """The log of one record.

    Raises:
        InvalidArgument: if it does not parse.
    """
    try:
        return wire.PredictionLog.FromString(record)
    except DecodeError as error:
        quoted = record[:_QUOTED_BYTES].decode(errors="replace")
        cut = "" if len(record) <= _QUOTED_BYTES else f"... ({len(record)} bytes)"
        raise InvalidArgument(f"Failed to parse warmup record: {quoted}{cut} from {path}") from error


def _read(path: Path, read: ReadRecords) -> Iterator[bytes]:
    """The records. What their execution raises does not come through here, so a graph's DataLoss stays as it is."""
    try:
        yield from read(path)
    except DataLoss as error:
        raise DataLoss(f"{error.message}. Please verify your warmup data is in TFRecord format.") from error
