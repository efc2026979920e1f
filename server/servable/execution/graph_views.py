"""How a load sees a stored graph: who is named what, reads whom and calls which function. All else stays bytes.

The interpreter is held while protobuf parses, and whoever answers requests waits. So a load never parses a graph as
a whole: these messages have TensorFlow's field numbers, but name only what is looked at, and nodes and functions are
bytes until somebody looks into them. It must not know models, sessions or TensorFlow.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "servable.views"

# Message to its fields: name, number, type, and whether there are many. Types that are messages of this table stand
# by their names. The message of TensorFlow that each one reads is GraphDef for Graph, NameAttrList for Callee, ...
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
    "Signed": [("signature", 1, "Declared", False)],
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
    # A quick look at all of them: a node by its name and operation, a function by its name.
    "Named": [("name", 1, _FIELD.TYPE_STRING, False), ("op", 2, _FIELD.TYPE_STRING, False)],
    "Declared": [("name", 1, _FIELD.TYPE_STRING, False)],
}


def _declare() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="servable/views.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, repeated in fields:
            field = message.field.add(name=field_name, number=number)
            field.label = _FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL
            if isinstance(kind, str):
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            else:
                field.type = kind  # type: ignore[assignment]
    return file


def _make(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_declare())

SavedModel = _make("SavedModel")
Graph = _make("Graph")
Gradient = _make("Gradient")
Function = _make("Function")
Node = _make("Node")
Named = _make("Named")
Signed = _make("Signed")
