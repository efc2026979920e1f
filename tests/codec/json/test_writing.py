"""Replies of the REST API, character by character."""

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from servable import wire
from servable.codec.json import arrays, float_text, writing
from servable.codec.json.layout import Layout
from servable.errors import InvalidArgument, ResourceExhausted

EMPTY = "Cannot convert empty tensor map to JSON"


def floats(values):
    return np.array(values, np.float32), wire.DT_FLOAT


def strings(values):
    return np.array(values, object), wire.DT_STRING


def rows(**outputs):
    return write(outputs, Layout.ROW)


def columns(**outputs):
    return write(outputs, Layout.COLUMN)


def write(outputs, layout):
    named = [(alias, array, dtype) for alias, (array, dtype) in outputs.items()]
    return writing.write_predictions(named, layout).decode("latin-1")


@pytest.mark.behaviour("13.11", "one output by rows is a list of its rows, each on one line")
@pytest.mark.parametrize(
    ("output", "text"),
    [
        (floats([3, 3.5]), "[3.0, 3.5\n    ]"),
        (floats([[1, 2], [1, 2]]), "[[1.0, 2.0], [1.0, 2.0]\n    ]"),
        (floats([[[1], [2]]]), "[[[1.0], [2.0]]\n    ]"),
        (floats([]), "[]"),
        (floats(np.zeros((0, 2))), "[]"),
        (floats([[], []]), "[[], []\n    ]"),
        (floats(np.zeros((1, 2, 0))), "[[[], []]\n    ]"),
        ((np.array([True, False]), wire.DT_BOOL), "[true, false\n    ]"),
        ((np.array([2**63 - 1, -(2**63)]), wire.DT_INT64), "[9223372036854775807, -9223372036854775808\n    ]"),
        ((np.array([2**64 - 1], np.uint64), wire.DT_UINT64), "[18446744073709551615\n    ]"),
        (strings([b"a", b'"\\/\n\x01\x7f\xff']), '["a", "\\"\\\\/\\n\\u0001\x7f\xff"\n    ]'),
    ],
)
def test_one_output_by_rows(output, text):
    assert rows(x=output) == '{\n    "predictions": ' + text + "\n}"


@pytest.mark.behaviour("13.11", "one output by columns is the tensor, a value on each line")
def test_one_output_by_columns():
    inner = "        [\n            1.0,\n            2.0\n        ]"
    assert columns(x=floats([[1, 2], [1, 2]])) == f'{{\n    "outputs": [\n{inner},\n{inner}\n    ]\n}}'
    assert columns(x=floats([[], []])) == '{\n    "outputs": [\n        [],\n        []\n    ]\n}'
    assert columns(x=floats([])) == '{\n    "outputs": []\n}'


@pytest.mark.behaviour("13.11", "a scalar by columns is the bare value")
def test_a_scalar():
    assert columns(x=floats(5)) == '{\n    "outputs": 5.0\n}'


@pytest.mark.behaviour("13.11", "several outputs by rows are an object for each row")
def test_several_outputs_by_rows():
    row = '        {\n            "a": [1.0, 2.0],\n            "b": 3.0\n        }'
    assert rows(a=floats([[1, 2], [1, 2]]), b=floats([3, 3])) == f'{{\n    "predictions": [\n{row},\n{row}\n    ]\n}}'


@pytest.mark.behaviour("13.11", "several outputs by columns are an object of tensors")
def test_several_outputs_by_columns():
    integers = np.array([1], np.int32), wire.DT_INT32
    text = '{\n        "s": "a",\n        "i": [\n            1\n        ]\n    }'
    assert columns(s=strings(b"a"), i=integers) == f'{{\n    "outputs": {text}\n}}'


@pytest.mark.behaviour("13.11", "no rows at all are an empty list, whatever the number of outputs")
def test_no_rows():
    assert rows(a=floats([]), b=floats(np.zeros((0, 3)))) == '{\n    "predictions": []\n}'


@pytest.mark.behaviour("13.11", "strings of an output whose name ends in _bytes are base64")
def test_bytes_are_base64():
    a, b = ('{\n            "b64": "YQ=="\n        }', '{\n            "b64": "Yg=="\n        }')
    assert rows(x_bytes=strings([b"a", b"b"])) == f'{{\n    "predictions": [{a}, {b}\n    ]\n}}'
    assert columns(x_bytes=strings([b"a", b"b"])) == (f'{{\n    "outputs": [\n        {a},\n        {b}\n    ]\n}}')
    nested = '[{\n                "b64": "YQ=="\n            }]'
    assert rows(x_bytes=strings([[b"a"]])) == f'{{\n    "predictions": [{nested}\n    ]\n}}'
    member = '"x_bytes": {\n                "b64": "YQ=="\n            }'
    assert rows(x_bytes=strings([b"a"]), y=floats([1])) == (
        f'{{\n    "predictions": [\n        {{\n            {member},\n            "y": 1.0\n        }}\n    ]\n}}'
    )
    assert rows(x_bytes=floats([1])) == '{\n    "predictions": [1.0\n    ]\n}'


@pytest.mark.behaviour("13.11", "names of outputs are escaped")
def test_names_are_escaped():
    assert json.loads(columns(**{'%s"\n': floats(1), "é": floats(2)}).encode("latin-1"))["outputs"] == {
        '%s"\n': 1,
        "é": 2,
    }


@pytest.mark.behaviour("13.11", "outputs that cannot be written are refused")
@pytest.mark.parametrize(
    ("outputs", "layout", "text"),
    [
        ({}, Layout.ROW, EMPTY),
        ({}, Layout.COLUMN, EMPTY),
        ({"x": floats(1)}, Layout.ROW, "Tensor name: x has no shape information "),
        (
            {"a": floats([1]), "b": floats([1, 2])},
            Layout.ROW,
            "Tensor name: b has inconsistent batch size: 2 expecting: 1",
        ),
        (
            {"x": (np.array([1j], np.complex64), wire.DT_COMPLEX64)},
            Layout.ROW,
            "Failed to write JSON value for tensor type: complex64",
        ),
        (
            {"x": (np.array([1], np.float16), wire.DT_HALF)},
            Layout.COLUMN,
            "Failed to write JSON value for tensor type: half",
        ),
        (
            {"x": (np.array([1], np.uint16), wire.DT_UINT16)},
            Layout.ROW,
            "Failed to write JSON value for tensor type: uint16",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(outputs, layout, text):
    with pytest.raises(InvalidArgument) as error:
        write(outputs, layout)
    assert error.value.message == text


@pytest.mark.behaviour("9.6", "a tensor without elements is written whatever its dtype")
def test_no_elements_of_any_dtype():
    assert rows(x=(np.zeros((1, 0), np.float16), wire.DT_HALF)) == '{\n    "predictions": [[]\n    ]\n}'


@pytest.mark.behaviour("14", "a reply over REST is bounded, and one thread does not make it in one piece")
def test_a_reply_is_no_longer_than_a_message_over_grpc(monkeypatch):
    monkeypatch.setattr(writing, "_MOST_REPLY_BYTES", 10_000)
    with pytest.raises(ResourceExhausted):
        rows(x=floats(np.zeros(100_000)))
    parts = list(arrays.write(np.zeros(100_000, np.float32), wire.DT_FLOAT, arrays.one_line(1, 1)))
    assert max(map(len, parts)) < 100_000


@pytest.mark.behaviour("13.11", "classifications are pairs of label and score")
@pytest.mark.parametrize(
    ("labels", "scores", "text"),
    [
        ([[b"lab", b"lab"]], [[0.5, 0.5]], '[[["lab", 0.5], ["lab", 0.5]]\n    ]'),
        ([[b"a"], [b"\xff"]], None, '[[["a", 0.0]], [["\xff", 0.0]]\n    ]'),
        (None, [[3.0]], '[[["", 3.0]]\n    ]'),
        (None, [[np.nan, np.inf]], '[[["", NaN], ["", Infinity]]\n    ]'),
        ([[], []], None, "[[], []\n    ]"),
    ],
)
def test_classifications(labels, scores, text):
    written = writing.write_classifications(
        None if labels is None else np.array(labels, object), None if scores is None else np.array(scores, np.float32)
    )
    assert written.decode("latin-1") == '{\n    "results": ' + text + "\n}"


@pytest.mark.behaviour("13.11", "regressions are a list on one line")
def test_regressions():
    assert writing.write_regressions(np.array([3, 4, np.nan], np.float32)) == b'{\n    "results": [3.0, 4.0, NaN]\n}'


@pytest.mark.behaviour("13.11", "an error is an object with its message, escaped")
def test_errors():
    written = writing.write_error('a "b"\t<é>\x01'.encode() + b"\xff")
    assert written == '{\n    "error": "a \\"b\\"\\t<é>\\u0001'.encode() + b'\xff"\n}'


DTYPES = {
    np.bool_: wire.DT_BOOL,
    np.int8: wire.DT_INT8,
    np.int64: wire.DT_INT64,
    np.uint64: wire.DT_UINT64,
    np.float32: wire.DT_FLOAT,
    np.float64: wire.DT_DOUBLE,
    np.object_: wire.DT_STRING,
}
SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


@st.composite
def tensors(draw):
    kind, shape = draw(st.sampled_from(list(DTYPES))), draw(SHAPES)
    if kind is not np.object_:
        return draw(arrays_of.arrays(kind, shape)), DTYPES[kind]
    array = np.empty(shape, object)
    array.ravel()[:] = [draw(st.binary(max_size=5)) for _ in range(array.size)]
    return array, DTYPES[kind]


@pytest.mark.parametrize("layout", Layout)
@given(st.dictionaries(st.sampled_from(["a", "b_bytes", "%d"]), tensors(), min_size=1))
def test_a_reply_reads_back_as_the_outputs(layout, outputs):
    if layout is Layout.ROW and (
        any(not array.ndim for array, _ in outputs.values()) or len({len(array) for array, _ in outputs.values()}) > 1
    ):
        return
    document = json.loads(write(outputs, layout))
    expected = {alias: as_json(alias, array, dtype) for alias, (array, dtype) in outputs.items()}
    if layout is Layout.COLUMN:
        assert_same(document["outputs"], expected if len(expected) > 1 else next(iter(expected.values())))
    elif len(expected) == 1:
        assert_same(document["predictions"], next(iter(expected.values())))
    else:
        by_row = zip(*expected.values(), strict=True)
        assert_same(document["predictions"], [dict(zip(expected, row, strict=True)) for row in by_row])


def as_json(alias, array, dtype):
    if dtype == wire.DT_FLOAT:
        texts = [float(float_text.write(value, is_single=True)) for value in array.ravel().tolist()]
        return np.array(texts).reshape(array.shape).tolist()
    if dtype != wire.DT_STRING:
        return array.tolist()
    text = as_base64 if alias.endswith("_bytes") else as_latin_1
    values = np.empty(array.shape, object)
    values.ravel()[:] = list(map(text, array.ravel()))
    return values.tolist()


def as_base64(value):
    return {"b64": base64.b64encode(value).decode()}


def as_latin_1(value):
    return value.decode("latin-1")


def assert_same(given_value, wanted):
    # By text: a NaN differs from itself.
    assert json.dumps(given_value) == json.dumps(wanted)


def test_the_end_of_a_very_long_message_is_cut_off():
    written = writing.write_error(b"x" * 20_000_000)
    assert len(written) < 17_000
    assert json.loads(written)["error"].strip("x") == ""
