"""Recorded requests: records of PredictionLog, and files that hold one request each.

It must not know a model. Every log that comes from here is ready for a warm-up file: it holds a request and no
response, which would be read at each load for nothing.
"""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.message import DecodeError

from servable import wire
from servable.errors import FailedPrecondition, InvalidArgument
from servable.warmup import records


class RequestKind(enum.Enum):
    """What a file with one request holds, by the field of PredictionLog that takes it.

    Bytes do not tell: a ClassificationRequest and a RegressionRequest are alike.
    """

    PREDICT = "predict_log"
    CLASSIFY = "classify_log"
    REGRESS = "regress_log"
    MULTI_INFERENCE = "multi_inference_log"


def read_log(record: bytes, path: Path) -> wire.PredictionLog:
    """The request of a record of PredictionLog, as a request logger or a warm-up file has it.

    Raises:
        InvalidArgument: if it is none.
    """
    log = records.parse(record, path)
    kind = log.WhichOneof("log_type")
    stripped = wire.PredictionLog()
    if kind is not None:
        stored: Any = getattr(log, kind)
        stored.ClearField("response")
        getattr(stripped, kind).CopyFrom(stored)
    return stripped


def read_request(path: Path, kind: RequestKind) -> wire.PredictionLog:
    """The request of a file: serialized, as text proto, or as JSON in protobuf's own mapping.

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


def _parse(content: bytes, request: Any) -> None:
    text = _as_text(content)
    if text is None:
        request.ParseFromString(content)
    elif text.lstrip().startswith("{"):
        json_format.Parse(text, request, descriptor_pool=wire.POOL)
    else:
        text_format.Parse(text, request, descriptor_pool=wire.POOL)


def _as_text(content: bytes) -> str | None:
    """The text, unless control characters give away a serialized message: the tag of what it asks is one (18)."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if any(character < " " and character not in "\t\n\r" for character in text) else text
