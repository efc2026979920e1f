"""The texts of floats: chosen for many values at once, they are those that a plain loop chooses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from servable import wire
from servable.codec.json import arrays, float_text

NUMBERS = {np.float32: wire.DT_FLOAT, np.float64: wire.DT_DOUBLE}


def write(values):
    """The texts as a reply has them."""
    return "".join(arrays.write(values, NUMBERS[values.dtype.type], arrays.one_line(1, 1)))[1:-1].split(", ")


def write_one_by_one(values):
    """By what the original does: the shorter format, if the text reads back as the same value."""
    long = "{:.9g}" if values.dtype == np.float32 else "{:.17g}"
    with np.errstate(over="ignore"):
        return [write_plainly(value, long, values.dtype.type) for value in values.tolist()]


def write_plainly(value, long, kind):
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    short = f"{value:.6g}"
    text = short if kind(float(short)) == kind(value) else long.format(value)
    return text if "." in text or "e" in text else text + ".0"


@pytest.mark.behaviour("9.6", "a float has six digits if they read back as the same value, else all that it needs")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3, "3.0"),
        (0.2, "0.2"),
        (1e6, "1e+06"),
        (1234567, "1234567.0"),
        (3e-5, "3e-05"),
        (np.pi, "3.14159274"),
        (1 / 3, "0.333333343"),
        (-0.0, "-0.0"),
        (1e20, "1e+20"),
        (9000000, "9e+06"),
        (999999, "999999.0"),
        (0.5, "0.5"),
        (0.0003, "0.0003"),
        (555557.5, "555557.5"),
    ],
)
@pytest.mark.parametrize("count", [1, 50])
def test_a_float32_is_written(value, text, count):
    assert write(np.full(count, value, np.float32)) == [text] * count


@pytest.mark.behaviour("9.6", "a float has six digits if they read back as the same value, else all that it needs")
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1 + 0.2, "0.30000000000000004"),
        (3.141592653589793, "3.1415926535897931"),
        (5e-324, "4.94066e-324"),
        (1e300, "1e+300"),
        (1e16, "1e+16"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ],
)
@pytest.mark.parametrize("count", [1, 50])
def test_a_float64_is_written(value, text, count):
    assert write(np.full(count, value)) == [text] * count


@pytest.mark.behaviour("13.11", "values that are not finite have bare names")
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 50])
def test_what_is_not_finite_has_a_name(kind, count):
    values = np.array([np.nan, np.inf, -np.inf] * count, kind)
    assert write(values) == ["NaN", "Infinity", "-Infinity"] * count


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@given(st.data())
def test_texts_of_many_values_are_those_of_each(kind, data):
    values = data.draw(arrays_of.arrays(kind, st.integers(float_text.FEW_VALUES, 90)))
    assert write(values) == write_one_by_one(values)
    assert [float_text.write(value, kind is np.float32) for value in values.tolist()] == write_one_by_one(values)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_texts_of_short_decimals_and_their_neighbours_are_those_of_each(kind):
    """Where the choice is closest: decimals of few digits at every scale, and the values beside them."""
    digits = np.array([1, 2, 5, 9.99999, 9.999995, 9.999999, 1.00001, 1.000005, 1.23456, 3.999995], np.float64)
    with np.errstate(over="ignore", under="ignore"):
        decimals = (digits[:, None] * 10.0 ** np.arange(-46, 40)).ravel().astype(kind)
        beside = [np.nextafter(decimals, kind(limit)) for limit in (-np.inf, np.inf)]
    values = np.concatenate([decimals, *beside, -decimals])
    assert write(values) == write_one_by_one(values)


@pytest.mark.parametrize(("kind", "bits"), [(np.float32, np.uint32), (np.float64, np.uint64)])
def test_texts_of_any_bits_are_those_of_each(kind, bits):
    values = np.random.default_rng(13).integers(0, np.iinfo(bits).max, 20_000, bits, endpoint=True).view(kind)
    assert write(values) == write_one_by_one(values)
