"""The values of an array as pieces of a text: a `%`-format for each, and what the formats take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]


class Pieces(NamedTuple):
    """Some values to be written.

    Attributes:
        formats: The formats that occur. Each takes one value.
        codes: For each value the index of its format.
        values: The values.
    """

    formats: Sequence[str]
    codes: Array
    values: Sequence[object]
