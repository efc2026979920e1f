"""Tensors in the protocol's three forms, each datatype there and back, and what is refused before memory is taken."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable import wire
from servable.codec.decoding import MalformedTensor
from servable.open_inference import datatypes, tensors
from tests.open_inference.asking import any_arrays, assert_equal, datatype_of, from_bytes, to_bytes

FP32, BYTES, BOOL, INT8 = (datatypes.BY_NAME[name] for name in ("FP32", "BYTES", "BOOL", "INT8"))
TYPED = [datatype.name for datatype in datatypes.BY_NAME.values() if datatype.field]


@pytest.mark.parametrize("name", [name for name in datatypes.BY_NAME if name != "BF16"])
def test_a_datatype_is_the_numpy_type_that_tritons_client_makes_of_it(name):
    utils = pytest.importorskip("tritonclient.utils")
    assert datatypes.BY_NAME[name].dtype.numpy == utils.triton_to_np_dtype(name)


@given(any_arrays())
def test_bytes_are_read_and_written_as_the_protocol_says(array):
    datatype = datatype_of(array)
    content = tensors.write_bytes(datatype, array)
    assert content == to_bytes(array)
    assert_equal(from_bytes(content, datatype, array.shape), array)
    assert_equal(tensors.read_bytes(datatype, array.shape, content), array)
    assert_equal(tensors.read_bytes(datatype, array.shape, memoryview(b"?" + content)[1:]), array)


@given(any_arrays(TYPED))
def test_typed_contents_are_read_as_they_were_written(array):
    datatype, contents = datatype_of(array), wire.InferTensorContents()
    tensors.write_contents(datatype, array, contents)
    assert len(contents.ListFields()) <= 1
    assert_equal(tensors.read_contents(datatype, array.shape, contents), array)


@given(any_arrays([name for name in datatypes.BY_NAME if name != "BYTES"]), st.booleans())
def test_numbers_in_json_are_read_as_they_were_written(array, nested):
    datatype = datatype_of(array)
    data = json.loads(json.dumps(tensors.write_json(datatype, array)))
    if nested and array.ndim:
        data = np.array(data, object).reshape(array.shape).tolist()
    assert_equal(tensors.read_json(datatype, array.shape, data), array)


@given(st.lists(st.text(max_size=5), min_size=6, max_size=6))
def test_text_in_json_is_utf_8(texts):
    array = np.array([text.encode() for text in texts], object).reshape(2, 3)
    data = json.loads(json.dumps(tensors.write_json(BYTES, array)))
    assert data == texts
    assert_equal(tensors.read_json(BYTES, (2, 3), data), array)
    assert_equal(tensors.read_json(BYTES, (2, 3), [data[:3], data[3:]]), array)


def test_bytes_that_are_no_text_cannot_be_written_as_json():
    with pytest.raises(MalformedTensor, match="ask for binary_data"):
        tensors.write_json(BYTES, np.array([b"\xff"], object))


@pytest.mark.parametrize("name", datatypes.BY_NAME)
@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ([-1], "negative size"),
        ([1 << 62, 4], "too many elements"),
        ([1 << 40], "take"),
        ([1 << 40, 1 << 40, 0], "too many elements"),
        ([1 << 31, 0], "too large even without elements"),
        ([1] * 33, "at most 32"),
        ([2], "take"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_in_each_form(name, shape, reason):
    datatype = datatypes.BY_NAME[name]
    with pytest.raises(MalformedTensor, match=reason):
        tensors.read_bytes(datatype, shape, b"\0\0\0\0" if name == "BYTES" else b"\0" * datatype.dtype.numpy.itemsize)
    with pytest.raises(MalformedTensor, match=reason):
        tensors.read_json(datatype, shape, [0])
    if datatype.field:
        with pytest.raises(MalformedTensor, match=reason):
            tensors.read_contents(datatype, shape, wire.InferTensorContents())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "take more"),
        (b"\0\0\0", "take more"),
        (b"\1\0\0\0", "longer than what was sent"),
        (b"\xff\xff\xff\xffabcd", "longer than what was sent"),
        (b"\1\0\0\0ab", "take 5"),
    ],
)
def test_lengths_of_byte_values_that_lie_are_refused(content, reason):
    with pytest.raises(MalformedTensor, match=reason):
        tensors.read_bytes(BYTES, [1], content)


def test_a_second_byte_value_that_ends_inside_its_length_is_refused():
    with pytest.raises(MalformedTensor, match="ends inside its length"):
        tensors.read_bytes(BYTES, [2], b"\3\0\0\0abc\0")


def test_a_bool_is_a_byte_of_0_or_1():
    with pytest.raises(MalformedTensor, match="0 or 1"):
        tensors.read_bytes(BOOL, [2], b"\1\2")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("INT8", [128], "out of the range of INT8"),
        ("INT8", [-129], "out of the range"),
        ("UINT64", [-1], "out of the range"),
        ("INT64", [1 << 63], "out of the range"),
        ("UINT64", [10**400], "out of the range"),
        ("FP64", [10**400], "out of the range"),
        ("FP32", [1e39], "out of the range of FP32"),
        ("FP16", [65520.0], "out of the range"),
        ("BF16", [3.4e38 * 1.01], "out of the range"),
        ("INT32", [1.0], "may not hold numbers with a fraction"),
        ("INT32", [True], "may not hold true or false"),
        ("FP32", [True], "may not hold true or false"),
        ("FP32", ["1"], "may not hold strings"),
        ("FP32", [None], "may not hold null"),
        ("FP32", [{}], "may not hold objects"),
        ("BOOL", [1], "may not hold integers"),
        ("BYTES", [1], "may not hold integers"),
        ("BYTES", ["\ud800"], "surrogate"),
        ("FP32", 1.0, "is no list"),
        ("FP32", "abc", "is no list"),
        ("FP32", None, "is no list"),
        ("FP32", [[[1.0]]], "may not hold lists"),
        ("FP32", [[1.0], [2.0]], "is not nested as"),
        ("FP32", [[1.0, 2.0]], "is not nested as"),
        ("FP32", [[]], "is not nested as"),
    ],
)
def test_json_that_does_not_fit_is_refused(name, data, reason):
    shape = [1, 1] if isinstance(data, list) and data and isinstance(data[0], list) else [1]
    with pytest.raises(MalformedTensor, match=reason):
        tensors.read_json(datatypes.BY_NAME[name], shape, data)


def test_infinity_and_nan_are_values_and_no_overflow():
    data = json.loads("[Infinity, -Infinity, NaN]")
    np.testing.assert_array_equal(tensors.read_json(FP32, [3], data), np.array([np.inf, -np.inf, np.nan], np.float32))


def test_typed_values_beyond_the_datatype_are_refused():
    with pytest.raises(MalformedTensor, match="out of the range of INT8"):
        tensors.read_contents(INT8, [1], wire.InferTensorContents(int_contents=[128]))


def test_half_precision_has_no_typed_contents():
    with pytest.raises(MalformedTensor, match="raw_input_contents"):
        tensors.read_contents(datatypes.BY_NAME["FP16"], [0], wire.InferTensorContents())
