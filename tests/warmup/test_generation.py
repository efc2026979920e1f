"""Requests from a signature alone: what they hold, and in which order they are offered.

The features of tf.Examples are found by the ops that TensorFlow itself writes, and it parses the Examples made of them.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable import signatures, wire
from servable.codec import decoding, dtypes
from servable.errors import Unimplemented
from servable.signatures import CLASSIFY_METHOD, PREDICT_METHOD, REGRESS_METHOD
from servable.warmup import generation
from servable.warmup.generation import FeatureSpec
from tests.inspection.making import tensor
from tests.models.exporting import tf, tf1_session, v1

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
    proto = generation.make_zeros(tensor("float32[?,224,224,3]", "x:0"), 32, 1)
    assert proto.ByteSize() < 64
    assert decoding.decode(proto).shape == (32, 224, 224, 3)


def test_a_tensor_beyond_what_a_server_fills_up_is_sent_whole():
    proto = generation.make_zeros(tensor("float32[?,1000,1000]", "x:0"), 17, 1)
    decoded = decoding.decode(proto)
    assert (decoded.shape, decoded.any()) == ((17, 1000, 1000), False)


def test_a_tensor_beyond_what_a_request_holds_is_refused():
    with pytest.raises(Unimplemented, match="a tensor of 4096000000000 bytes is too large for a request"):
        generation.make_zeros(tensor("float32[1024,1000000,1000]", "x:0"), 1, 1)


@settings(deadline=None)
@given(
    number=st.sampled_from(sorted(dtypes.BY_NUMBER)),
    sizes=st.lists(st.integers(-1, 3), max_size=4),
    batch_size=st.integers(1, 4),
)
def test_every_dtype_and_shape_decodes_to_zeros(number, sizes, batch_size):
    info = wire.TensorInfo(dtype=number)
    info.tensor_shape.dim.extend(wire.TensorShapeProto.Dim(size=size) for size in sizes)
    array = decoding.decode(generation.make_zeros(info, batch_size, 1))
    assert array.shape == tuple((1 if index else batch_size) if size < 0 else size for index, size in enumerate(sizes))
    assert array.tobytes().strip(b"\0") == b"" if array.dtype != np.object_ else set(array.ravel().tolist()) <= {b""}


# Features of tf.Examples.

FEATURES = {
    "vector": tf.io.FixedLenFeature([2, 3], tf.float32),
    "scalar": tf.io.FixedLenFeature([], tf.int64),
    "optional": tf.io.FixedLenFeature([1], tf.string, default_value=["none"]),
    "any": tf.io.VarLenFeature(tf.string),
    "weights": tf.io.VarLenFeature(tf.float32),
    "sequence": tf.io.FixedLenSequenceFeature([4], tf.float32, allow_missing=True),
}
SPEC = {
    "vector": FeatureSpec(wire.DT_FLOAT, 6),
    "scalar": FeatureSpec(wire.DT_INT64, 1),
    "optional": FeatureSpec(wire.DT_STRING, 1),
    "any": FeatureSpec(wire.DT_STRING, 1),
    "weights": FeatureSpec(wire.DT_FLOAT, 1),
    "sequence": FeatureSpec(wire.DT_FLOAT, 4),
}
RAGGED = {"rows": tf.io.RaggedFeature(tf.int64), "fixed": tf.io.FixedLenFeature([1], tf.float32)}


def parse_first_version(serialized):
    return tf.raw_ops.ParseExample(
        serialized=serialized, names=tf.constant([], tf.string), sparse_keys=["s"], dense_keys=["x", "y"],
        dense_defaults=[tf.constant([], tf.float32), tf.constant([], tf.int64)], sparse_types=[tf.string],
        dense_shapes=[[2], []],
    )  # fmt: skip


PARSERS = {
    "first version": (
        parse_first_version,
        {"s": FeatureSpec(wire.DT_STRING, 1), "x": FeatureSpec(wire.DT_FLOAT, 2), "y": FeatureSpec(wire.DT_INT64, 1)},
    ),
    "second version": (lambda serialized: tf.io.parse_example(serialized, FEATURES), SPEC),
    "ragged": (
        lambda serialized: tf.io.parse_example(serialized, RAGGED),
        {"rows": FeatureSpec(wire.DT_INT64, 1), "fixed": FeatureSpec(wire.DT_FLOAT, 1)},
    ),
    "single": (
        lambda serialized: tf.io.parse_single_example(
            serialized[0], {"x": FEATURES["vector"], "y": FEATURES["any"]}
        ),
        {"x": FeatureSpec(wire.DT_FLOAT, 6), "y": FeatureSpec(wire.DT_STRING, 1)},
    ),
    "mapped single": (
        lambda serialized: tf.map_fn(
            lambda each: tf.io.parse_single_example(each, {"x": FEATURES["vector"]})["x"],
            serialized,
            fn_output_signature=tf.float32,
        ),
        {"x": FeatureSpec(wire.DT_FLOAT, 6)},
    ),
}  # fmt: skip


def own(graph):
    return wire.GraphDef.FromString(graph.as_graph_def().SerializeToString())


def graph_of(parse):
    with tf.Graph().as_default() as graph:
        parse(v1.placeholder(tf.string, [None]))
    return own(graph)


@pytest.mark.behaviour(
    "7.4", "ours: `servable warmup` writes the file from signatures, and what it writes warms up every signature"
)
@pytest.mark.parametrize(("parse", "spec"), PARSERS.values(), ids=PARSERS)
def test_the_features_of_a_graph_are_found(parse, spec):
    assert generation.find_example_specs(graph_of(parse)) == [spec]


def test_the_features_of_a_function_are_found():
    function = tf.function(PARSERS["second version"][0], input_signature=[tf.TensorSpec([None], tf.string)])
    graph = function.get_concrete_function().graph
    inner = own(graph)
    outer = wire.GraphDef()
    outer.library.function.add(node_def=inner.node)
    assert generation.find_example_specs(outer) == [SPEC]


@pytest.mark.behaviour(
    "7.4", "ours: `servable warmup` writes the file from signatures, and what it writes warms up every signature"
)
@pytest.mark.parametrize(("parse", "spec"), PARSERS.values(), ids=PARSERS)
def test_tensorflow_parses_the_example(parse, spec):
    example = generation.make_example(spec).SerializeToString()
    with tf1_session() as session:
        session.run(parse(tf.constant([example, example])))


def test_an_example_has_all_values_of_a_feature():
    example = generation.make_example(SPEC)
    assert list(example.features.feature["vector"].float_list.value) == [0.0] * 6
    assert list(example.features.feature["any"].bytes_list.value) == [b""]
    assert list(example.features.feature["scalar"].int64_list.value) == [0]


def test_two_parsers_are_offered_together_first_and_then_alone():
    def parse(serialized):
        tf.io.parse_example(serialized, {"x": FEATURES["scalar"], "a": FEATURES["any"]})
        tf.io.parse_example(serialized, {"x": FEATURES["vector"]})

    x, other_x, a = FeatureSpec(wire.DT_INT64, 1), FeatureSpec(wire.DT_FLOAT, 6), FeatureSpec(wire.DT_STRING, 1)
    assert generation.find_example_specs(graph_of(parse)) == [{"x": x, "a": a}, {"x": other_x}]


def test_a_graph_that_parses_nothing_has_no_features():
    assert generation.find_example_specs(graph_of(tf.strings.length)) == []


def test_keys_that_come_from_elsewhere_are_not_found():
    graph = graph_of(PARSERS["second version"][0])
    for node in graph.node:
        if node.op == "Const" and "keys" in node.name:
            node.op = "Placeholder"
            node.ClearField("attr")
    assert generation.find_example_specs(graph) == []


def damage_types(node):
    node.attr["Tdense"].list.type.append(wire.DT_FLOAT)


def damage_inputs(node):
    del node.input[1:]


def damage_sizes(node):
    node.attr["dense_shapes"].list.shape[0].dim.add(size=1 << 40)


def damage_dtype(node):
    node.attr["sparse_types"].list.type[0] = wire.DT_VARIANT


@pytest.mark.parametrize("damage", [damage_types, damage_inputs, damage_sizes, damage_dtype])
def test_a_parser_that_makes_no_sense_is_passed_over(damage):
    graph = graph_of(PARSERS["second version"][0])
    (node,) = [node for node in graph.node if node.op == "ParseExampleV2"]
    damage(node)
    assert generation.find_example_specs(graph) == []
