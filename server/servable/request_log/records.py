"""A call as one record of a file: a PredictionLog as TFRecord, as warm-up files have it.

The messages are not parsed for it: a message within another is its bytes behind a tag and its length. Calls that failed
have no record, since a version that met such a request in its warm-up would not serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from servable import wire
from servable.codec import encoding, tf_records
from servable.errors import Code
from servable.request_log.entries import Entry
from servable.request_log.messages import LOG_FIELDS, reply_bytes, request_bytes

_NS: Final = 1_000_000_000
_FIELDS: Final = {field.name: field.number for field in wire.PredictionLog.DESCRIPTOR.fields}
_REQUEST: Final = 1
_RESPONSE: Final = 2
_LENGTH_DELIMITED: Final = 2


def tf_record(entry: Entry, saved_model_tags: Sequence[str]) -> bytes | None:
    """The record of a call; None if it has none.

    Raises:
        ServingError: if its request does not parse.
        ValueError: likewise.
    """
    request = request_bytes(entry) if entry.code is Code.OK else None
    if request is None:
        return None
    reply = reply_bytes(entry)
    logged = _delimited(_REQUEST, request) + (b"" if reply is None else _delimited(_RESPONSE, reply))
    metadata = _metadata(entry, saved_model_tags).SerializeToString()
    return tf_records.frame(
        _delimited(_FIELDS["log_metadata"], metadata) + _delimited(_FIELDS[LOG_FIELDS[entry.api]], logged)
    )


def _metadata(entry: Entry, saved_model_tags: Sequence[str]) -> wire.LogMetadata:
    spec = wire.ModelSpec(name=entry.model, signature_name=entry.signature)
    spec.version.value = entry.version
    return wire.LogMetadata(
        model_spec=spec,
        sampling_config=wire.SamplingConfig(sampling_rate=entry.sampling_rate),
        saved_model_tags=saved_model_tags,
        timestamp_secs=entry.began_ns // _NS,
    )


def _delimited(field: int, data: bytes) -> bytes:
    return encoding.varint(field << 3 | _LENGTH_DELIMITED) + encoding.varint(len(data)) + data
