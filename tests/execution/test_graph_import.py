"""The two ways to import a graph give the same; and which one is used when TensorFlow's private API is missing."""

import dataclasses
import logging

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from servable.execution import graph_import
from servable.execution.graph_import import ImportInPieces, ImportWhole, best_import
from servable.execution.loader import SavedModelLoader
from servable.execution.stored_graph import GraphIndex
from tests.execution.running import floats, run

# The cache would keep a probe's outcome for the other tests.
choose = best_import.__wrapped__
v1 = tf.compat.v1

WAYS = {"one by one": ImportInPieces(1), "in pieces": ImportInPieces(), "whole": ImportWhole()}


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def imports(request):
    return request.param


def stored(build, *roots):
    graph = tf.Graph()
    with graph.as_default():
        build()
    return GraphIndex(graph.as_graph_def().SerializeToString()).prune_to(roots)


def imported(imports, graph, *names, producer_ops=None):
    return v1.Session(graph=imports(graph, names, producer_ops))


def test_the_private_api_of_this_tensorflow_works():
    assert isinstance(choose(), ImportInPieces)


@pytest.fixture
def one_go(caplog):
    """Whether a graph had to be imported as one piece after all."""
    caplog.set_level(logging.INFO, graph_import.__name__)
    return lambda: any("as one piece" in record.getMessage() for record in caplog.records)


@pytest.mark.behaviour("7.1", "ours: a load does not hold up other models, since the graph is imported in pieces")
def test_data_and_control_edges_cross_pieces(imports, one_go):
    def build():
        x = v1.placeholder(tf.float32, [None], name="x")
        low, high = tf.split(x, 2, name="halves")
        with tf.control_dependencies([tf.debugging.assert_non_negative(x)]):
            tf.subtract(high, low, name="y")

    session = imported(imports, stored(build, "y"), "x", "y")
    assert session.run("y:0", {"x:0": [1.0, 2.0, 5.0, 7.0]}).tolist() == [4.0, 5.0]
    with pytest.raises(tf.errors.InvalidArgumentError):
        session.run("y:0", {"x:0": [-1.0, 2.0]})
    assert not one_go()


@pytest.mark.behaviour("7.1", "ours: a load does not hold up other models, since the graph is imported in pieces")
def test_what_tensorflow_does_not_take_in_pieces_it_gets_as_one(monkeypatch, one_go):
    def build():
        tf.identity(v1.placeholder(tf.float32, [], name="x"), name="y")

    import_part = graph_import._import_part

    def refuse_the_second(graph, part, operations):
        if part.inputs:
            raise tf.errors.InvalidArgumentError(None, None, "not like that")
        return import_part(graph, part, operations)

    monkeypatch.setattr(graph_import, "_import_part", refuse_the_second)
    assert imported(ImportInPieces(1), stored(build, "y"), "x", "y").run("y:0", {"x:0": 3.0}) == 3.0
    assert one_go()


def test_loops_that_read_what_comes_later_are_imported(imports):
    def build():
        x = v1.placeholder(tf.float32, [], name="x")
        tf.identity(v1.while_loop(lambda y: y < 100.0, lambda y: y * 2.0, [x]), name="y")

    v1.disable_control_flow_v2()
    try:
        graph = stored(build, "y")
    finally:
        v1.enable_control_flow_v2()
    assert "NextIteration" in graph.ops
    assert imported(imports, graph, "x", "y").run("y:0", {"x:0": 3.0}) == 192.0


def test_functions_are_imported_however_they_are_called(imports):
    def build():
        @tf.function
        def doubled(x):
            return x * 2.0

        x = v1.placeholder(tf.float32, [], name="x")
        tf.identity(tf.cond(x > 0.0, lambda: doubled(x), lambda: x), name="y")

    session = imported(imports, stored(build, "y"), "x", "y")
    assert [session.run("y:0", {"x:0": x}) for x in (3.0, -3.0)] == [6.0, -3.0]


def test_colocation_with_a_node_of_another_piece_is_kept(imports):
    def build():
        first = v1.placeholder(tf.float32, [], name="x")
        with v1.colocate_with(first):
            tf.identity(first, name="y")

    session = imported(imports, stored(build, "y"), "x", "y")
    assert session.graph.get_operation_by_name("y").colocation_groups() == [b"loc:@x"]
    assert session.run("y:0", {"x:0": 3.0}) == 3.0


@pytest.mark.behaviour("7.1", "ours: a load does not hold up other models, since the graph is imported in pieces")
@pytest.mark.parametrize("in_function", [False, True], ids=["node", "function"])
def test_an_op_that_is_missing_is_reported_at_import(imports, in_function):
    graph_def = v1.GraphDef()
    if in_function:
        function = graph_def.library.function.add()
        function.signature.name = "body"
        function.node_def.add(name="halve", op="HalveTheInput")
        graph_def.node.add(name="y", op="PartitionedCall").attr["f"].func.name = "body"
        for dtypes in ("Tin", "Tout"):
            graph_def.node[0].attr[dtypes].list.SetInParent()
    else:
        graph_def.node.add(name="y", op="HalveTheInput")
    graph = GraphIndex(graph_def.SerializeToString()).prune_to(["y"])
    with pytest.raises((tf.errors.NotFoundError, ValueError), match="Op type not registered 'HalveTheInput' in binary"):
        imported(imports, graph, "y")


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([("y", "Identity", ["nobody"])], "nobody"),
        ([("y", "NoOp", []), ("y", "NoOp", [])], "'y' is not unique"),
    ],
    ids=["an input that is not there", "one name twice"],
)
def test_a_graph_that_contradicts_itself_is_refused(imports, nodes, text):
    graph_def = v1.GraphDef()
    for name, op, inputs in nodes:
        node = graph_def.node.add(name=name, op=op, input=inputs)
        if op == "Identity":
            node.attr["T"].type = tf.float32.as_datatype_enum
    with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match=text):
        imported(imports, GraphIndex(graph_def.SerializeToString()).prune_to(["y"]), "y")


def test_attributes_of_a_newer_tensorflow_that_have_their_default_are_dropped(imports):
    def build():
        tf.constant([1.0], name="y")

    graph_def = v1.GraphDef.FromString(stored(build, "y").serialize())
    graph_def.node[0].attr["speed_of_tomorrow"].i = 88
    producers = op_def_pb2.OpList()
    constant = producers.op.add(name="Const")
    constant.attr.add(name="value")
    constant.attr.add(name="speed_of_tomorrow").default_value.i = 88
    graph = GraphIndex(graph_def.SerializeToString()).prune_to(["y"])
    assert imported(imports, graph, "y", producer_ops=producers).run("y:0").tolist() == [1.0]


def test_only_what_is_named_becomes_python_objects():
    def build():
        x = v1.placeholder(tf.float32, [], name="x")
        tf.add(x, tf.constant(1.0, name="one"), name="y")

    session = imported(ImportInPieces(), stored(build, "y"), "x", "y")
    assert {operation.name for operation in session.graph.get_operations()} == {"x", "y"}
    assert session.run("y:0", {"x:0": 1.0}) == 2.0


@pytest.mark.behaviour("7.1", "ours: a load does not hold up other models, since the graph is imported in pieces")
@pytest.mark.parametrize("name", ["half_plus_two", "half_plus_two_tf2", "half_plus_two_text"])
def test_a_model_answers_the_same_whichever_way_it_was_imported(imports, models, name, one_go):
    model = SavedModelLoader(imports=imports)(models.version_path(name))
    assert run(model, "serving_default", {"x": floats(2.0, 4.0)}) == {"y": [[3.0], [4.0]]}
    assert run(model, "serving_default", {"x": np.array([[2.0]], np.float32)}, 60.0) == {"y": [[3.0]]}
    model.close()
    assert not one_go()


@pytest.mark.behaviour("7.1", "ours: only what signatures, restore and init op reach is imported")
def test_what_only_trains_and_saves_is_not_imported(models):
    path = models.version_path("half_plus_two_tf2")
    model = SavedModelLoader()(path)
    (whole,) = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs
    kept = model._session._session.graph.as_graph_def()
    assert any("save" in function.signature.name for function in whole.graph_def.library.function)
    assert not any("save" in function.signature.name for function in kept.library.function)
    assert 0 < len(kept.node) < len(whole.graph_def.node)
    model.close()


class Changed:
    """A TensorFlow whose private API is another."""

    def __init__(self, error):
        self.error = error

    def __call__(self, *arguments):
        raise self.error


@pytest.mark.behaviour("7.1", "ours: without the private API loads go the public way")
@pytest.mark.parametrize("error", [AttributeError("no such thing any more"), TypeError("other arguments")])
def test_without_the_private_api_imports_are_public_and_the_log_says_why(monkeypatch, caplog, error):
    monkeypatch.setattr(graph_import, "_import_part", Changed(error))
    assert isinstance(choose(), ImportWhole)
    (record,) = [record for record in caplog.records if record.name == graph_import.__name__]
    assert record.levelno == logging.WARNING
    assert f"lacks the private API for imports in pieces ({type(error).__name__}: {error})" in record.getMessage()


def test_the_choice_is_made_once():
    assert best_import() is best_import()


def test_large_constants_are_imported_one_by_one(monkeypatch):
    def build():
        large = [tf.constant(np.full(300_000, number, np.float32), name=f"large_{number}") for number in range(3)]
        tf.add_n(large, name="y")

    sizes = []
    import_part = graph_import._import_part

    def measure(graph, part, operations):
        sizes.append(len(part.data))
        return import_part(graph, part, operations)

    monkeypatch.setattr(graph_import, "_import_part", measure)
    assert imported(ImportInPieces(), stored(build, "y"), "y").run("y:0")[0] == 3.0
    assert sum(size > 1_000_000 for size in sizes) == 3


def test_nodes_are_added_to_a_graph_whose_nodes_they_read(imports):
    def build():
        x = v1.placeholder(tf.float32, [None], name="x")
        low, high = tf.split(x, 2, name="halves")
        with v1.colocate_with(x), tf.control_dependencies([x]):
            tf.subtract(high, low, name="y")

    whole, first = stored(build, "y"), stored(build, "halves")
    known = {node.name for node in first.nodes}
    added = dataclasses.replace(whole, nodes=[node for node in whole.nodes if node.name not in known])
    graph = imports(first, ["x", "halves"], None)
    session = v1.Session(graph=graph)
    assert [half.tolist() for half in session.run(["halves:0", "halves:1"], {"x:0": [1.0, 3.0]})] == [[1.0], [3.0]]
    assert imports(added, ["y"], None, graph) is graph
    assert session.run("y:0", {"x:0": [1.0, 2.0, 5.0, 7.0]}).tolist() == [4.0, 5.0]


def test_the_public_import_refuses_what_waits_for_a_node_without_outputs():
    def build():
        with tf.control_dependencies([tf.no_op(name="nothing")]):
            tf.constant(1.0, name="y")

    whole = stored(build, "y")
    added = dataclasses.replace(whole, nodes=[node for node in whole.nodes if node.name == "y"])
    for imports in (ImportInPieces(), ImportWhole()):
        graph = imports(stored(build, "nothing"), ["nothing"], None)
        if isinstance(imports, ImportWhole):
            with pytest.raises(ValueError, match=r"\^nothing, has no output"):
                imports(added, ["y"], None, graph)
        else:
            assert v1.Session(graph=imports(added, ["y"], None, graph)).run("y:0") == 1.0
