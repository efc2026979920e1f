"""A stored graph cut in two: what loads a model, and what is served, with constants in place of reads of variables.

Runs of a frozen graph take less CPU, a half less at best: TensorFlow folds constants, batch normalisation among them,
and keeps weights in the order that its kernels want. The price: the last bits of results may change, a model takes
more memory, and a load takes longer.

A session that loads the first part serves the second one too: restore and init op run on their nodes as they are
stored, then the variables are read, then the served part is added to the session's graph. So whatever a load writes
besides these variables (tables, other variables, iterators, ...) is in the session as it is without freezing, and the
constants are all that differs. A constant is right if nothing writes to its variable once the load is over, and
FreezableGraph refuses a graph of which that is not proved:

1. A variable is written to through its handle, and handles come from VarHandleOps of the graph. Two VarHandleOps with
   the same container and shared name are handles of one variable. A graph in which a function has a VarHandleOp, or a
   constant or placeholder holds handles, is refused.
2. In the served part only ReadVariableOps take handles, directly or as arguments of functions. Since this holds for all
   its handles, no run of it writes to a variable under another name.
3. In the part that loads only ops that keep no handle take handles of these variables, directly or as arguments of
   functions. So the load leaves no handle where the served part could find it, such as a dataset whose function writes.
4. Requests run only the served part. It has all nodes that signatures name, except those without outputs, such as most
   init ops.

A node that both parts need is added once, as it is stored. A graph is refused if such a node would have to change,
because it reads a variable, or if it may be fed. Either all variables become constants or none: one variable that must
stay keeps the others.

This module must not know sessions or models.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final

from tensorflow.core.framework import function_pb2, node_def_pb2

from servable.codec import dtypes
from servable.execution.stored_graph import GraphIndex, StoredGraph, StoredNode, node_name, paced, parse_node

_CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
# These take a variable's handle and keep no reference to it when they return. They write at most the variable itself.
_KEEP_NO_HANDLE = frozenset({
    "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "ReadVariableOp", "VarIsInitializedOp",
    "VariableShape", "DisableCopyOnRead",
})  # fmt: skip
# TensorFlow 1's variables: any op may use them as a value or as a place to write to.
_REFERENCES = frozenset({"Variable", "VariableV2", "AutoReloadVariable", "TemporaryVariable"})
# TensorFlow's optimiser replaces such functions by one another; after freezing their arguments would differ.
_IMPLEMENTS = b"api_implements"
# The attribute "dtype" of a constant or placeholder that holds handles: it is DT_RESOURCE, serialized.
_HOLDS_HANDLES = b"\x0a\x05dtype\x12\x02\x30\x14"

# The names of added nodes begin with this; a graph whose own names do is refused.
_FOLDER = "servable_frozen"
_NODES_AT_A_TIME = 50
# The smallest variable that is worth freeing: the node that frees it costs a load about half a millisecond.
_LARGE_BYTES = 1 << 15


class NotFrozen(Exception):
    """A graph keeps its variables; the text says why."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that is only read.

    Attributes:
        handle: The node of its handle.
        device: The device that the handle's node asks for.
        dtype: Its tensorflow.DataType.
        size_bytes: The memory of its values.
        read: The node of the loading part that reads it.
        constant: The node of the served part that takes its place.
    """

    handle: str
    device: str
    dtype: int
    size_bytes: int
    read: str
    constant: str


class FreezableGraph:
    """A graph whose served part only reads variables.

    Attributes:
        variables: The variables of the served part.
        loading: The part that a load runs, with nodes that read these variables.
        release: The node of `loading` that frees large variables: these, and those that only the load needs.
        names: The nodes of `loading` that the session will be asked for, besides those that the model names: the nodes
            that read and free the variables, and the nodes that the served part reads.
    """

    release: Final = f"{_FOLDER}/release"

    def __init__(
        self, graph: StoredGraph, loading: Collection[str], served: Collection[str], fed: Collection[str]
    ) -> None:
        """Prove that the graph can be frozen, and cut it in two.

        Args:
            graph: The part of a graph that the operations below reach.
            loading: The operations that a load runs or feeds.
            served: The operations that requests may name.
            fed: Those of them that requests may feed.

        Raises:
            NotFrozen: if it cannot be frozen.
        """
        index = GraphIndex(graph.serialize())
        roots = {name for name in served if _has_outputs(index.find(name))}
        # Served nodes without outputs go to the loading part: fetching them must fail in TensorFlow's words.
        loading = {*loading, *served}.difference(roots)
        before, after = index.prune_to(loading), index.prune_to(roots)
        _refuse_hidden_variables(graph, after)
        handles = [_parse(node) for node in after.nodes if node.op == "VarHandleOp"]
        self.variables = [_variable(handle, number) for number, handle in enumerate(handles)]
        self._served, changed = _replace_reads(after, self.variables, roots, graph.functions)
        # Error texts name functions. So a copy takes its original's name where the original is not used any more.
        unused = frozenset(graph.functions).difference(self._served.functions, before.functions)
        if unused and not graph.gradients:
            self._served, _ = _replace_reads(after, self.variables, roots, graph.functions, unused)
        _refuse_shared({node.name for node in before.nodes}, changed, fed)
        uses = _LoadUses(before, graph.functions)
        uses.check({_identity(handle) for handle in handles})
        both = index.prune_to([*loading, *(handle.name for handle in handles)])
        dead = [handle.name for handle in (*handles, *uses.find_dead()) if _is_large(handle)]
        self.loading = self._with_reads(both, dead)
        self._drop_loaded_nodes()
        known = {node.name for node in self.loading.nodes}
        _refuse_scopes(self._served, known)
        inputs = {node_name(source) for node in self._served.nodes for source in node.inputs}
        self.names = {self.release, *(variable.read for variable in self.variables), *inputs.intersection(known)}

    @property
    def size_bytes(self) -> int:
        """The memory of the values of all variables."""
        return sum(variable.size_bytes for variable in self.variables)

    def freeze(self, values: Iterable[Any]) -> StoredGraph:
        """The served part, to be added to a graph that holds `loading`.

        Args:
            values: A tensorflow TensorProto for each of the variables.
        """
        constants = [_constant(variable, value) for variable, value in zip(self.variables, values, strict=True)]
        return replace(self._served, nodes=[*constants, *self._served.nodes])

    def _with_reads(self, graph: StoredGraph, dead: Iterable[str]) -> StoredGraph:
        added = []
        for variable in self.variables:
            read = node_def_pb2.NodeDef(name=variable.read, op="ReadVariableOp", input=[variable.handle])
            read.attr["dtype"].type = variable.dtype
            added.append(read)
        release = node_def_pb2.NodeDef(name=self.release, op="NoOp")
        for number, handle in enumerate(dead):
            name = f"{_FOLDER}/{number}/destroy"
            destroy = node_def_pb2.NodeDef(name=name, op="DestroyResourceOp", input=[handle])
            # Another handle of the same variable may have freed it already.
            destroy.attr["ignore_lookup_error"].b = True
            release.input.append(f"^{name}")
            added.append(destroy)
        return replace(
            graph, nodes=[*graph.nodes, *(parse_node(node.SerializeToString()) for node in (*added, release))]
        )

    def _drop_loaded_nodes(self) -> None:
        loaded = {node.name for node in self.loading.nodes}
        self._served = replace(
            self._served,
            nodes=[node for node in self._served.nodes if node.name not in loaded],
            functions={
                name: data for name, data in self._served.functions.items() if name not in self.loading.functions
            },
            gradients=(),
        )


def _has_outputs(node: StoredNode | None) -> bool:
    return node is not None and node.op != "NoOp"


def _parse(node: StoredNode) -> Any:
    return node_def_pb2.NodeDef.FromString(node.data)


def _refuse_hidden_variables(graph: StoredGraph, served: StoredGraph) -> None:
    if references := served.ops & _REFERENCES:
        raise NotFrozen(f"it has variables of TensorFlow 1 ({min(references)})")
    if "VarHandleOp" in graph.function_ops:
        raise NotFrozen("a function has variables of its own")
    if any(_IMPLEMENTS in function for function in graph.functions.values()):
        raise NotFrozen("it has functions of several implementations")
    stored = (*(node.data for node in graph.nodes), *graph.functions.values())
    if any(_HOLDS_HANDLES in data for data in paced(stored, _NODES_AT_A_TIME)):
        raise NotFrozen("it has handles of variables that are stored or fed")
    if any(node.name.startswith(_FOLDER) for node in graph.nodes):
        raise NotFrozen(f"it has nodes whose names begin with {_FOLDER}")


def _refuse_shared(loading: Collection[str], changed: Collection[str], fed: Collection[str]) -> None:
    for name in changed:
        if name in loading:
            raise NotFrozen(f"{name}, which takes a variable, is needed to load the model too")
    for name in fed:
        if name in loading:
            raise NotFrozen(f"{name}, which is fed, is needed to load the model too")


def _refuse_scopes(served: StoredGraph, loaded: Iterable[str]) -> None:
    """Refuse a served node `a` where the loading part has an `a/b`: TensorFlow would refuse to add it."""
    scopes = {name[:end] for name in loaded for end, letter in enumerate(name) if letter == "/"}
    for node in served.nodes:
        if node.name in scopes:
            raise NotFrozen(f"{node.name} is a scope of what is needed to load the model too")


def _identity(handle: Any) -> tuple[bytes, bytes]:
    """Container and shared name: two handles that agree in both are handles of one variable."""
    return handle.attr["container"].s, handle.attr["shared_name"].s


def _variable(handle: Any, number: int) -> Variable:
    folder, dtype = f"{_FOLDER}/{number}", handle.attr["dtype"].type
    return Variable(handle.name, handle.device, dtype, _size_bytes(handle), f"{folder}/read", f"{folder}/constant")


def _is_large(handle: Any) -> bool:
    try:
        return _size_bytes(handle) >= _LARGE_BYTES
    except NotFrozen:
        return False


def _size_bytes(handle: Any) -> int:
    shape, dtype = handle.attr["shape"].shape, dtypes.BY_NUMBER.get(handle.attr["dtype"].type)
    if shape.unknown_rank or any(dim.size < 0 for dim in shape.dim) or dtype is None or dtype.is_string:
        raise NotFrozen(f"the size of {handle.name} is not known")
    sizes: list[int] = [dim.size for dim in shape.dim]
    return prod(sizes) * dtype.numpy.itemsize


def _constant(variable: Variable, value: Any) -> StoredNode:
    node = node_def_pb2.NodeDef(name=variable.constant, op="Const", device=variable.device)
    node.attr["value"].tensor.CopyFrom(value)
    node.attr["dtype"].type = value.dtype
    return StoredNode(node.SerializeToString(), node.name, node.op, (), (), ())


def _taken(inputs: Iterable[str], names: Collection[str]) -> list[int]:
    """The positions of the inputs that are some of the names."""
    return [index for index, name in enumerate(inputs) if name in names]


def _tensor_names(handles: Iterable[str]) -> Iterator[str]:
    """The names by which inputs refer to some handles."""
    for name in handles:
        yield from (name, f"{name}:0")


class _LoadUses:
    """Checks what a load does with handles of variables."""

    def __init__(self, loading: StoredGraph, functions: Mapping[str, bytes]) -> None:
        self._loading, self._functions = loading, functions
        self._handles = [_parse(node) for node in loading.nodes if node.op == "VarHandleOp"]
        self._checked: set[tuple[str, tuple[int, ...]]] = set()

    def check(self, identities: Collection[tuple[bytes, bytes]]) -> None:
        """Refuse a load that may keep a handle of some variables.

        Raises:
            NotFrozen: if it may.
        """
        names = set(_tensor_names(handle.name for handle in self._handles if _identity(handle) in identities))
        self._check_nodes([_parse(node) for node in self._loading.nodes if _taken(node.inputs, names)], names)

    def find_dead(self) -> list[Any]:
        """The handles whose variables nothing can reach after the load, provided that the served part has no handles.

        Keras stores each weight twice, and a load restores both.
        """
        try:
            self.check({_identity(handle) for handle in self._handles})
        except NotFrozen:
            return []
        return self._handles

    def _check_nodes(self, nodes: Iterable[Any], names: Collection[str]) -> None:
        for node in nodes:
            taken = _taken(node.input, names)
            if not taken or node.op in _KEEP_NO_HANDLE:
                continue
            if node.op not in _CALLS:
                raise NotFrozen(f"{node.name} ({node.op}) takes a variable while the model is loaded")
            self._check_function(node.attr["f"].func.name, taken)

    def _check_function(self, name: str, taken: Iterable[int]) -> None:
        key = (name, tuple(taken))
        if key in self._checked:
            return
        self._checked.add(key)
        function = _find_function(self._functions, name)
        names = {function.signature.input_arg[index].name for index in taken}
        if not names.isdisjoint(function.ret.values()):
            raise NotFrozen(f"the function {name} returns a variable")
        self._check_nodes(function.node_def, names)


def _find_function(functions: Mapping[str, bytes], name: str) -> Any:
    if name not in functions:
        raise NotFrozen(f"there is no function {name}")
    return function_pb2.FunctionDef.FromString(functions[name])


def _replace_reads(
    served: StoredGraph,
    variables: Iterable[Variable],
    roots: Iterable[str],
    functions: Mapping[str, bytes],
    unused: Collection[str] = (),
) -> tuple[StoredGraph, Collection[str]]:
    """The part of a graph that some nodes reach once they read constants; the graph still lacks the constants.

    Args:
        served: The graph.
        variables: Its variables.
        roots: The names of the nodes.
        functions: All functions that there are, by name.
        unused: Those that nothing calls once variables are constants.

    Returns:
        The graph, and the names of the nodes that changed.

    Raises:
        NotFrozen: if the graph does anything with a variable but read it.
    """
    constants = {name: variable for variable in variables for name in _tensor_names([variable.handle])}
    values = {name: variable.dtype for name, variable in constants.items()}
    reads, changed, nodes = _Reads(functions, unused), set[str](), list[StoredNode]()
    for node in paced(served.nodes, _NODES_AT_A_TIME):
        if not _taken(node.inputs, constants):
            nodes.append(node)
            continue
        definition = _parse(node)
        reads.rewrite([definition], values)
        for index in _taken(definition.input, constants):
            definition.input[index] = constants[definition.input[index]].constant
        changed.add(node.name)
        nodes.append(parse_node(definition.SerializeToString()))
    copies = [copy.SerializeToString() for copy in reads.functions.values()]
    kept = [data for name, data in served.functions.items() if name not in unused]
    whole = served.serialize_part(nodes, [*kept, *copies], served.gradients)
    return GraphIndex(whole).prune_to(roots), changed


class _Reads:
    """Turns reads of variables into uses of values, in nodes and in copies of the functions that they call.

    Attributes:
        functions: The copies, by the function's name and the dtypes of the arguments that became values.
    """

    def __init__(self, functions: Mapping[str, bytes], unused: Collection[str]) -> None:
        self._originals, self._free_names = functions, set(unused)
        self.functions: dict[tuple[str, tuple[tuple[int, int], ...]], Any] = {}

    def rewrite(self, nodes: Iterable[Any], values: Mapping[str, int]) -> dict[str, str]:
        """Change the nodes that take one of some values.

        Args:
            nodes: NodeDefs; they are changed.
            values: The tensorflow.DataType of each value that was a variable's handle, by its name in inputs.

        Returns:
            The new name of each output that has one, as functions name outputs.

        Raises:
            NotFrozen: if a node does anything with a handle but read its variable.
        """
        renamed = {}
        for node in nodes:
            taken = {index: values[node.input[index]] for index in _taken(node.input, values)}
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
        # The attribute lists inputs that are handles; the call has none any more.
        call.attr.pop("_read_only_resource_inputs", None)
        call.attr["f"].func.name = self._copy(call.attr["f"].func.name, taken).signature.name

    def _copy(self, name: str, taken: Mapping[int, int]) -> Any:
        key = (name, tuple(sorted(taken.items())))
        if key in self.functions:
            return self.functions[key]
        copy = _find_function(self._originals, name)
        copy.signature.name = self._unused_name(name)
        self.functions[key] = copy
        for index, dtype in taken.items():
            copy.signature.input_arg[index].type = dtype
            copy.signature.input_arg[index].ClearField("handle_data")
            copy.arg_attr.pop(index, None)
            copy.resource_arg_unique_id.pop(index, None)
        values = {copy.signature.input_arg[index].name: dtype for index, dtype in taken.items()}
        if not values.keys().isdisjoint(copy.ret.values()):
            raise NotFrozen(f"the function {name} returns a variable")
        _rename(copy, self.rewrite(copy.node_def, values))
        return copy

    def _unused_name(self, name: str) -> str:
        if name in self._free_names:
            self._free_names.remove(name)
            return name
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
