"""Replies of the REST API as the messages that they stand for.

Numbers lose nothing: they were written so that they read back as the same values.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from servable import wire
from servable.codec import dtypes, encoding
from servable.request_log.entries import Entry

# A longer one would hold the interpreter for long while it is parsed; it is left out.
_MOST_BYTES: Final = 1 << 20

Response = wire.PredictResponse | wire.ClassificationResponse | wire.RegressionResponse


def read(entry: Entry) -> Response | None:
    """The response of a call over REST, without its model spec; None if it is too long, or cannot be told.

    Raises:
        ValueError: if it is no reply.
    """
    body = entry.reply
    if body is None or len(body) > _MOST_BYTES:
        return None
    document = json.loads(body.decode("utf-8", "surrogateescape"))
    if entry.api == "Classify":
        return _classification(document["results"])
    if entry.api == "Regress":
        values = [wire.Regression(value=value) for value in document["results"]]
        return wire.RegressionResponse(result=wire.RegressionResult(regressions=values))
    return None if entry.sample is None else _prediction(document, entry.sample.outputs)


def _classification(results: list[list[tuple[str, float]]]) -> wire.ClassificationResponse:
    rows = [
        wire.Classifications(
            classes=[wire.Class(label=_encode(label).decode(errors="replace"), score=score) for label, score in row]
        )
        for row in results
    ]
    return wire.ClassificationResponse(result=wire.ClassificationResult(classifications=rows))


def _prediction(document: Mapping[str, Any], numbers: Mapping[str, int]) -> wire.PredictResponse | None:
    response = wire.PredictResponse()
    for alias, number in numbers.items():
        array = _array(_values(document, alias, is_only=len(numbers) == 1), number)
        if array is None:
            return None
        encoding.encode(array, number, response.outputs[alias])
    return response


def _values(document: Mapping[str, Any], alias: str, *, is_only: bool) -> Any:
    if "outputs" in document:
        return document["outputs"] if is_only else document["outputs"][alias]
    rows = document["predictions"]
    return rows if is_only else [row[alias] for row in rows]


def _array(values: Any, number: int) -> np.ndarray[Any, Any] | None:
    """None for one without elements, whose shape JSON does not tell."""
    dtype = dtypes.BY_NUMBER[number]
    if dtype.is_string:
        shape = _shape(values)
        array = np.empty(len(flat := list(_strings(values))), object)
        array[:] = flat
        return array.reshape(shape) if flat else None
    found = np.array(values, np.float64 if dtype.field == "half_val" else dtype.stored)
    return found.astype(dtype.numpy) if found.size else None


def _shape(values: Any) -> tuple[int, ...]:
    shape = []
    while isinstance(values, list):
        shape.append(len(values))
        values = values[0] if values else None
    return tuple(shape)


def _strings(values: Any) -> Iterator[bytes]:
    if isinstance(values, list):
        for value in values:
            yield from _strings(value)
    elif isinstance(values, str):
        yield _encode(values)
    else:
        yield base64.b64decode(values["b64"])


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
