"""A stored graph whose variables became constants, so that TensorFlow can optimise across them once for all runs.

All or nothing: a graph is frozen only if each of its variables is only ever read, on its way through functions too.
Whatever else takes a variable may assign it, or may want the variable itself. It must not know sessions or models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from tensorflow.core.framework import graph_pb2

from servable.codec import dtypes
from servable.execution.stored_graph import StoredGraph

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
# TensorFlow 1's variables, which any op may take for a value or for a place to write to.
_REFERENCES = frozenset({"Variable", "VariableV2", "AutoReloadVariable", "TemporaryVariable"})
# TensorFlow's optimiser exchanges such functions for one another, which would no longer take the same arguments.
_IMPLEMENTS = b"api_implements"


class NotFrozen(Exception):
    """Why a graph keeps its variables."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that is only read.

    Attributes:
        name: The node of its handle.
        dtype: Its tensorflow.DataType.
        size_bytes: What its values take.
    """

    name: str
    dtype: int
    size_bytes: int


class FreezableGraph:
    """A graph whose variables are only read."""

    def __init__(self, stored: StoredGraph) -> None:
        """Look whether the graph can be frozen.

        Raises:
            NotFrozen: if it cannot; the text says why.
        """
        _refuse_what_hides_variables(stored)
        self._graph: Any = graph_pb2.GraphDef.FromString(stored.whole())
        handles = [node for node in self._graph.node if node.op == "VarHandleOp"]
        self.variables = [Variable(node.name, node.attr["dtype"].type, _size_bytes(node)) for node in handles]
        reads = _Reads(self._graph.library.function)
        values = {variable.name: variable.dtype for variable in self.variables}
        reads.rewrite(self._graph.node, {**values, **{f"{name}:0": dtype for name, dtype in values.items()}})
        self._graph.library.function.extend(reads.functions.values())

    def freeze(self, values: Mapping[str, Any]) -> bytes:
        """The serialized GraphDef with constants.

        Args:
            values: A tensorflow TensorProto for each variable, by name.
        """
        for node in self._graph.node:
            if node.name in values and node.op == "VarHandleOp":
                node.op = "Const"
                node.attr.clear()
                node.attr["value"].tensor.CopyFrom(values[node.name])
                node.attr["dtype"].type = values[node.name].dtype
        data: bytes = self._graph.SerializeToString()
        return data


def _refuse_what_hides_variables(stored: StoredGraph) -> None:
    if references := stored.ops & _REFERENCES:
        raise NotFrozen(f"it has variables of TensorFlow 1 ({min(references)})")
    if "VarHandleOp" in stored.function_ops:
        raise NotFrozen("a function has variables of its own")
    if any(_IMPLEMENTS in function for function in stored.functions.values()):
        raise NotFrozen("it has functions of several implementations")


def _size_bytes(handle: Any) -> int:
    shape, dtype = handle.attr["shape"].shape, dtypes.BY_NUMBER.get(handle.attr["dtype"].type)
    if shape.unknown_rank or any(dim.size < 0 for dim in shape.dim) or dtype is None or dtype.is_string:
        raise NotFrozen(f"the size of {handle.name} is not known")
    sizes: list[int] = [dim.size for dim in shape.dim]
    return prod(sizes) * dtype.numpy.itemsize


class _Reads:
    """Turns reads of variables into uses of values, in nodes and in copies of the functions that they call.

    Attributes:
        functions: The copies, by the function's name and the dtypes of the arguments that became values.
    """

    def __init__(self, functions: Iterable[Any]) -> None:
        self._originals = {function.signature.name: function for function in functions}
        self.functions: dict[tuple[str, tuple[tuple[int, int], ...]], Any] = {}

    def rewrite(self, nodes: Iterable[Any], values: Mapping[str, int]) -> dict[str, str]:
        """Change the nodes that take one of some values.

        Args:
            nodes: NodeDefs; they are changed.
            values: The tensorflow.DataType of what was a variable's handle, by the name that nodes read it by.

        Returns:
            The outputs that have another name now, as functions name outputs.

        Raises:
            NotFrozen: if a node does something else than read.
        """
        renamed = {}
        for node in nodes:
            taken = {index: values[name] for index, name in enumerate(node.input) if name in values}
            if not taken:
                continue
            if node.op == "ReadVariableOp":
                node.op = "Identity"
                node.attr.clear()
                node.attr["T"].type = taken[0]
                renamed[f"{node.name}:value:0"] = f"{node.name}:output:0"
            elif node.op in _CALLS:
                self._redirect(node, taken)
            else:
                raise NotFrozen(f"{node.name} ({node.op}) takes a variable")
        return renamed

    def _redirect(self, call: Any, taken: Mapping[int, int]) -> None:
        for index, dtype in taken.items():
            call.attr["Tin"].list.type[index] = dtype
        # Of a call that has no such inputs any more.
        call.attr.pop("_read_only_resource_inputs", None)
        call.attr["f"].func.name = self._copy(call.attr["f"].func.name, taken).signature.name

    def _copy(self, name: str, taken: Mapping[int, int]) -> Any:
        key = (name, tuple(sorted(taken.items())))
        if key in self.functions:
            return self.functions[key]
        if name not in self._originals:
            raise NotFrozen(f"there is no function {name}")
        copy = type(self._originals[name])()
        copy.CopyFrom(self._originals[name])
        copy.signature.name = self._unused_name(name)
        self.functions[key] = copy
        for index, dtype in taken.items():
            copy.signature.input_arg[index].type = dtype
            copy.signature.input_arg[index].ClearField("handle_data")
            copy.arg_attr.pop(index, None)
        values = {copy.signature.input_arg[index].name: dtype for index, dtype in taken.items()}
        if not values.keys().isdisjoint(copy.ret.values()):
            raise NotFrozen(f"the function {name} returns a variable")
        _rename(copy, self.rewrite(copy.node_def, values))
        return copy

    def _unused_name(self, name: str) -> str:
        used = {*self._originals, *(copy.signature.name for copy in self.functions.values())}
        return next(new for number in range(len(used) + 1) if (new := f"{name}_of_constants_{number}") not in used)


def _rename(function: Any, renamed: Mapping[str, str]) -> None:
    for node in function.node_def:
        for index, name in enumerate(node.input):
            if name in renamed:
                node.input[index] = renamed[name]
    for output, name in function.ret.items():
        if name in renamed:
            function.ret[output] = renamed[name]
