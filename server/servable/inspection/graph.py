"""A stored graph, as far as a report needs it: its ops, its variables, and which tensors depend on which.

It must not know signatures. A tensor is named `node:output`, and `node` means `node:0`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from servable import wire

_VARIABLE_OPS = frozenset({"VarHandleOp", "Variable", "VariableV2", "AutoReloadVariable"})
_PLACEHOLDER_OPS = frozenset({"Placeholder", "PlaceholderV2"})
_NUMBERED_OUTPUT = re.compile(r"(.*):([0-9]{1,9})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Graph:
    """A stored graph.

    Attributes:
        nodes: The nodes outside of functions, by name.
        ops: The ops that are used, without calls of the model's own functions: op to the place of its first use.
    """

    nodes: Mapping[str, wire.NodeDef]
    ops: Mapping[str, str]

    @property
    def has_variables(self) -> bool:
        """Whether the graph holds variables."""
        return not _VARIABLE_OPS.isdisjoint(self.ops)

    def lacks(self, tensor_name: str) -> bool:
        """Whether there is no node that could give this tensor."""
        return split_tensor_name(tensor_name)[0] not in self.nodes

    def find_unfed(self, feeds: Iterable[str], fetches: Iterable[str]) -> str | None:
        """A placeholder that a run of these tensors needs and is not given, if there is one.

        Source of the behaviour: TensorFlow prunes a graph to what the fetches need, up to the feeds
        (subgraph.cc), and a placeholder that is left fails when it is run.
        """
        fed = {split_tensor_name(name) for name in feeds}
        waiting = [split_tensor_name(name) for name in fetches]
        seen = set(waiting)
        while waiting:
            endpoint = waiting.pop()
            name = endpoint[0]
            node = self.nodes.get(name)
            if node is None or endpoint in fed:
                continue
            if node.op in _PLACEHOLDER_OPS and (name, 0) not in fed:
                return name
            new = {split_tensor_name(source) for source in node.input} - seen
            seen |= new
            waiting.extend(new)
        return None


def read_graph(graph_def: wire.GraphDef) -> Graph:
    """The graph of a GraphDef."""
    own = {function.signature.name for function in graph_def.library.function}
    ops: dict[str, str] = {}
    for place, nodes in _bodies(graph_def):
        for node in nodes:
            ops.setdefault(node.op, f"{place}{node.name}")
    return Graph({node.name: node for node in graph_def.node}, {op: at for op, at in ops.items() if op not in own})


def _bodies(graph_def: wire.GraphDef) -> Iterator[tuple[str, Sequence[wire.NodeDef]]]:
    yield "", graph_def.node
    for function in graph_def.library.function:
        yield f"{function.signature.name}/", function.node_def


def split_tensor_name(tensor_name: str) -> tuple[str, int | None]:
    """The node and the output of a tensor name; None as output stands for a control input, `^node`."""
    if tensor_name.startswith("^"):
        return tensor_name[1:], None
    match = _NUMBERED_OUTPUT.fullmatch(tensor_name)
    return (match[1], int(match[2])) if match else (tensor_name, 0)


def name_endpoint(tensor_name: str) -> str:
    """The name of a tensor with its output, which may be left out where it is the first."""
    node, output = split_tensor_name(tensor_name)
    return f"{node}:{output}"
