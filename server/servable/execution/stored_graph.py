"""A stored graph, read without being imported: an index of its nodes and functions, and the part that a server needs.

A SavedModel also holds what trains and saves it, often the larger half. A session would keep that part for nothing, and
import, restore and close would take longer. So a load takes only the nodes and functions that signatures, restore and
init op reach.

While protobuf parses, the interpreter is held, and threads that answer requests wait. So a load never parses a graph
as a whole. The messages of this module have TensorFlow's field numbers but declare only the fields that a load reads;
nodes and functions are bytes until one of them is needed. Long loops over them go through `paced`, which pauses so that
other threads get the interpreter.

This module must not know models, sessions or TensorFlow.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_COLOCATED = b"loc:@"
# TensorFlow's optimiser finds another implementation of a function by this attribute, and not by a call.
_IMPLEMENTS = b"api_implements"
# To parse so many nodes takes about half a millisecond.
_NODES_AT_A_TIME = 20
# Long enough for a waiting thread to wake up and take the interpreter; a pause of 0 is over before it does.
_PAUSE_S = 0.0001

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class StoredNode:
    """A node of a graph.

    Attributes:
        data: The NodeDef, serialized.
        name: Its name.
        op: Its operation, or the function that it calls.
        inputs: What it reads, as stored: `name`, `name:output` or `^name`.
        callees: The functions that its attributes name.
        colocated: The nodes that it must share a device with.
    """

    data: bytes
    name: str
    op: str
    inputs: tuple[str, ...]
    callees: tuple[str, ...]
    colocated: tuple[str, ...]


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

    def serialize(self) -> bytes:
        """The graph as one serialized GraphDef."""
        return self.serialize_part(self.nodes, self.functions.values(), self.gradients)

    def serialize_part(
        self, nodes: Iterable[StoredNode] = (), functions: Iterable[bytes] = (), gradients: Iterable[bytes] = ()
    ) -> bytes:
        """A serialized GraphDef of the same versions, with only these nodes, functions and gradients."""
        graph = _GraphView(version=self.version, versions=self.versions)
        graph.node.extend(node.data for node in nodes)
        graph.library.function.extend(functions)
        graph.library.gradient.extend(gradients)
        data: bytes = graph.SerializeToString()
        return data


class GraphIndex:
    """All nodes and functions of a serialized GraphDef, by name; each is parsed when it is asked for."""

    def __init__(self, data: bytes) -> None:
        """Index a graph.

        Raises:
            DecodeError: if the data is no GraphDef.
        """
        self._graph = _GraphView.FromString(data)
        self._nodes = list(self._graph.node)
        self._positions: dict[str, list[int]] = {}
        self._names_by_op: dict[str, list[str]] = {}
        for position, node in enumerate(paced(self._nodes, _NODES_AT_A_TIME)):
            named = _NodeNameView.FromString(node)
            self._positions.setdefault(named.name, []).append(position)
            self._names_by_op.setdefault(named.op, []).append(named.name)

    def names_of(self, op: str) -> Sequence[str]:
        """The names of the nodes of an operation."""
        return self._names_by_op.get(op, ())

    def find(self, name: str) -> StoredNode | None:
        """The node of a name, the first one where the graph has two by mistake; None if there is none."""
        positions = self._positions.get(name)
        return parse_node(self._nodes[positions[0]]) if positions else None

    def replace(self, name: str, data: bytes) -> None:
        """Change a node of the graph; its name and operation stay."""
        self._nodes[self._positions[name][0]] = data

    def prune_to(self, roots: Iterable[str]) -> StoredGraph:
        """The part of the graph that the nodes of some names reach; names that the graph lacks are left out.

        Raises:
            DecodeError: if a node or a function is damaged.
        """
        nodes = self._reach_nodes(roots)
        library = self._graph.library
        called = {callee for node in nodes for callee in (node.op, *node.callees)}
        called.update(_GradientView.FromString(data).gradient_func for data in library.gradient)
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
                node = reached[position] = parse_node(self._nodes[position])
                waiting.extend(map(node_name, node.inputs))
                waiting.extend(node.colocated)
            seen.add(name)
        return [reached[position] for position in sorted(reached)]


def node_name(endpoint: str) -> str:
    """The node of an input or a tensor: without `^` and the number of the output."""
    return endpoint.removeprefix("^").partition(":")[0]


def parse_node(data: bytes) -> StoredNode:
    """The node of a serialized NodeDef."""
    node = _NodeView.FromString(data)
    return StoredNode(
        data, node.name, node.op, tuple(node.input), tuple(_callees(node.attr)), tuple(_colocated(node.attr))
    )


def paced(items: Iterable[_Item], every: int) -> Iterator[_Item]:
    """The items, also those that are appended during the iteration, with a pause after each `every` of them.

    In the pause a thread that answers requests gets the interpreter.
    """
    for count, item in enumerate(items, start=1):
        yield item
        if count % every == 0:
            time.sleep(_PAUSE_S)


def _callees(attributes: Iterable[Any]) -> Iterator[str]:
    for attribute in attributes:
        value = attribute.value
        # Most attributes name no function; HasField avoids the cost of reading their empty fields.
        callees = [value.func] if value.HasField("func") else value.list.func if value.HasField("list") else ()
        for callee in callees:
            yield callee.name
            yield from _callees(callee.attr)


def _colocated(attributes: Iterable[Any]) -> Iterator[str]:
    for attribute in attributes:
        if attribute.key == "_class":
            groups = (group for group in attribute.value.list.s if group.startswith(_COLOCATED))
            yield from (group.removeprefix(_COLOCATED).decode() for group in groups)


def _reach_functions(
    stored: Iterable[bytes], called: Iterable[str]
) -> tuple[dict[str, bytes], frozenset[str], dict[str, frozenset[str]]]:
    """The functions by name, the operations of their bodies, and the functions that each calls."""
    known = {_FunctionNameView.FromString(data).signature.name: data for data in stored}
    waiting = [*called, *(name for name, data in known.items() if _IMPLEMENTS in data)]
    calls: dict[str, frozenset[str]] = {}
    ops: set[str] = set()
    for name in waiting:
        if name in known and name not in calls:
            named: set[str] = set()
            for node in paced(_FunctionView.FromString(known[name]).node_def, _NODES_AT_A_TIME):
                ops.add(node.op)
                named.update((node.op, *_callees(node.attr)))
            calls[name] = frozenset(named & known.keys())
            waiting.extend(calls[name])
    # A call by the function's name is no operation.
    return {name: data for name, data in known.items() if name in calls}, frozenset(ops - known.keys()), calls


_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "servable.views"

# Each message with its fields: name, number, type, and whether the field is repeated. A type that is a message of this
# table is given by its name. The messages of TensorFlow that these read are GraphDef for Graph, NameAttrList for
# Callee, and so on.
_MESSAGES: dict[str, list[tuple[str, int, int | str, bool]]] = {
    "SavedModel": [("meta_graphs", 2, "MetaGraph", True)],
    "MetaGraph": [("graph_def", 2, _FIELD.TYPE_BYTES, False)],
    "Graph": [
        ("node", 1, _FIELD.TYPE_BYTES, True),
        ("library", 2, "Library", False),
        ("version", 3, _FIELD.TYPE_INT32, False),
        ("versions", 4, _FIELD.TYPE_BYTES, False),
    ],
    "Library": [("function", 1, _FIELD.TYPE_BYTES, True), ("gradient", 2, _FIELD.TYPE_BYTES, True)],
    "Gradient": [("gradient_func", 2, _FIELD.TYPE_STRING, False)],
    "Function": [("node_def", 3, "Node", True)],
    "Node": [
        ("name", 1, _FIELD.TYPE_STRING, False),
        ("op", 2, _FIELD.TYPE_STRING, False),
        ("input", 3, _FIELD.TYPE_STRING, True),
        ("attr", 5, "Attribute", True),
    ],
    "Attribute": [("key", 1, _FIELD.TYPE_STRING, False), ("value", 2, "Value", False)],
    "Value": [("list", 1, "List", False), ("func", 10, "Callee", False)],
    "List": [("s", 2, _FIELD.TYPE_BYTES, True), ("func", 9, "Callee", True)],
    "Callee": [("name", 1, _FIELD.TYPE_STRING, False), ("attr", 2, "Attribute", True)],
    # What indexing all nodes and functions needs, and no more: that is quick.
    "NodeName": [("name", 1, _FIELD.TYPE_STRING, False), ("op", 2, _FIELD.TYPE_STRING, False)],
    "FunctionName": [("signature", 1, "FunctionSignature", False)],
    "FunctionSignature": [("name", 1, _FIELD.TYPE_STRING, False)],
}


def _declare_messages() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="servable/views.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, repeated in fields:
            declared = message.field.add(name=field_name, number=number)
            declared.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if isinstance(kind, str):
                declared.type, declared.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                declared.type = kind  # type: ignore[assignment]
    return file


def _message_class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_declare_messages())

SavedModelView = _message_class("SavedModel")
"""A SavedModel of which only the graphs of its meta graphs are read, as bytes; the rest is kept unread."""
_GraphView = _message_class("Graph")
_GradientView = _message_class("Gradient")
_FunctionView = _message_class("Function")
_NodeView = _message_class("Node")
_NodeNameView = _message_class("NodeName")
_FunctionNameView = _message_class("FunctionName")
