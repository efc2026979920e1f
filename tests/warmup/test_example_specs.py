"""Which features a graph parses, by the ops that TensorFlow itself writes, and an Example that they take."""

import pytest

from servable import wire
from servable.warmup import example_specs
from servable.warmup.example_specs import FeatureSpec
from tests.models.exporting import tf, tf1_session, v1

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
    assert example_specs.find(graph_of(parse)) == [spec]


def test_the_features_of_a_function_are_found():
    function = tf.function(PARSERS["second version"][0], input_signature=[tf.TensorSpec([None], tf.string)])
    graph = function.get_concrete_function().graph
    inner = own(graph)
    outer = wire.GraphDef()
    outer.library.function.add(node_def=inner.node)
    assert example_specs.find(outer) == [SPEC]


@pytest.mark.behaviour(
    "7.4", "ours: `servable warmup` writes the file from signatures, and what it writes warms up every signature"
)
@pytest.mark.parametrize(("parse", "spec"), PARSERS.values(), ids=PARSERS)
def test_tensorflow_parses_the_example(parse, spec):
    example = example_specs.make_example(spec).SerializeToString()
    with tf1_session() as session:
        session.run(parse(tf.constant([example, example])))


def test_an_example_has_all_values_of_a_feature():
    example = example_specs.make_example(SPEC)
    assert list(example.features.feature["vector"].float_list.value) == [0.0] * 6
    assert list(example.features.feature["any"].bytes_list.value) == [b""]
    assert list(example.features.feature["scalar"].int64_list.value) == [0]


def test_two_parsers_are_offered_together_first_and_then_alone():
    def parse(serialized):
        tf.io.parse_example(serialized, {"x": FEATURES["scalar"], "a": FEATURES["any"]})
        tf.io.parse_example(serialized, {"x": FEATURES["vector"]})

    x, other_x, a = FeatureSpec(wire.DT_INT64, 1), FeatureSpec(wire.DT_FLOAT, 6), FeatureSpec(wire.DT_STRING, 1)
    assert example_specs.find(graph_of(parse)) == [{"x": x, "a": a}, {"x": other_x}]


def test_a_graph_that_parses_nothing_has_no_features():
    assert example_specs.find(graph_of(tf.strings.length)) == []


def test_keys_that_come_from_elsewhere_are_not_found():
    graph = graph_of(PARSERS["second version"][0])
    for node in graph.node:
        if node.op == "Const" and "keys" in node.name:
            node.op = "Placeholder"
            node.ClearField("attr")
    assert example_specs.find(graph) == []


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
    assert example_specs.find(graph) == []
