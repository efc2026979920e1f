"""A call as one line of JSON, for people and for what reads JSON Lines.

A tensor is its dtype, its shape and its values as REST has them; NaN and infinities are written as Python and the
original's REST write them. Examples and MultiInference are written in protobuf's own mapping.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, Final

import numpy as np
from google.protobuf import json_format

from servable import wire
from servable.codec import decoding, dtypes
from servable.request_log.entries import Entry
from servable.request_log.messages import LOG_FIELDS, REQUEST_TYPES, RESPONSE_TYPES, reply_bytes, request_bytes

_NS: Final = 1_000_000_000
# As many values are written at once, without letting other threads run.
_CHUNK: Final = 2048


def json_line(entry: Entry) -> bytes:
    """The line of a call, with its end.

    Raises:
        ServingError: if its request does not parse.
        ValueError: likewise.
    """
    kind = LOG_FIELDS[entry.api]
    parts = [_dump(_head(entry))[:-1]]
    for key, data, message in (
        ("request", request_bytes(entry), REQUEST_TYPES[kind]),
        ("reply", reply_bytes(entry), RESPONSE_TYPES[kind]),
    ):
        if data is not None:
            parts += [f', "{key}": ', *_message(message.FromString(data))]
    parts.append("}\n")
    return "".join(parts).encode()


def _head(entry: Entry) -> Mapping[str, Any]:
    seconds, ns = divmod(entry.began_ns, _NS)
    time = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    head = {
        "time": f"{time}.{ns // 1000:06d}Z",
        "model": entry.model,
        "version": entry.version,
        "signature": entry.signature,
        "api": entry.api,
        "entrypoint": entry.entrypoint,
        "code": entry.code.name,
        "seconds": {
            "total": round(entry.total_s, 6),
            "queue": round(entry.queue_s, 6),
            "run": round(entry.run_s, 6),
        },
    }
    if entry.batch_rows:
        head["batch_rows"] = entry.batch_rows
    if entry.trace_id:
        head["trace_id"] = entry.trace_id
    return head


def _message(message: Any) -> Iterator[str]:
    if isinstance(message, wire.PredictRequest):
        spec = json_format.MessageToDict(message.model_spec, preserving_proto_field_name=True)
        head = {"model_spec": spec, "output_filter": list(message.output_filter)}
        yield from _tensors(head, "inputs", message.inputs)
    elif isinstance(message, wire.PredictResponse):
        yield from _tensors({}, "outputs", message.outputs)
    else:
        yield _dump(json_format.MessageToDict(message, preserving_proto_field_name=True))


def _tensors(head: Mapping[str, Any], key: str, tensors: Mapping[str, wire.TensorProto]) -> Iterator[str]:
    yield "{" + "".join(f"{_dump(name)}: {_dump(value)}, " for name, value in head.items() if value)
    yield f'"{key}": {{'
    before = ""
    for alias in sorted(tensors):
        array = decoding.decode(tensors[alias])
        about = {"dtype": dtypes.name_of(tensors[alias].dtype), "shape": list(array.shape)}
        yield f'{before}{_dump(alias)}: {_dump(about)[:-1]}, "values": '
        yield from _values(_plain(array))
        yield "}"
        before = ", "
    yield "}}"


def _values(array: np.ndarray[Any, Any]) -> Iterator[str]:
    if array.size <= _CHUNK:
        yield _dump(_texts(array.tolist()) if array.dtype == object else array.tolist())
        return
    before = "["
    step = _CHUNK if array.ndim == 1 else 1
    for start in range(0, len(array), step):
        yield before
        if array.ndim > 1:
            yield from _values(array[start])
        else:
            yield "".join(_values(array[start : start + step]))[1:-1]
        before = ", "
    yield "]"


def _plain(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array in a dtype whose values JSON has; a complex number is a pair."""
    if array.dtype == object:
        return array
    if array.dtype.names:
        array = array[array.dtype.names[0]]
    if array.dtype.kind == "c":
        parts: np.ndarray[Any, Any] = np.stack((array.real, array.imag), -1)
        return parts
    if array.dtype.kind in "biuf":
        return array
    # Those of ml_dtypes.
    return array.astype(np.int64 if dtypes.BY_NUMPY[array.dtype].field == "int_val" else np.float64)


def _texts(values: Any) -> Any:
    if isinstance(values, list):
        return [_texts(value) for value in values]
    try:
        return values.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(values).decode()}


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
