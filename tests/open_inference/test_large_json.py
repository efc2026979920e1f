"""Large arrays of numbers in JSON are read by pysimdjson: the same values, and the same refusals, as without it."""

import json

import numpy as np
import pytest

from servable.codec.json import number_arrays
from servable.open_inference import datatypes
from servable.open_inference.http_infer import HttpInfer, InferMessage
from tests.open_inference.asking import assert_equal, echo_models, infer

COUNT = 1200
NUMBERS = [name for name in datatypes.BY_NAME if name not in ("BOOL", "BYTES")]


@pytest.fixture(params=["with pysimdjson", "without"])
def reader(request, monkeypatch):
    if request.param == "without":
        monkeypatch.setattr(number_arrays, "simdjson", None)
    elif not number_arrays.is_available():
        pytest.skip("pysimdjson is not installed")


def read(document):
    """The array of the only input."""
    text = json.dumps(document).encode()
    (array,) = HttpInfer(echo_models()).begin(InferMessage("m", "", text, len(text))).arrays
    return array


def document_of(datatype, shape, data):
    return {"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}]}


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("nested", [False, True])
def test_a_large_array_is_read_flat_and_nested(name, nested):
    dtype = datatypes.BY_NAME[name].dtype.numpy
    numbers = np.arange(COUNT) % 100 if dtype.kind in "iu" else np.arange(COUNT) * 0.1
    wanted = numbers.astype(dtype).reshape(30, 40)
    data = numbers.reshape(30, 40).tolist() if nested else numbers.tolist()
    assert_equal(read(document_of(name, [30, 40], data)), wanted)


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("name", "limit"), [("INT8", 127), ("UINT8", 255), ("INT64", (1 << 63) - 1), ("UINT64", (1 << 64) - 1)]
)
def test_the_largest_integer_is_read_and_the_next_refused(name, limit):
    data = [0] * COUNT
    data[700] = limit
    assert int(read(document_of(name, [COUNT], data))[700]) == limit
    data[700] = limit + 1
    status, reply, _ = infer(document_of(name, [COUNT], data))
    assert (status, reply["error"]) == (400, f'input "x": a value is out of the range of {name}')


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize(
    ("name", "shape", "data", "words"),
    [
        ("FP32", [COUNT], [0.5] * COUNT + [1e39], "the shape takes"),
        ("FP32", [COUNT], [0.5] * (COUNT - 1) + [1e39], "out of the range of FP32"),
        ("FP32", [COUNT + 1], [0.5] * COUNT, "has 1200 values; the shape takes 1201"),
        ("FP32", [1, COUNT], [[0.5]] * COUNT, "is not nested as [1, 1200]"),
        ("FP32", [COUNT, 2], [[0.5, 1.5]] * (COUNT - 1) + [[0.5]], "is not nested as"),
        ("INT32", [COUNT], [0] * (COUNT - 1) + [0.5], "may not hold numbers with a fraction"),
        ("BOOL", [COUNT], [1] * COUNT, "may not hold integers"),
        ("BYTES", [COUNT], [1] * COUNT, "may not hold integers"),
        ("FP32", [1 << 40, 1 << 40], [0.5] * COUNT, "too many elements"),
    ],
)
def test_a_large_array_that_does_not_fit_is_refused_with_the_same_words(name, shape, data, words):
    status, reply, _ = infer(document_of(name, shape, data))
    assert status == 400
    assert words in reply["error"]


@pytest.mark.usefixtures("reader")
def test_nan_among_many_numbers_is_read():
    data = [0.5] * COUNT
    data[3] = float("nan")
    np.testing.assert_array_equal(read(document_of("FP32", [COUNT], data)), np.array(data, np.float32))


@pytest.mark.usefixtures("reader")
def test_an_array_where_none_belongs_is_refused():
    assert infer({**document_of("FP32", [1], [0.5]), "id": [1] * COUNT})[1]["error"] == '"id" must be a string'
    assert infer(document_of("FP32", [1] * COUNT, [0.5]))[0] == 400
    assert infer({**document_of("FP32", [1], [0.5]), "ignored": [1] * COUNT})[0] == 200
