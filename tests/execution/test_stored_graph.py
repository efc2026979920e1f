"""Pruning a stored graph: it keeps all that the named nodes reach, in the stored order, and no more."""

import pytest
from google.protobuf import text_format
from google.protobuf.message import DecodeError
from tensorflow.core.framework import graph_pb2

from servable.execution.stored_graph import GraphIndex

FUNCTIONS = """
library {
  function { signature { name: "outer" } node_def { name: "call" op: "PartitionedCall"
             attr { key: "f" value { func { name: "inner" } } } } }
  function { signature { name: "inner" input_arg { name: "x" description: "an input" } }
             node_def { name: "sum" op: "AddV2" } }
  function { signature { name: "branch" } node_def { name: "difference" op: "Sub" } }
  function { signature { name: "saving" } node_def { name: "save" op: "SaveV2" } }
}
"""


def reach(text, *roots):
    graph_def = text_format.Parse(text, graph_pb2.GraphDef())
    return GraphIndex(graph_def.SerializeToString()).prune_to(roots)


def names(graph):
    return [node.name for node in graph.nodes]


@pytest.mark.behaviour("7.1", "ours: only what signatures, restore and init op reach is imported")
def test_nodes_are_followed_through_data_control_and_colocation():
    graph = reach(
        """
        node { name: "unused" op: "NoOp" }
        node { name: "colocated" op: "VarHandleOp" }
        node { name: "before" op: "NoOp" }
        node { name: "pair" op: "Unpack" attr { key: "_class" value { list { s: "loc:@colocated" } } } }
        node { name: "y" op: "Identity" input: "pair:1" input: "^before" }
        """,
        "y",
    )
    assert names(graph) == ["colocated", "before", "pair", "y"]


def test_loops_are_taken_once():
    loop = 'node { name: "merge" op: "Merge" input: "next" } node { name: "next" op: "NextIteration" input: "merge" }'
    assert names(reach(loop, "next")) == ["merge", "next"]


def test_names_that_are_not_there_are_left_out():
    assert names(reach('node { name: "y" op: "Identity" input: "nobody" }', "y", "no such node")) == ["y"]


def test_two_nodes_of_one_name_are_both_taken_for_tensorflow_to_refuse():
    assert names(reach('node { name: "y" op: "NoOp" } node { name: "y" op: "Const" }', "y")) == ["y", "y"]


@pytest.mark.behaviour("7.1", "ours: only what signatures, restore and init op reach is imported")
@pytest.mark.parametrize(
    ("call", "taken"),
    [
        ('op: "PartitionedCall" attr { key: "f" value { func { name: "outer" } } }', {"outer", "inner"}),
        ('op: "Case" attr { key: "branches" value { list { func { name: "branch" } func { name: "inner" } } } }',
         {"branch", "inner"}),
        ('op: "inner"', {"inner"}),
        ('op: "Map" attr { key: "f" value { func { name: "unknown" '
         'attr { key: "g" value { func { name: "branch" } } } } } }', {"branch"}),
        ('op: "NoOp"', set()),
    ],
)  # fmt: skip
def test_functions_are_followed_through_calls_of_every_kind(call, taken):
    graph = reach(f'node {{ name: "y" {call} }} {FUNCTIONS}', "y")
    assert graph.functions.keys() == taken


def test_the_ops_of_function_bodies_are_known_and_calls_by_name_are_none():
    graph = reach(f'node {{ name: "y" op: "outer" }} {FUNCTIONS}', "y")
    assert graph.function_ops == {"PartitionedCall", "AddV2"}


def test_a_gradient_keeps_its_function():
    gradient = 'gradient { function_name: "outer" gradient_func: "branch" }'
    graph = reach(f'node {{ name: "y" op: "outer" }} {FUNCTIONS.rstrip()[:-1]} {gradient} }}', "y")
    assert graph.functions.keys() == {"outer", "inner", "branch"}


def test_another_implementation_of_a_function_is_kept_though_nothing_calls_it():
    """Keras 2 stores an LSTM twice; TensorFlow's optimiser finds the one for the device by this attribute."""
    other = 'library { function { signature { name: "gpu" } attr { key: "api_implements" value { s: "lstm" } } } }'
    assert reach(f'node {{ name: "y" op: "NoOp" }} {other}', "y").functions.keys() == {"gpu"}


def test_what_is_taken_is_the_same_graph_to_tensorflow():
    text = f"""
        node {{ name: "x" op: "Placeholder" device: "/cpu:0" attr {{ key: "dtype" value {{ type: DT_FLOAT }} }} }}
        node {{ name: "y" op: "PartitionedCall" input: "x" attr {{ key: "f" value {{ func {{ name: "outer" }} }} }} }}
        node {{ name: "unused" op: "NoOp" }}
        versions {{ producer: 1882 min_consumer: 12 }} {FUNCTIONS}
    """
    expected = text_format.Parse(text, graph_pb2.GraphDef())
    del expected.node[2], expected.library.function[2:]
    assert graph_pb2.GraphDef.FromString(reach(text, "y").serialize()) == expected


@pytest.mark.parametrize("field", ["node", "function"])
def test_damage_inside_a_graph_is_reported(field):
    damaged = {"node": b"\x0a\x03\x0a\x09y", "function": b"\x12\x05\x0a\x03\x0a\x09y"}[field]
    with pytest.raises(DecodeError):
        GraphIndex(damaged).prune_to([""])
