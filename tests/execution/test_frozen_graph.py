"""The reasons why a graph is not frozen, one at a time; test_frozen_state shows that frozen graphs answer right."""

import pytest
import tensorflow as tf

from servable.execution.frozen_graph import FreezableGraph, NotFrozen
from servable.execution.stored_graph import GraphIndex

v1 = tf.compat.v1


def handle(name="v", shared_name="v", dtype=tf.float32):
    return tf.raw_ops.VarHandleOp(dtype=dtype, shape=[], shared_name=shared_name, name=name)


def read(resource, name="read"):
    return tf.raw_ops.ReadVariableOp(resource=resource, dtype=tf.float32, name=name)


def assign(resource, name="load"):
    return tf.raw_ops.AssignVariableOp(resource=resource, value=tf.constant(1.0, name="one"), name=name)


def freezable(build, fed=(), edit=lambda _: None):
    """A graph whose `load` loads it, and whose `y` is served; its GraphDef may be edited."""
    graph = tf.Graph()
    with graph.as_default():
        build()
    graph_def = graph.as_graph_def()
    edit(graph_def)
    stored = GraphIndex(graph_def.SerializeToString()).prune_to(["load", "y", *fed])
    return FreezableGraph(stored, ["load"], ["y", *fed], fed)


def build_plain():
    v = handle()
    assign(v)
    tf.negative(read(v), name="y")


def test_a_variable_that_is_loaded_and_read_is_a_constant():
    graph = freezable(build_plain)
    (variable,) = graph.variables
    assert (variable.handle, variable.size_bytes) == ("v", 4)
    assert {node.op for node in graph.loading.nodes} == {
        "VarHandleOp", "Const", "AssignVariableOp", "ReadVariableOp", "NoOp"
    }  # fmt: skip
    assert [node.op for node in graph.freeze([tf.make_tensor_proto(2.0)]).nodes] == ["Const", "Identity", "Neg"]


def build_written_by_another_name():
    assign(handle())
    with tf.control_dependencies([assign(handle("other"), "write")]):
        tf.negative(read(handle("third")), name="y")


def build_shared_read():
    v = handle()
    value = read(v)
    tf.raw_ops.AssignVariableOp(resource=v, value=value, name="load")
    tf.negative(value, name="y")


def build_kept_by_the_load():
    v = handle()
    with tf.control_dependencies([tf.raw_ops.Pack(values=[v, v])]):
        assign(v)
    tf.negative(read(v), name="y")


def build_kept_by_a_function_of_the_load():
    v = handle()

    @tf.function
    def keep(resource):
        return tf.shape(tf.raw_ops.Pack(values=[resource, resource]))

    with tf.control_dependencies([keep(v)]):
        assign(v)
    tf.negative(read(v), name="y")


def build_passed_to_the_load():
    v = handle()

    @tf.function
    def give(resource):
        return resource

    tf.raw_ops.AssignVariableOp(resource=give(v), value=1.0, name="load")
    tf.negative(read(v), name="y")


def return_the_argument(graph_def):
    """tf.function puts an Identity in between, which other writers need not do."""
    (function,) = graph_def.library.function
    (name,) = function.ret
    function.ret[name] = function.signature.input_arg[0].name
    del function.node_def[:]


def build_made_in_a_function():
    v = handle()
    assign(v)

    @tf.function
    def write():
        assign(handle("inner"), "write")
        return tf.constant(2.0)

    tf.multiply(read(v), write(), name="y")


def build_scope():
    v = handle("x/v")
    assign(v)
    tf.negative(read(v, "x"), name="y")


def build_our_names():
    v = handle("servable_frozen/0/read")
    assign(v)
    tf.negative(read(v), name="y")


def build_text():
    v = handle(dtype=tf.string)
    tf.raw_ops.AssignVariableOp(resource=v, value="a", name="load")
    tf.strings.length(tf.raw_ops.ReadVariableOp(resource=v, dtype=tf.string), name="y")


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (build_written_by_another_name, r"write \(AssignVariableOp\) takes a variable$"),
        (build_shared_read, "read, which takes a variable, is needed to load the model too"),
        (build_kept_by_the_load, r"Pack \(Pack\) takes a variable while the model is loaded"),
        (build_kept_by_a_function_of_the_load, r"Pack \(Pack\) takes a variable while the model is loaded"),
        (build_passed_to_the_load, r"Identity \(Identity\) takes a variable while the model is loaded"),
        (build_made_in_a_function, "a function has variables of its own"),
        (build_scope, "x is a scope of what is needed to load the model too"),
        (build_our_names, "names begin with servable_frozen"),
        (build_text, "the size of v is not known"),
    ],
)
def test_a_graph_that_is_not_proved_to_only_read_is_left_alone(build, reason):
    with pytest.raises(NotFrozen, match=reason):
        freezable(build)


def test_a_graph_is_left_alone_if_a_function_gives_a_handle_back_to_the_load():
    with pytest.raises(NotFrozen, match="returns a variable"):
        freezable(build_passed_to_the_load, edit=return_the_argument)


def test_a_graph_that_takes_handles_from_outside_is_left_alone():
    def build():
        v = handle()
        assign(v)
        with tf.control_dependencies([assign(v1.placeholder(tf.resource, [], name="fed"), "write")]):
            tf.negative(read(v), name="y")

    with pytest.raises(NotFrozen, match="handles of variables that are stored or fed"):
        freezable(build)


def test_a_graph_is_left_alone_if_what_is_fed_is_needed_to_load_it():
    assert freezable(build_plain).variables
    with pytest.raises(NotFrozen, match="one, which is fed, is needed to load the model too"):
        freezable(build_plain, fed=["one"])


def test_what_requests_cannot_run_is_no_part_of_what_is_served():
    graph = tf.Graph()
    with graph.as_default():
        build_plain()
        with tf.control_dependencies([assign(handle("again"), "write")]):
            tf.no_op(name="never")
    stored = GraphIndex(graph.as_graph_def().SerializeToString()).prune_to(["load", "y", "never"])
    frozen = FreezableGraph(stored, ["load"], ["y", "never"], [])
    assert "never" in {node.name for node in frozen.loading.nodes}
    assert [variable.handle for variable in frozen.variables] == ["v"]
