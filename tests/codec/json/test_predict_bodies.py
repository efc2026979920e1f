"""The body of a Predict request gives arrays, or the original's error."""

import numpy as np
import pytest

from servable import wire
from servable.codec.json import reading
from servable.codec.json.layout import Layout
from servable.errors import InvalidArgument, ServingError, Unimplemented
from tests.codec.json.requests import assert_same, inputs, read

F, I32, S = wire.DT_FLOAT, wire.DT_INT32, wire.DT_STRING


def f32(*values):
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("body", "array"),
    [
        ('{"instances": [1.0, 2, -0]}', f32(1, 2, 0)),
        ('{"instances": [[1, 2], [3, 4]], "signature_name": "s"}', f32([1, 2], [3, 4])),
        ('{"instances": [{"x": [1]}, {"x": [2]}]}', f32([1], [2])),
        ('{"instances": [{"x": 1, "x": 2}]}', f32(1)),
        ('{"instances": [[], []]}', np.zeros((2, 0), np.float32)),
        ('{"inputs": 5}', np.float32(5)),
        ('{"inputs": []}', np.zeros(0, np.float32)),
        ('{"inputs": [[], []]}', np.zeros((2, 0), np.float32)),
        ('{"inputs": {"x": [1, 2], "other": "ignored"}}', f32(1, 2)),
        ('{"instances": [1e39, -1e39, 1e-60, NaN, Inf, -Infinity]}', f32(np.inf, -np.inf, 0, np.nan, np.inf, -np.inf)),
        ('{"instances": [1], "instances": [2]}', f32(1)),
        ('{"inst\\u0061nces": [1]} trailing', f32(1)),
    ],
)
def test_both_layouts_give_the_array(body, array):
    assert_same(read(body, x=F), {"x": np.asarray(array)})


def test_the_layout_and_the_signature_are_told():
    body = reading.read_predict(b'{"signature_name": "s", "inputs": [1]}')
    assert body.signature_name == "s"
    assert body.read_tensors(inputs(x=F)).layout is Layout.COLUMN
    body = reading.read_predict(b'{"instances": [1]}')
    assert body.signature_name == ""
    assert body.read_tensors(inputs(x=F)).layout is Layout.ROW


def test_strings_and_binary_data_give_bytes():
    expected = {"x": np.array([b"a", b"\xff", b"\xc3\xa9"], object)}
    assert_same(read('{"instances": ["a", {"b64": "/w=="}, "é"]}', x=S), expected)
    assert_same(read('{"inputs": {"b64": "/w=="}}', x=S), {"x": np.array(b"\xff", object)})


def test_several_inputs_are_read_by_name():
    read_arrays = read('{"instances": [{"a": 1, "b": "p"}, {"b": "q", "a": 2}]}', a=I32, b=S)
    assert_same(read_arrays, {"a": np.array([1, 2], np.int32), "b": np.array([b"p", b"q"], object)})


@pytest.mark.parametrize(
    ("dtype", "value", "read_as"),
    [
        (wire.DT_UINT8, 300, 44),
        (wire.DT_UINT8, -1, 255),
        (wire.DT_INT8, 200, -56),
        (wire.DT_INT16, 70000, 4464),
        (wire.DT_INT64, -(2**63), -(2**63)),
        (wire.DT_UINT64, 2**64 - 1, 2**64 - 1),
        (wire.DT_UINT32, 2**32 - 1, 2**32 - 1),
    ],
)
def test_integers_have_the_ranges_of_the_original_and_small_ones_wrap(dtype, value, read_as):
    assert read({"inputs": [value]}, x=dtype)["x"].tolist() == [read_as]


INVALID = "Error: INVALID_ARGUMENT: "
ROW = "Failed to process element: {} of 'instances' list. " + INVALID
ERRORS = [
    ("{}", "Missing 'inputs' or 'instances' key"),
    ("[]", "JSON Value: [] Is not object"),
    ('{"signature_name": 5}', "not formatted correctly. 'signature_name' key must be a string value."),
    ('{"inputs": [1], "instances": [1]}', "Not formatted correctly expecting only one of 'inputs' or 'instances'"),
    ('{"instances": 1}', "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array"),
    ('{"instances": []}', "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
    ('{"instances": [1, "a"]}', ROW.format(1) + 'JSON Value: "a" Type: String is not of expected type: float'),
    ('{"instances": [null]}', ROW.format(0) + "JSON Value: null Type: Null is not of expected type: float"),
    ('{"instances": [true]}', ROW.format(0) + "JSON Value: true Type: True is not of expected type: float"),
    ('{"instances": [[1, 2], 3]}', ROW.format(1) + "Expecting tensor size: 2 but got: 1"),
    ('{"instances": [1, [2]]}', ROW.format(1) + "Expecting shape [] but got: [1]"),
    ('{"instances": [[1, 2], [[1, 2]]]}', ROW.format(1) + "Expecting shape [2] but got: [1,2]"),
    ('{"instances": [[1, [2]]]}', ROW.format(0) + "Encountered list at unexpected level: 1 expected < 1"),
    (
        '{"instances": [[[1], 2]]}',
        ROW.format(0) + "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected",
    ),
    (
        '{"instances": [[[1], [2, 3]]]}',
        ROW.format(0) + "Encountered list at unexpected size: 2 at level: 1 expected size: 1",
    ),
    ('{"instances": [{"x": 1}, 2]}', "Expecting object but got list at item 1 of input list"),
    ('{"instances": [1, {"x": 2}]}', "Expecting value/list but got object at item 1 of input list"),
    (
        '{"instances": [{"y": 1}]}',
        "Failed to process element: 0 key: y of 'instances' list. "
        + INVALID
        + "JSON object: does not have named input: y",
    ),
    (
        '{"instances": [{}]}',
        "Failed to process element: 0 of 'instances' list. JSON object: {} keys must be equal to: x",
    ),
    ('{"inputs": {}}', "Missing named input: x in 'inputs' object."),
    ('{"inputs": {"b64": "YQ==", "c": 1}}', "Missing named input: x in 'inputs' object."),
    ('{"inputs": null}', "JSON Value: null Type: Null is not of expected type: float"),
    ('{"inputs": {"x": {"y": 1}}}', 'JSON Value: {\n    "y": 1\n} Type: Object is not of expected type: float'),
    ('{"inputs": {"a":', "JSON Parse error: Invalid value. at offset: 16"),
    ("", "JSON Parse error: The document is empty"),
]


@pytest.mark.parametrize(("body", "text"), ERRORS)
def test_an_error_has_the_text_of_the_original(body, text):
    with pytest.raises(InvalidArgument) as raised:
        read(body, x=F)
    assert text in raised.value.message


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (I32, 1.0),
        (I32, 2**31),
        (I32, "1"),
        (wire.DT_UINT8, 2**31),
        (wire.DT_UINT32, -1),
        (wire.DT_UINT32, 2**32),
        (wire.DT_INT64, 2**63),
        (wire.DT_UINT64, 2**64),
        (wire.DT_BOOL, 1),
        (S, 1),
        (F, "1"),
        (I32, True),
    ],
)
def test_a_value_of_another_type_or_range_is_refused(dtype, value):
    with pytest.raises(InvalidArgument, match="is not of expected type"):
        read({"inputs": [value]}, x=dtype)


def test_plain_rows_of_several_inputs_are_refused():
    for key, text in (("instances", "instances is a plain list"), ("inputs", "inputs is a plain value/list")):
        with pytest.raises(InvalidArgument, match=text):
            read({key: [1]}, a=F, b=F)


def test_binary_data_is_refused_with_its_reason():
    for value, text in (({"b64": "!"}, "Unable to base64 decode"), ({"c": "a"}, "not formatted correctly for base64")):
        with pytest.raises(InvalidArgument, match=text):
            read({"inputs": [value]}, x=S)


def test_a_dtype_that_json_cannot_carry_is_unimplemented_in_columns_and_invalid_in_rows():
    text = "Conversion of JSON Value: 1 to type: half"
    with pytest.raises(Unimplemented, match=text):
        read('{"inputs": [1]}', x=wire.DT_HALF)
    with pytest.raises(InvalidArgument, match=f"Error: UNIMPLEMENTED: {text}"):
        read('{"instances": [1]}', x=wire.DT_HALF)
    assert read('{"inputs": []}', x=wire.DT_HALF)["x"].shape == (0,)


@pytest.mark.parametrize("depth", [65, 3000, 100_000])
def test_a_rank_that_numpy_does_not_have_is_refused(depth):
    with pytest.raises(InvalidArgument, match="tensor parsing error: x") as raised:
        read('{"instances": ' + "[" * depth + "1" + "]" * depth + "}", x=F)
    assert "is more than" in raised.value.hints["reason"]


def test_a_signature_without_inputs_is_named():
    for name, told in (("", "DEFAULT"), ("s", "s")):
        body = reading.read_predict(b'{"signature_name": "%b", "instances": [1]}' % name.encode())
        with pytest.raises(ServingError, match=f"Failed to get input map for signature: {told}"):
            body.read_tensors({})


def test_names_are_cut_at_a_nul_as_in_the_original():
    assert read(r'{"inputs": {"x\u0000y": [1]}}', x=F)["x"].tolist() == [1]


@pytest.mark.parametrize(
    "rows",
    [
        '{"a": 1, "a": 2}, {"b": 1, "b": 2}',
        '{"a": 1, "b": 2}, {"a": 1}',
        '{"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}',
        '{"a": 1, "b": 2}, {"a": 1, "c": 2}',
        '{"a": 1, "b": 2}, {"a": [1], "b": 2}',
        '{"a": 1, "b": 2}, {"a": 1, "b": "2"}',
        '{"a": 1, "b": 2}, {"b64": "YQ=="}',
        '{"a": 1, "b": 2}, 3',
    ],
)
def test_rows_that_differ_in_their_names_or_shapes_are_refused(rows):
    with pytest.raises(InvalidArgument):
        read('{"instances": [' + rows + "]}", a=F, b=F)


def test_rows_are_read_whatever_the_order_of_their_names():
    expected = {"a": f32([1, 2], [3, 4]), "b": np.array([b"p", b"q"], object)}
    assert_same(read('{"instances": [{"a": [1, 2], "b": "p"}, {"b": "q", "a": [3, 4]}]}', a=F, b=S), expected)


def test_an_input_of_the_name_b64_is_read():
    assert_same(read('{"instances": [{"b64": 1}, {"b64": 2}]}', b64=F), {"b64": f32(1, 2)})
    with pytest.raises(InvalidArgument, match="got list at item 1"):
        read('{"instances": [{"b64": 1}, {"b64": "YQ=="}]}', b64=F)
