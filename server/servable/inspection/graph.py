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
        functions: The model's own functions, by name.
    """

    nodes: Mapping[str, wire.NodeDef]
    ops: Mapping[str, str]
    functions: Mapping[str, wire.FunctionDef]

    @property
    def has_variables(self) -> bool:
        """Whether the graph holds variables."""
        return not _VARIABLE_OPS.isdisjoint(self.ops)

    def lacks(self, tensor_name: str) -> bool:
        """Whether there is no node that could give this tensor."""
        return split_tensor_name(tensor_name)[0] not in self.nodes

    def find_needed_ops(self, roots: Iterable[str]) -> dict[str, str]:
        """The ops that some tensors or nodes need, those of the functions that are called too.

        A server loads no others.

        Returns:
            Each op with the place of its first use, in the form of `ops`.
        """
        ops: dict[str, str] = {}
        calls: list[str] = []
        waiting = [split_tensor_name(name)[0] for name in roots]
        for name in _appended_once(waiting):
            if name in self.nodes:
                calls.extend(self._note(self.nodes[name], name, ops))
                waiting.extend(split_tensor_name(source)[0] for source in self.nodes[name].input)
        for function in _appended_once(calls):
            for node in self.functions[function].node_def:
                calls.extend(self._note(node, f"{function}/{node.name}", ops))
        return ops

    def _note(self, node: wire.NodeDef, place: str, ops: dict[str, str]) -> Iterator[str]:
        """Note the op of a node; the functions that it calls."""
        if node.op not in self.functions:
            ops.setdefault(node.op, place)
        yield from (name for name in (node.op, *_callees(node.attr.values())) if name in self.functions)

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
    own = {function.signature.name: function for function in graph_def.library.function}
    ops: dict[str, str] = {}
    for place, nodes in _bodies(graph_def):
        for node in nodes:
            ops.setdefault(node.op, f"{place}{node.name}")
    stored = {node.name: node for node in graph_def.node}
    return Graph(stored, {op: at for op, at in ops.items() if op not in own}, own)


def _appended_once(names: Sequence[str]) -> Iterator[str]:
    """Each name, also those that are appended during the iteration, the first time that it comes."""
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            seen.add(name)
            yield name


def _callees(attributes: Iterable[wire.AttrValue]) -> Iterator[str]:
    for attribute in attributes:
        for callee in (attribute.func, *attribute.list.func):
            if callee.name:
                yield callee.name
                yield from _callees(callee.attr.values())


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
