"""The texts of floats in replies: the shortest of two formats that reads back as the same value.

Source of the behaviour: TensorFlow Serving, util/json_tensor.cc: `%.6g` if that reads back as the same value, else
`%.9g` for a float32 and `%.17g` for a float64; `.0` is added to what would look like an integer. Values that are not
finite have bare names, which strict JSON lacks.

For many values the format of each is chosen without writing it: a value reads back from `%.6g` if it is what the
nearest decimal number of six digits rounds to, and that number is computed for all values at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from servable.codec.json.pieces import Array, Pieces

# Below this number of values NumPy's calls take longer than a plain loop.
FEW_VALUES: Final = 30

_DIGITS: Final = 6
# Powers of ten up to this one are float64 numbers exactly, so one rounding makes the quotient of an integer and one.
_MOST_EXACT_POWER: Final = 22
_POWERS: Final = np.array([float(f"1e{exponent}") for exponent in range(309)])
# A float64 that rounds to a normal float32 differs from it by less than this, relatively.
_MOST_ROUNDING: Final = 2.0**-23
_LEAST_NORMAL: Final = 2.0**-126
# By this much the computed decimal may be off, where it is not exact.
_UNCERTAINTY: Final = 1e-12


def write(value: float, is_single: bool) -> str:
    """The text of one value.

    Args:
        value: Any, also infinite or no number.
        is_single: Whether it is a float32.
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = f"{value:.6g}"
    if not _reads_back(text, value, is_single):
        text = f"{value:.9g}" if is_single else f"{value:.17g}"
    return text if "." in text or "e" in text else text + ".0"


def choose_formats(values: Array) -> Pieces:
    """How to write many values.

    Args:
        values: float32 or float64, one dimension.
    """
    is_single = values.dtype == np.float32
    is_finite = np.isfinite(values)
    numbers = np.where(is_finite, values, 0).astype(np.float64)
    is_short = _read_back_from_six_digits(numbers, is_single)
    # An integer is written without a point if its digits are no more than those of the format.
    most = np.where(is_short, 1e6, 1e9 if is_single else 1e17)
    lacks_point = (np.trunc(numbers) == numbers) & (np.abs(numbers) < most)
    codes = np.where(is_short, 0, 2) + lacks_point
    codes[~is_finite] = np.where(np.isnan(values[~is_finite]), 4, np.where(values[~is_finite] > 0, 5, 6))
    return Pieces(_FORMATS_SINGLE if is_single else _FORMATS_DOUBLE, codes, values.tolist())


def _formats(long: str) -> Sequence[str]:
    # The last three take their value and write nothing of it.
    return ("%.6g", "%.6g.0", long, long + ".0", "%.0sNaN", "%.0sInfinity", "%.0s-Infinity")


_FORMATS_SINGLE: Final = _formats("%.9g")
_FORMATS_DOUBLE: Final = _formats("%.17g")


def _reads_back(text: str, value: float, is_single: bool) -> bool:
    read = float(text)
    if read == value or not is_single:
        return read == value
    if abs(read - value) > _MOST_ROUNDING * abs(value) and abs(value) >= _LEAST_NORMAL:
        return False
    with np.errstate(over="ignore"):
        return bool(np.float32(read) == np.float32(value))


def _read_back_from_six_digits(numbers: Array, is_single: bool) -> Array:
    """For each number whether `%.6g` of it reads back as the same value."""
    scale = _DIGITS - 1 - _exponents(np.abs(numbers))
    power = _POWERS[np.minimum(np.abs(scale), len(_POWERS) - 1)]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        decimals = np.where(scale >= 0, np.rint(numbers * power) / power, np.rint(numbers / power) * power)
        if is_single:
            low, high = (decimals * (1 + offset) for offset in (-_UNCERTAINTY, _UNCERTAINTY))
            reads_back = low.astype(np.float32) == numbers.astype(np.float32)
            is_unsure = (high.astype(np.float32) == numbers.astype(np.float32)) != reads_back
        else:
            reads_back = decimals == numbers
            is_unsure = np.abs(scale) > _MOST_EXACT_POWER
    for index in np.flatnonzero(is_unsure).tolist():
        value = float(numbers[index])
        reads_back[index] = _reads_back(f"{value:.6g}", value, is_single)
    found: Array = reads_back
    return found


def _exponents(magnitudes: Array) -> Array:
    """The decimal exponent of each; 0 for 0."""
    positive = np.where(magnitudes > 0, magnitudes, 1.0)
    exponents: Array = np.floor(np.log10(positive)).astype(np.int64)
    return exponents
