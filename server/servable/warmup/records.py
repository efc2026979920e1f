"""The warm-up file of a version: its place, its records, and the forms in which recorded requests come.

A record is a serialized PredictionLog. How records lie in a file is not known here: `execution.tf_records` reads and
writes them. Nothing here knows a model.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/saved_model_warmup_util.cc.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.message import DecodeError

from servable import wire
from servable.errors import FailedPrecondition, InvalidArgument

WARMUP_FILE = Path("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000
# The original quotes the whole record, which may be megabytes; the error is a status that clients read.
_QUOTED_BYTES = 1024

ReadRecords = Callable[[Path], Iterator[bytes]]
"""The records of a TFRecord file, one at a time. Raises DataLoss if the file is no TFRecord file, or a ServingError."""


class RequestKind(enum.Enum):
    """What a file with one request holds, by the field of PredictionLog that takes it.

    The bytes do not show it: a ClassificationRequest and a RegressionRequest are alike.
    """

    PREDICT = "predict_log"
    CLASSIFY = "classify_log"
    REGRESS = "regress_log"
    MULTI_INFERENCE = "multi_inference_log"


def read_log(record: bytes, path: Path) -> wire.PredictionLog:
    """The request of a record of PredictionLog, as a request logger or a warm-up file has it.

    Returns:
        A log without a response, which would be read at each load for nothing.

    Raises:
        InvalidArgument: if the record is no PredictionLog.
    """
    log = parse_record(record, path)
    kind = log.WhichOneof("log_type")
    stripped = wire.PredictionLog()
    if kind is not None:
        stored: Any = getattr(log, kind)
        stored.ClearField("response")
        getattr(stripped, kind).CopyFrom(stored)
    return stripped


def read_request(path: Path, kind: RequestKind) -> wire.PredictionLog:
    """The request of a file with one: serialized, as text proto, or as JSON in protobuf's own mapping.

    Raises:
        InvalidArgument: if it holds no request of this kind.
        FailedPrecondition: if it cannot be read.
    """
    log = wire.PredictionLog()
    request = getattr(log, kind.value).request
    request.SetInParent()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FailedPrecondition(f"{path}: {error.strerror}") from error
    try:
        _parse(content, request)
    except (DecodeError, json_format.ParseError, text_format.ParseError) as error:
        raise InvalidArgument(f"{path} holds no {request.DESCRIPTOR.name}: {error}") from error
    return log


def parse_record(record: bytes, path: Path) -> wire.PredictionLog:
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


def _parse(content: bytes, request: Any) -> None:
    text = _as_text(content)
    if text is None:
        request.ParseFromString(content)
    elif text.lstrip().startswith("{"):
        json_format.Parse(text, request, descriptor_pool=wire.POOL)
    else:
        text_format.Parse(text, request, descriptor_pool=wire.POOL)


def _as_text(content: bytes) -> str | None:
    """The content as text; None for a serialized message, as control characters show: the tag of its inputs is 18."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if any(character < " " and character not in "\t\n\r" for character in text) else text
