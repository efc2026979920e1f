"""What is read of a stored graph."""

import pytest

from servable import wire
from servable.inspection import graph as graphs
from tests.inspection.making import node


def read(*nodes, functions=()):
    return graphs.read_graph(wire.GraphDef(node=nodes, library=wire.FunctionDefLibrary(function=functions)))


def function(name, *nodes):
    return wire.FunctionDef(signature=wire.OpDef(name=name), node_def=nodes)


def test_ops_are_those_of_the_graph_and_of_its_functions_without_the_functions_themselves():
    graph = read(
        node("call", "my_function"), node("add", "AddV2"), functions=[function("my_function", node("mul", "Mul"))]
    )
    assert graph.ops == {"AddV2": "add", "Mul": "my_function/mul"}


@pytest.mark.parametrize("op", ["VarHandleOp", "VariableV2", "Variable"])
def test_a_graph_knows_whether_it_holds_variables(op):
    assert read(node("v", op)).has_variables
    assert not read(node("v", "Const")).has_variables


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("x", ("x", 0)),
        ("x:2", ("x", 2)),
        ("a/b:10", ("a/b", 10)),
        ("^x", ("x", None)),
        ("x:y", ("x:y", 0)),
        ("", ("", 0)),
    ],
)
def test_a_tensor_name_is_a_node_and_an_output(name, parts):
    assert graphs.split_tensor_name(name) == parts


def test_a_tensor_without_a_node_is_lacking():
    graph = read(node("x"))
    assert graph.lacks("y:0")
    assert not graph.lacks("x:0")


def test_a_tensor_is_the_same_with_and_without_its_first_output():
    assert [graphs.name_endpoint(name) for name in ("x", "x:0", "x:1")] == ["x:0", "x:0", "x:1"]


CHAIN = read(
    node("x", "Placeholder"),
    node("keep_prob", "Placeholder"),
    node("parsed", "ParseExample", "x"),
    node("scaled", "Mul", "parsed:1", "keep_prob"),
    node("plain", "Neg", "parsed"),
    node("late", "Identity", "plain", "^keep_prob"),
    node("optional", "PlaceholderWithDefault", "plain"),
)


@pytest.mark.parametrize(
    ("feeds", "fetches", "unfed"),
    [
        (["x:0"], ["plain:0"], None),
        ([], ["plain:0"], "x"),
        (["x:0"], ["scaled:0"], "keep_prob"),
        (["x:0", "keep_prob:0"], ["scaled:0"], None),
        (["parsed:0"], ["plain:0"], None),
        (["parsed:0", "keep_prob:0"], ["scaled:0"], "x"),
        (["x:0"], ["late:0"], "keep_prob"),
        (["x:0", "keep_prob:0"], ["late:0"], None),
        (["x:0"], ["optional:0"], None),
        (["scaled:0"], ["scaled:0"], None),
        (["x:0"], ["nowhere:0"], None),
    ],
)
def test_a_placeholder_that_a_run_needs_and_is_not_given_is_found(feeds, fetches, unfed):
    assert CHAIN.find_unfed(feeds, fetches) == unfed


def test_a_loop_in_the_graph_is_walked_once():
    graph = read(node("merge", "Merge", "next", "x"), node("next", "NextIteration", "merge"), node("x", "Placeholder"))
    assert graph.find_unfed([], ["merge:0"]) == "x"
    assert graph.find_unfed(["x:0"], ["merge:0"]) is None
