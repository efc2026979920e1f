"""Bodies of Predict requests, and what reads them."""

import json

import numpy as np
import pytest

from servable import wire
from servable.codec.json import number_arrays, reading
from servable.errors import ServingError

ALL_DTYPES = [
    wire.DT_FLOAT,
    wire.DT_DOUBLE,
    wire.DT_INT8,
    wire.DT_UINT8,
    wire.DT_INT16,
    wire.DT_INT32,
    wire.DT_INT64,
    wire.DT_UINT32,
    wire.DT_UINT64,
    wire.DT_BOOL,
    wire.DT_STRING,
]


def inputs(**dtypes):
    """The inputs of a signature by alias."""
    return {alias: wire.TensorInfo(name=f"{alias}:0", dtype=dtype) for alias, dtype in dtypes.items()}


def read(body, **dtypes):
    """The arrays by alias of a body: text, bytes, or what json makes JSON of."""
    if not isinstance(body, bytes):
        body = (body if isinstance(body, str) else json.dumps(body)).encode()
    return reading.read_predict(body).read_tensors(inputs(**dtypes)).arrays


def outcome_of(body, signature):
    """What a body is for the inputs of a signature: its arrays in full, or the step that refused it, and how."""
    step = "read_predict"
    try:
        predict = reading.read_predict(body)
        step = "read_tensors"
        given = predict.read_tensors(signature)
    except ServingError as error:
        return step, error.code, error.message_bytes
    arrays = {alias: (array.dtype, array.shape, array.tolist()) for alias, array in given.arrays.items()}
    return given.layout, repr(sorted(arrays.items()))


def outcome_without_pysimdjson(body, signature):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(number_arrays, "simdjson", None)
        return outcome_of(body, signature)


def assert_same(read_arrays, expected):
    """Equal dtypes, shapes and values; NaN equals NaN."""
    assert read_arrays.keys() == expected.keys()
    for alias, array in expected.items():
        assert read_arrays[alias].dtype == array.dtype
        assert read_arrays[alias].shape == array.shape
        np.testing.assert_array_equal(read_arrays[alias], array)
