"""What users give, as what a signature asks for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable_client import tensors
from servable_client.errors import InputError


def read(value, dtype=None):
    return tensors.decode(tensors.encode(value, dtype))


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1.5, "float32"),
        ([1.5, 2], "float32"),
        (3, "int64"),
        ([True], "bool"),
        (1j, "complex128"),
        ("a", "object"),
        ([], "float32"),
        (np.float64(1), "float64"),
        ([np.float64(1)], "float64"),
        ([np.arange(2, dtype=np.int8)], "int8"),
        (np.arange(2.0), "float64"),
        (1 << 63, "uint64"),
    ],
)
def test_without_a_signature_arrays_keep_their_dtype_and_python_floats_are_float32(value, dtype):
    assert read(value).dtype == dtype


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([1, 2], "float32"),
        (np.arange(3.0), "float32"),
        (np.arange(3), "int32"),
        (np.arange(3), "uint8"),
        (np.array([True]), "float16"),
        (np.float32([1]), "complex64"),
        ([1.5], "bfloat16"),
        ([1, -8], "int4"),
        ([1], "qint8"),
        ([], "int32"),
        ([[]], "string"),
        (np.array([], object), "float32"),
    ],
)
def test_a_value_becomes_the_wanted_dtype_where_nothing_is_lost_in_kind(value, dtype):
    got = read(value, dtype)
    assert got.shape == np.shape(value)
    if got.size and dtype != "bfloat16":
        np.testing.assert_array_equal(got.astype(np.complex128), np.asarray(value, np.complex128))


@pytest.mark.parametrize(
    ("value", "dtype", "given_", "why"),
    [
        ([1.0], "int32", "list of float", "lose"),
        (np.array([1.0]), "int64", "float64 array of shape (1,)", "lose"),
        (np.array([1j]), "float32", "complex128", "lose"),
        ([2], "bool", "list of int", "lose"),
        ([300], "uint8", "list of int", "[0, 255]"),
        (np.array([-1]), "uint64", "int64", "outside"),
        (np.array([1 << 40]), "int32", "int64", "outside"),
        ([9], "int4", "list of int", "[-8, 7]"),
        ([1 << 70], "int64", "list of int", "int"),
        ([1e300], "float32", "list of float", "too large"),
        (np.array([1e6]), "float16", "float64", "too large"),
        ("1", "float32", "str", "string"),
        (np.array(["1"]), "float32", "U1", "string"),
        ([1], "string", "list of int", "type int"),
        (np.array([1]), "string", "int64", "string"),
        ([[1, 2], [3]], "float32", "list of int", "inhomogeneous"),
        ([["a", "b"], ["c"]], "string", "list of str", "ragged"),
        (["a", 1], None, "list of str", "type int"),
        ([1, "a"], None, "list of int", "mixes"),
        ([["a"], "b"], None, "list of str", "ragged"),
        (None, None, "NoneType", "NoneType"),
        ({"a": 1}, None, "dict", "dict"),
        (np.array([object()]), None, "object array", "object"),
        (np.array([1, 2], object), "int32", "object array", "int"),
        (["\ud800"], None, "list of str", "Unicode"),
        (np.zeros(2, [("a", "f4")]), None, "array", "no dtype"),
    ],
)
def test_what_cannot_be_sent_says_what_was_given_and_what_was_expected(value, dtype, given_, why):
    with pytest.raises(InputError) as caught:
        tensors.encode(value, dtype)
    assert given_ in str(caught.value)
    assert why in str(caught.value)
    assert (dtype or "") in caught.value.expected


def test_an_object_that_numpy_takes_for_an_array_is_one():
    class Frame:
        def __array__(self, dtype=None, copy=None):
            return np.array([1.0, 2.0], dtype or np.float64)

    assert read(Frame()).dtype == np.float64
    assert read(Frame(), "float32").tolist() == [1.0, 2.0]


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(), st.lists))
def test_any_nesting_of_python_values_is_sent_or_refused(value):
    for dtype in (None, "float32", "int32", "string", "bool"):
        try:
            read(value, dtype)
        except InputError as error:  # noqa: PERF203  (the other outcome is as good)
            assert str(error)  # noqa: PT017
