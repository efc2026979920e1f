"""Requests from a signature alone: what they hold, and in which order they are offered."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable import signatures, wire
from servable.codec import decoding, dtypes
from servable.errors import Unimplemented
from servable.signatures import CLASSIFY_METHOD, PREDICT_METHOD, REGRESS_METHOD
from servable.warmup import generation, zeros
from tests.inspection.making import tensor

EXAMPLE = wire.Example(features=wire.Features(feature={"x": wire.Feature(int64_list=wire.Int64List(value=[0]))}))


def signature(inputs, method=PREDICT_METHOD, defaults=()):
    definition = wire.SignatureDef(method_name=method)
    for alias, text in inputs.items():
        definition.inputs[alias].CopyFrom(tensor(text, f"{alias}:0"))
    for alias in defaults:
        definition.defaults[alias].CopyFrom(wire.TensorProto(dtype=wire.DT_FLOAT))
        definition.defaults[alias].tensor_shape.SetInParent()
    return signatures.prepare("mine", definition)


def predicts(inputs, batch_size=1, examples=(), **options):
    """The inputs of each Predict that is offered, as arrays by alias."""
    logs = generation.generate(signature(inputs, **options), batch_size, examples)
    requests = [log.predict_log.request for log in logs]
    assert {request.model_spec.signature_name for request in requests} == {"mine"}
    return [{alias: decoding.decode(proto) for alias, proto in request.inputs.items()} for request in requests]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("float32[?,3]", (8, 3)),
        ("float32[?,?,3]", (8, 1, 3)),
        ("float32[2,?]", (2, 1)),
        ("float32[]", ()),
        ("float32[0]", (0,)),
    ],
)
def test_the_first_open_dimension_is_the_batch_and_others_are_one(text, shape):
    (inputs,) = predicts({"x": text}, batch_size=8)
    assert inputs["x"].shape == shape


@pytest.mark.parametrize(("text", "zero"), [("float32[?]", 0.0), ("int64[?]", 0), ("string[?]", b"")])
def test_values_are_zeros_and_empty_strings(text, zero):
    (inputs,) = predicts({"x": text}, batch_size=2)
    assert inputs["x"].tolist() == [zero, zero]


def test_every_input_without_a_default_is_sent():
    (inputs,) = predicts({"a": "float32[?]", "b": "string[]", "c": "float32[]"}, defaults=["c"])
    assert sorted(inputs) == ["a", "b"]


def test_a_signature_without_inputs_gets_an_empty_request():
    assert predicts({}) == [{}]


def test_an_input_of_any_rank_is_tried_with_several():
    offered = predicts({"x": "float32[...]", "y": "float32[?,2]"}, batch_size=8)
    assert [inputs["x"].shape for inputs in offered] == [(8,), (8, 1), (), (8, 1, 1, 1), (8, 1, 1)]
    assert {inputs["y"].shape for inputs in offered} == {(8, 2)}


def test_strings_are_tried_as_examples_first_where_the_graph_parses_some():
    offered = predicts({"x": "string[?]"}, batch_size=2, examples=[EXAMPLE])
    assert [inputs["x"].tolist() for inputs in offered] == [[EXAMPLE.SerializeToString()] * 2, [b"", b""]]


def test_numbers_are_no_examples():
    assert len(predicts({"x": "float32[?]"}, examples=[EXAMPLE])) == 1


@pytest.mark.parametrize(("method", "field"), [(CLASSIFY_METHOD, "classify_log"), (REGRESS_METHOD, "regress_log")])
def test_a_head_is_offered_examples_and_then_a_predict(method, field):
    logs = list(generation.generate(signature({"inputs": "string[?]"}, method), 3, [EXAMPLE]))
    assert [log.WhichOneof("log_type") for log in logs] == [field, field, "predict_log", "predict_log"]
    requests = [getattr(log, field).request for log in logs[:2]]
    assert [request.model_spec.signature_name for request in requests] == ["mine", "mine"]
    examples = [list(request.input.example_list.examples) for request in requests]
    assert examples == [[EXAMPLE] * 3, [wire.Example()] * 3]


def test_a_tensor_that_no_request_can_send_is_refused():
    with pytest.raises(Unimplemented, match="no request can send a tensor of DT_RESOURCE"):
        predicts({"x": "resource[]"})


@pytest.mark.parametrize(
    ("inputs", "method", "batched"),
    [
        ({"x": "float32[?,3]"}, PREDICT_METHOD, True),
        ({"x": "float32[...]"}, PREDICT_METHOD, True),
        ({"x": "float32[1,?]", "y": "float32[]"}, PREDICT_METHOD, False),
        ({"inputs": "string[1]"}, CLASSIFY_METHOD, True),
        ({}, PREDICT_METHOD, False),
    ],
)
def test_rows_are_open_where_a_signature_or_a_method_leaves_them_so(inputs, method, batched):
    assert generation.is_batched(signature(inputs, method)) is batched


def test_a_large_tensor_takes_a_few_bytes():
    proto = zeros.make_tensor(tensor("float32[?,224,224,3]", "x:0"), 32, 1)
    assert proto.ByteSize() < 64
    assert decoding.decode(proto).shape == (32, 224, 224, 3)


def test_a_tensor_beyond_what_a_server_fills_up_is_sent_whole():
    proto = zeros.make_tensor(tensor("float32[?,1000,1000]", "x:0"), 17, 1)
    decoded = decoding.decode(proto)
    assert (decoded.shape, decoded.any()) == ((17, 1000, 1000), False)


def test_a_tensor_beyond_what_a_request_holds_is_refused():
    with pytest.raises(Unimplemented, match="a tensor of 4096000000000 bytes is too large for a request"):
        zeros.make_tensor(tensor("float32[1024,1000000,1000]", "x:0"), 1, 1)


@settings(deadline=None)
@given(
    number=st.sampled_from(sorted(dtypes.BY_NUMBER)),
    sizes=st.lists(st.integers(-1, 3), max_size=4),
    batch_size=st.integers(1, 4),
)
def test_every_dtype_and_shape_decodes_to_zeros(number, sizes, batch_size):
    info = wire.TensorInfo(dtype=number)
    info.tensor_shape.dim.extend(wire.TensorShapeProto.Dim(size=size) for size in sizes)
    array = decoding.decode(zeros.make_tensor(info, batch_size, 1))
    assert array.shape == tuple((1 if index else batch_size) if size < 0 else size for index, size in enumerate(sizes))
    assert array.tobytes().strip(b"\0") == b"" if array.dtype != np.object_ else set(array.ravel().tolist()) <= {b""}
