"""Large arrays of numbers are read alike with pysimdjson and without it, and only where an array may stand."""

import gc
import json
import random
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable import wire
from servable.codec.json import number_arrays
from servable.errors import ServingError
from tests.codec.json.requests import assert_same, inputs, outcome_of, outcome_without_pysimdjson, read

simdjson = pytest.importorskip("simdjson")
F = wire.DT_FLOAT
LONG = 600


@pytest.fixture(params=["pysimdjson", "without it"])
def reader(request, monkeypatch):
    if request.param == "without it":
        monkeypatch.setattr(number_arrays, "simdjson", None)
    return request.param


def test_it_is_used_for_large_arrays():
    rest, arrays = number_arrays.extract(json.dumps({"instances": [0.5] * LONG}).encode())
    assert len(rest) < 50
    assert [array.read(F).shape for array in arrays] == [(LONG,)]


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[0.5, 1]] * LONG},
        {"instances": np.arange(2 * 3 * 500).reshape(2, 3, 500).tolist()},
        {"instances": np.ones((1, 600, 1, 1)).tolist()},
        {"instances": [{"x": [1.5] * LONG}, {"x": [2] * LONG}]},
        {"inputs": [1] * LONG, "signature_name": "s"},
        {"inputs": {"x": [[1], [2]] * LONG, "other": [[1], 2] * LONG}},
        {"other": [1, [2]] * LONG, "inputs": [1]},
        {"inputs": [[]] * LONG},
    ],
)
def test_every_place_of_an_array_is_read(reader, body):
    value = body.get("inputs", body.get("instances"))
    if isinstance(value, dict):
        value = value["x"]
    elif isinstance(value[0], dict):
        value = [row["x"] for row in value]
    assert_same(read(body, x=F), {"x": np.array(value, np.float32)})


@pytest.mark.parametrize(
    "array",
    [
        [[1, 2]] * LONG + [[3]],
        [[1]] * LONG + [2],
        [1] * LONG + [[2]],
        [1] * LONG + ["a"],
        [1] * LONG + [None],
        [1] * LONG + [True],
        [[[1, 2], [3]]] * LONG,
        [[1], [2, 3], []] * LONG,
    ],
)
def test_an_irregular_array_has_the_error_that_it_has_without(monkeypatch, array):
    errors = []
    for library in (simdjson, None):
        monkeypatch.setattr(number_arrays, "simdjson", library)
        for key in ("inputs", "instances"):
            with pytest.raises(ServingError) as raised:
                read({key: array}, x=F)
            errors.append(raised.value.message)
    assert errors[:2] == errors[2:]


@pytest.mark.parametrize("text", ["[1,2", "1,2]", "[1,,2]", "[1 2]", "[01]", "[1e999]", "[.5]", "[1,2]]", "[[1,2]"])
def test_an_array_that_is_no_json_is_refused(reader, text):
    padding = " " * LONG
    with pytest.raises(ServingError, match=r"JSON Parse error|expected|Expecting"):
        read('{"inputs": ' + text.replace(",", "," + padding, 1).replace("[", "[" + padding, 1) + "}", x=F)


def test_an_array_inside_a_string_stays_text(reader):
    text = "[" + "1," * LONG + "1]"
    assert read({"inputs": [text]}, x=wire.DT_STRING)["x"].tolist() == [text.encode()]
    assert read({"inputs": [f"a{text}b"]}, x=wire.DT_STRING)["x"].tolist() == [f"a{text}b".encode()]


def test_a_marker_in_a_request_is_only_a_string(reader):
    for marker in ("\x01array0", "\x01array", "\x01array99"):
        body = {"inputs": {"s": [marker], "x": [1] * LONG}}
        read_arrays = read(body, x=F, s=wire.DT_STRING)
        assert read_arrays["s"].tolist() == [marker.encode()]
        assert read_arrays["x"].shape == (LONG,)


@pytest.mark.parametrize(
    "body",
    [
        {"signature_name": [1] * LONG, "inputs": [1]},
        {"inputs": ["a", [1] * LONG]},
        {"inputs": {"x": ["a", [1] * LONG]}},
        {"inputs": [["a", [[1] * LONG]]]},
        {"instances": ["a", [1] * LONG]},
        {"instances": [["a", [1] * LONG]]},
        {"instances": [{"x": ["a", [1] * LONG]}]},
        {"instances": [{"x": [1] * LONG}, {"x": ["a"]}]},
    ],
)
def test_an_array_among_strings_is_never_read_as_one(reader, body):
    with pytest.raises(ServingError, match=r"^INVALID_ARGUMENT: (?!.*array0)"):
        read(body, x=wire.DT_STRING)


def test_numbers_out_of_range_are_refused_and_small_ones_wrap(reader):
    for dtype, value in ((wire.DT_INT32, 2**31), (wire.DT_UINT32, 2**32), (wire.DT_UINT32, -1), (wire.DT_INT64, 2**63)):
        with pytest.raises(ServingError, match="is not of expected type"):
            read({"inputs": [0] * LONG + [value]}, x=dtype)
    assert read({"inputs": [0] * LONG + [300]}, x=wire.DT_UINT8)["x"][-1] == 44


NUMPY = {
    wire.DT_FLOAT: np.float32,
    wire.DT_DOUBLE: np.float64,
    wire.DT_INT8: np.int8,
    wire.DT_UINT8: np.uint8,
    wire.DT_INT16: np.int16,
    wire.DT_INT32: np.int32,
    wire.DT_INT64: np.int64,
    wire.DT_UINT32: np.uint32,
    wire.DT_UINT64: np.uint64,
    wire.DT_BOOL: np.bool_,
    wire.DT_STRING: np.object_,
}


def values(dtype):
    kind = np.dtype(NUMPY[dtype]).kind
    if kind == "f":
        return st.floats(width=32 if dtype == F else 64, allow_nan=False) | st.integers(-(2**63), 2**64 - 1)
    if kind in "iu":
        limits = np.iinfo(NUMPY[dtype])
        return st.integers(int(limits.min), int(limits.max))
    return st.booleans() if kind == "b" else st.text(max_size=5)


@st.composite
def tensors(draw):
    dtype = draw(st.sampled_from(sorted(NUMPY)))
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    count = int(np.prod(shape))
    flat = draw(st.lists(values(dtype), min_size=count, max_size=count))
    nested = flat
    for extent in reversed(shape[1:]):
        nested = [nested[start : start + extent] for start in range(0, len(nested), extent)]
    return dtype, tuple(shape), flat, nested


def expect(dtype, shape, flat):
    """The plain reference: value by value, in NumPy's own way."""
    array = np.empty(len(flat), NUMPY[dtype])
    with np.errstate(over="ignore"):
        for index, value in enumerate(flat):
            array[index] = value.encode() if isinstance(value, str) else value
    return array.reshape(shape)


def spaced(body, rng):
    """White space between the tokens of arrays, so that they are long enough."""
    text = json.dumps(body, ensure_ascii=False)
    return text.replace("[", "[" + " " * rng.randrange(LONG)) if rng.random() < 0.8 else text


@given(
    tensors(), st.sampled_from(["rows", "columns", "named rows", "named columns"]), st.randoms(use_true_random=False)
)
def test_json_gives_the_same_tensor_as_a_plain_reference_for_every_dtype_and_layout(tensor, layout, rng):
    dtype, shape, flat, nested = tensor
    body = {
        "rows": {"instances": nested},
        "columns": {"inputs": nested},
        "named rows": {"instances": [{"x": row} for row in nested]},
        "named columns": {"inputs": {"x": nested}},
    }[layout]
    # White space inside a string would be part of it.
    text = json.dumps(body, ensure_ascii=False) if dtype == wire.DT_STRING else spaced(body, rng)
    expected = {"x": expect(dtype, shape, flat)}
    assert_same(read(text, x=dtype), expected)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(number_arrays, "simdjson", None)
        assert_same(read(text, x=dtype), expected)


def test_the_readers_agree_on_random_text_around_numbers():
    rng = random.Random(5)
    alphabet = ["[", "]", ",", "1", "-0", "2.5", "1e3", " ", "{", "}", '"x":', '"', "null", "NaN", "\\", "0"]
    for _ in range(2_000):
        text = "".join(rng.choices(alphabet, k=rng.randrange(1, 12))).replace(",", "," + " " * LONG)
        body = ('{"inputs":' + text + "}").encode()
        assert outcome_of(body, inputs(x=F)) == outcome_without_pysimdjson(body, inputs(x=F)), text


GOOD = b"[" + b",".join([b"1.5"] * 300) + b"]"
BAD = b"[" + b" ".join([b"1.5"] * 300) + b"]"


@pytest.mark.parametrize(
    "body",
    [
        b'{"instances": [1.0], "other": %b}' % BAD,
        b'{"inputs": {"x": [1.0], "other": %b}}' % BAD,
        b'{"inputs": {"x": [1.0], "other": {"deeper": {"and": %b}}}}' % BAD,
        b'{"instances": %b, "instances": %b}' % (GOOD, BAD),
        b'{"instances": [{"x": %b, "x": %b}]}' % (GOOD, BAD),
        b'{"signature_name": 3, "instances": %b}' % BAD,
        b'{"signature_name": %b, "instances": [1]}' % GOOD,
        b'{"instances": %b, "inputs": %b}' % (GOOD, GOOD),
        b'{"neither": %b}' % GOOD,
        b'{%b: 1, "inputs": ["a"]}' % GOOD,
        b'{"inputs": {%b: 1, "x": ["a"]}}' % GOOD,
        b'{"inputs": {"x": ["a", %b, "b"]}}' % GOOD,
        b'{"instances": [["a", %b, "b"]]}' % GOOD,
        b'{"inputs": {"x": [{"b64": %b}]}}' % GOOD,
        b'{"instances": %b} and %b' % (GOOD, BAD),
        b'[%b, "a", %b, {}]' % (GOOD, GOOD),
        b"%b" % GOOD,
        b'"%b"' % GOOD,
    ],
)
@pytest.mark.parametrize("signature", [inputs(x=F), inputs(x=wire.DT_STRING), inputs(x=wire.DT_INT64, y=F), {}])
def test_an_array_in_any_other_place_counts_as_it_does_without_pysimdjson(body, signature):
    assert outcome_of(body, signature) == outcome_without_pysimdjson(body, signature)


@pytest.mark.parametrize("value", [2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64])
@pytest.mark.parametrize("dtype", [wire.DT_INT64, wire.DT_UINT64, wire.DT_UINT32, wire.DT_DOUBLE, F])
def test_integers_that_no_double_holds_are_read_exactly(dtype, value):
    body = json.dumps({"inputs": [0] * LONG + [value]}).encode()
    assert outcome_of(body, inputs(x=dtype)) == outcome_without_pysimdjson(body, inputs(x=dtype))


@pytest.mark.parametrize("unit", [b'"', b"[{", b"[", b"[0,", b'["', b"[1],"])
def test_looking_for_arrays_takes_memory_in_proportion_to_the_body(unit):
    body = unit * (1_000_000 // len(unit))
    tracemalloc.start()
    try:
        number_arrays.extract(body)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(body)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("body", [b'{"inputs": %b}' % GOOD, b'{"inputs": {"x": %b}, "other": %b}' % (GOOD, BAD)])
def test_nothing_of_a_request_waits_for_the_garbage_collector(body):
    gc.collect()
    gc.disable()
    try:
        outcome_of(body, inputs(x=F))
        outcome_of(body, inputs(x=wire.DT_STRING))
        assert not gc.collect()
    finally:
        gc.enable()


def outcome(text):
    try:
        return number_arrays._read_values(text, "d").tolist()
    except number_arrays.NotTaken:
        return None


@given(st.lists(st.sampled_from(["[", "]", ",", "1", "-2.5e1", "[1", "2]", "],[", " ", "[]", "[[1,2],[3,4]]", "x"])))
def test_an_array_in_chunks_is_accepted_only_if_it_is_whole(pieces):
    text = "".join(pieces).encode()
    whole = outcome(text)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(number_arrays, "_CHUNK_BYTES", 3)
        in_chunks = outcome(text)
    assert in_chunks in (whole, None)


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 5, 8, 13, 100])
def test_a_regular_array_is_read_alike_in_chunks_of_any_size(monkeypatch, chunk_bytes):
    array = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5) / 7
    text = json.dumps(array.tolist()).encode()
    monkeypatch.setattr(number_arrays, "_CHUNK_BYTES", chunk_bytes)
    assert outcome(text) == array.ravel().tolist()
    assert outcome(text.replace(b" ", b"")) == array.ravel().tolist()


@pytest.mark.parametrize(
    "text", [b"[1,]", b"[,1]", b"[1],[2]", b"[[1,]2]", b"[[1],]", b"[1,2", b"1,2]", b"[[1,2]", b"[1,2]]"]
)
def test_what_the_added_brackets_could_hide_is_refused(monkeypatch, text):
    monkeypatch.setattr(number_arrays, "_CHUNK_BYTES", 1)
    assert outcome(text) is None
