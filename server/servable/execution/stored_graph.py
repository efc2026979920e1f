"""The part of a stored graph that a server needs: what signatures, restore and initialiser can reach.

A SavedModel also holds what trains and saves it, often the larger half. A session would keep that for nothing: import,
restore and close take the longer for it. It must not know sessions or TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from servable.execution import graph_views
from servable.execution.pacing import paced

_COLOCATED = b"loc:@"
# TensorFlow's optimiser finds another implementation of a function by this attribute, and not by a call.
_IMPLEMENTS = b"api_implements"
# A look at so many nodes takes about half a millisecond.
_NODES_AT_A_TIME = 20


@dataclass(frozen=True, slots=True)
class StoredNode:
    """A node of a graph.

    Attributes:
        data: The NodeDef, serialized.
        name: Its name.
        op: Its operation, or the function that it calls.
        inputs: What it reads, as stored: `name`, `name:output` or `^name`.
        callees: The functions that its attributes name.
        neighbours: The nodes that it must share a device with.
    """

    data: bytes
    name: str
    op: str
    inputs: tuple[str, ...]
    callees: tuple[str, ...]
    neighbours: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredGraph:
    """A graph that was read, and not yet imported.

    Attributes:
        nodes: The nodes, in the order in which they are stored.
        functions: The FunctionDefs, serialized, by name.
        function_ops: The operations of all function bodies.
        gradients: The GradientDefs, serialized.
        versions: A serialized VersionDef.
        version: What stood in place of the VersionDef before there was one.
        calls: The functions that each function calls.
    """

    nodes: Sequence[StoredNode]
    functions: dict[str, bytes]
    function_ops: frozenset[str]
    gradients: Sequence[bytes] = ()
    versions: bytes = b""
    version: int = 0
    calls: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def ops(self) -> frozenset[str]:
        """All operations, of functions too."""
        return self.function_ops.union(node.op for node in self.nodes)

    def whole(self) -> bytes:
        """The graph as one serialized GraphDef."""
        return self.part(self.nodes, self.functions.values(), self.gradients)

    def part(
        self, nodes: Iterable[StoredNode] = (), functions: Iterable[bytes] = (), gradients: Iterable[bytes] = ()
    ) -> bytes:
        """A serialized GraphDef of the same versions, with only these."""
        graph = graph_views.Graph(version=self.version, versions=self.versions)
        graph.node.extend(node.data for node in nodes)
        graph.library.function.extend(functions)
        graph.library.gradient.extend(gradients)
        data: bytes = graph.SerializeToString()
        return data


class Catalogue:
    """All nodes and functions of a serialized GraphDef, by name; looked into when they are asked for."""

    def __init__(self, data: bytes) -> None:
        """Take stock.

        Raises:
            DecodeError: if the data is no GraphDef.
        """
        self._graph = graph_views.Graph.FromString(data)
        self._nodes = list(self._graph.node)
        self._positions: dict[str, list[int]] = {}
        self._names_by_op: dict[str, list[str]] = {}
        for position, node in enumerate(paced(self._nodes, _NODES_AT_A_TIME)):
            named = graph_views.Named.FromString(node)
            self._positions.setdefault(named.name, []).append(position)
            self._names_by_op.setdefault(named.op, []).append(named.name)

    def names_of(self, op: str) -> Sequence[str]:
        """The nodes of an operation."""
        return self._names_by_op.get(op, ())

    def find(self, name: str) -> StoredNode | None:
        """The node of a name, the first one where the graph has two by mistake; None if there is none."""
        positions = self._positions.get(name)
        return look(self._nodes[positions[0]]) if positions else None

    def replace(self, name: str, data: bytes) -> None:
        """Change a node that is there; its name and operation stay."""
        self._nodes[self._positions[name][0]] = data

    def reach(self, roots: Iterable[str]) -> StoredGraph:
        """What the nodes of some names can reach; names that are not there are left out.

        Raises:
            DecodeError: if a node or a function is damaged.
        """
        nodes = self._reach_nodes(roots)
        library = self._graph.library
        called = {callee for node in nodes for callee in (node.op, *node.callees)}
        called.update(graph_views.Gradient.FromString(data).gradient_func for data in library.gradient)
        functions, ops, calls = _reach_functions(library.function, called)
        versions, version = self._graph.versions, self._graph.version
        return StoredGraph(nodes, functions, ops, list(library.gradient), versions, version, calls)

    def _reach_nodes(self, roots: Iterable[str]) -> list[StoredNode]:
        reached: dict[int, StoredNode] = {}
        seen: set[str] = set()
        waiting = list(roots)
        for name in paced(waiting, _NODES_AT_A_TIME):
            # Two nodes of one name are for TensorFlow to refuse: both are taken.
            for position in self._positions.get(name, ()) if name not in seen else ():
                node = reached[position] = look(self._nodes[position])
                waiting.extend(map(name_of, node.inputs))
                waiting.extend(node.neighbours)
            seen.add(name)
        return [reached[position] for position in sorted(reached)]


def name_of(endpoint: str) -> str:
    """The node of an input or a tensor: without `^` and the number of the output."""
    return endpoint.removeprefix("^").partition(":")[0]


def look(data: bytes) -> StoredNode:
    """The node of a serialized NodeDef."""
    node = graph_views.Node.FromString(data)
    return StoredNode(
        data, node.name, node.op, tuple(node.input), tuple(_callees(node.attr)), tuple(_neighbours(node.attr))
    )


def _callees(attributes: Iterable[Any]) -> Iterator[str]:
    for attribute in attributes:
        value = attribute.value
        # Most attributes name no function: the quickest look at them is none.
        callees = [value.func] if value.HasField("func") else value.list.func if value.HasField("list") else ()
        for callee in callees:
            yield callee.name
            yield from _callees(callee.attr)


def _neighbours(attributes: Iterable[Any]) -> Iterator[str]:
    for attribute in attributes:
        if attribute.key == "_class":
            groups = (group for group in attribute.value.list.s if group.startswith(_COLOCATED))
            yield from (group.removeprefix(_COLOCATED).decode() for group in groups)


def _reach_functions(
    stored: Iterable[bytes], called: Iterable[str]
) -> tuple[dict[str, bytes], frozenset[str], dict[str, frozenset[str]]]:
    """The functions by name, the operations of their bodies, and the functions that each calls."""
    known = {graph_views.Signed.FromString(data).signature.name: data for data in stored}
    waiting = [*called, *(name for name, data in known.items() if _IMPLEMENTS in data)]
    calls: dict[str, frozenset[str]] = {}
    ops: set[str] = set()
    for name in waiting:
        if name in known and name not in calls:
            named: set[str] = set()
            for node in paced(graph_views.Function.FromString(known[name]).node_def, _NODES_AT_A_TIME):
                ops.add(node.op)
                named.update((node.op, *_callees(node.attr)))
            calls[name] = frozenset(named & known.keys())
            waiting.extend(calls[name])
    # A call by the function's name is no operation.
    return {name: data for name, data in known.items() if name in calls}, frozenset(ops - known.keys()), calls
