"""A fetched tensor with its dtype, and how texts of the original print its shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable.requests import Fetched


@dataclass(frozen=True, slots=True)
class Output:
    """A fetched tensor.

    Attributes:
        array: Its values; strings as objects (bytes).
        dtype: Its number in tensorflow.DataType, which tells apart what NumPy does not.
    """

    array: np.ndarray[Any, Any]
    dtype: int


def collect(names: Iterable[str], fetched: Fetched) -> Mapping[str, Output]:
    """What a run gave, by the names that were fetched."""
    results = zip(names, fetched.arrays, fetched.dtypes, strict=True)
    return {name: Output(array, dtype) for name, array, dtype in results}


def format_shape(array: np.ndarray[Any, Any]) -> str:
    """As TensorFlow prints a shape: `[2,3]`, and `[]` for a scalar."""
    return "[" + ",".join(map(str, array.shape)) + "]"
