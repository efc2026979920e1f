"""What tf.saved_model.save writes of Keras 3 variables is joined, and nothing else is."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.framework import graph_pb2, node_def_pb2

from servable.execution import stored_model
from servable.execution.loader import SavedModelLoader
from servable.execution.stored_graph import GraphIndex
from tests.models.exporting import placeholder, save_tf2, signature, tf1_session, v1
from tests.serving import RUNS


def graph(restore_inputs, *, initial_value="original/Read"):
    """A variable named copy with the initial value of one named original, and a restore op over some of them."""
    restored = "".join(f' input: "{name}"' for name in restore_inputs)
    nodes = [
        'name: "original" op: "VarHandleOp" attr { key: "shared_name" value { s: "original" } }',
        'name: "original/Read" op: "ReadVariableOp" input: "original"',
        'name: "zero" op: "Const"',
        'name: "copy" op: "VarHandleOp" attr { key: "shared_name" value { s: "Variable" } }',
        f'name: "copy/Assign" op: "AssignVariableOp" input: "copy" input: "{initial_value}"',
        f'name: "restore" op: "StatefulPartitionedCall" {restored}',
    ]
    text = " ".join(f"node {{ {node} }}" for node in nodes)
    return GraphIndex(text_format.Parse(text, graph_pb2.GraphDef()).SerializeToString())


def shared_names(graph):
    variables = [node_def_pb2.NodeDef.FromString(graph.find(name).data) for name in graph.names_of("VarHandleOp")]
    return {node.name: node.attr["shared_name"].s.decode() for node in variables}


def test_an_original_whose_copy_is_restored_becomes_a_handle_of_the_copy():
    stored = graph(["filename", "copy"])
    assert stored_model.join_keras_copies(stored, "restore") == 1
    assert shared_names(stored) == {"original": "Variable", "copy": "Variable"}


@pytest.mark.parametrize("restored", [[], ["filename", "original"], ["filename", "original", "copy"]])
def test_a_variable_that_is_restored_itself_stays_its_own(restored):
    stored = graph(restored)
    assert stored_model.join_keras_copies(stored, "restore") == 0
    assert shared_names(stored) == {"original": "original", "copy": "Variable"}


@pytest.mark.parametrize("initial_value", ["zero", "nowhere"])
def test_another_initial_value_changes_nothing(initial_value):
    assert stored_model.join_keras_copies(graph(["copy"], initial_value=initial_value), "restore") == 0


@pytest.mark.parametrize("restore_op", ["", "nowhere"])
def test_a_graph_without_a_restore_op_is_left_alone(restore_op):
    assert stored_model.join_keras_copies(graph(["copy"]), restore_op) == 0


@pytest.fixture(params=RUNS.values(), ids=list(RUNS))
def load(request):
    return SavedModelLoader(runs=request.param())


def run(model, key, array):
    prepared = model.signatures[key]
    (feed,), (fetch,) = prepared.inputs.values(), prepared.outputs.values()
    (result,) = model.runner((feed,), (fetch,)).run([array], None)
    return result.tolist()


def test_a_module_around_a_keras_model_serves_its_weights(load, tmp_path):
    module = tf.Module()
    module.dense = tf.keras.layers.Dense(2, kernel_initializer="ones", bias_initializer="ones")
    module.dense.build([None, 3])
    spec = tf.TensorSpec([None, 3], tf.float32, name="x")
    function = tf.function(lambda x: {"y": module.dense(x)}, input_signature=[spec])
    model = load(save_tf2(module, tmp_path / "1", function))
    assert run(model, "serving_default", np.array([[1, 2, 3]], np.float32)) == [[7, 7]]


def test_tf1_variables_of_which_one_starts_as_the_other_keep_two_values(load, tmp_path):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        first = v1.get_variable("first", initializer=2.0, use_resource=True)
        with tf.control_dependencies([first.initializer]):
            second = v1.get_variable("second", initializer=first.read_value(), use_resource=True)
        session.run(v1.global_variables_initializer())
        session.run(second.assign(5.0))
        line = signature({"x": x}, {"y": x * first + second})
        builder = v1.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(session, ["serve"], signature_def_map={"line": line})
        builder.save()
    model = load(tmp_path / "1")
    assert run(model, "line", np.array([1, 3], np.float32)) == [7, 11]
