"""Two replies to one request: the first place where they differ.

Numbers with fractions may differ by a tolerance, and NaN is equal to NaN; everything else must be equal. Versions are
not compared: the server may have another.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable_client import _tensor_protos, wire
from servable_client._tensor_protos import NOTHING_LIFTED, Tensor
from servable_client._wire_format import Malformed

Array = np.ndarray[Any, Any]
_MOST_TEXT = 60


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much a number may differ: |got - recorded| <= atol + rtol * |recorded|."""

    rtol: float
    atol: float


def find_difference(recorded: Any, got: Any, tolerance: Tolerance) -> str | None:
    """Where two replies of one kind differ, in words; None if they do not.

    Args:
        recorded: A response of PredictionService.
        got: Another of the same kind.
        tolerance: For floating-point and complex numbers.
    """
    try:
        before, after = dict(_values(recorded)), dict(_values(got))
    except Malformed as error:
        return f"a reply cannot be read: {error}"
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            return f"{name}: it is missing"
        if name not in before:
            return f"{name}: it is new"
        difference = _compare(before[name], after[name], tolerance)
        if difference is not None:
            return f"{name}: {difference}"
    return None


def _values(reply: Any) -> Iterator[tuple[str, Array]]:
    if isinstance(reply, wire.PredictResponse):
        for name, tensor in reply.outputs.items():
            yield name, _tensor_protos.decode(Tensor(tensor, NOTHING_LIFTED))
    elif isinstance(reply, wire.MultiInferenceResponse):
        for index, result in enumerate(reply.results):
            kind = result.WhichOneof("result")
            if kind is not None:
                for name, array in _head(getattr(result, kind)):
                    yield f"task {index}, {name}", array
    else:
        yield from _head(reply.result)


def _head(result: Any) -> Iterator[tuple[str, Array]]:
    if isinstance(result, wire.RegressionResult):
        yield "values", np.array([each.value for each in result.regressions], np.float32)
        return
    for index, row in enumerate(result.classifications):
        yield f"example {index}, labels", np.array([each.label for each in row.classes], object)
        yield f"example {index}, scores", np.array([each.score for each in row.classes], np.float32)


def _compare(before: Array, after: Array, tolerance: Tolerance) -> str | None:
    if before.dtype != after.dtype:
        return f"dtype {before.dtype.name} was recorded, got {after.dtype.name}"
    if before.shape != after.shape:
        return f"shape {list(before.shape)} was recorded, got {list(after.shape)}"
    differs = np.logical_not(_are_equal(before, after, tolerance))
    count = int(np.count_nonzero(differs))
    if not count:
        return None
    place = tuple(int(index) for index in np.argwhere(differs)[0])
    values = f"{_text(before[place])} was recorded, got {_text(after[place])}"
    return f"{count} of {before.size} values differ, the first at {list(place)}: {values}"


def _are_equal(before: Array, after: Array, tolerance: Tolerance) -> Any:
    if before.dtype.kind in "biuSUO":
        return before == after
    wide = np.complex128 if before.dtype.kind == "c" else np.float64
    # Extensions of NumPy, such as bfloat16, have no isclose of their own.
    return np.isclose(after.astype(wide), before.astype(wide), rtol=tolerance.rtol, atol=tolerance.atol, equal_nan=True)


def _text(value: Any) -> str:
    text = repr(value) if isinstance(value, (bytes, str)) else str(value)
    return text if len(text) <= _MOST_TEXT else text[:_MOST_TEXT] + "..."
