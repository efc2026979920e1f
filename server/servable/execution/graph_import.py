"""A stored graph to a tf.Graph: in pieces by TensorFlow's private C API, or whole by its public API.

`tf.graph_util.import_graph_def` holds the interpreter while the whole graph is imported and its functions' shapes are
inferred, then makes a Python object for each operation and each function: for MobileNetV2 a fifth of a second in which
other requests wait (a p99 of 380 ms beside a load of it; 7 ms in pieces). A session needs none of that, only the graph
in C++. So ImportInPieces calls TensorFlow's C API as import_graph_def does, some nodes at a time, and makes Python
objects only for the operations that will be asked for by name.

Functions are imported after the nodes that call them, so TensorFlow does not infer the shapes of their bodies. It looks
into a body only at the first run; so ImportInPieces checks the ops of all bodies itself.

`best_import` tries the private API once; ImportWhole serves where it is missing. With `runs` this is the only module of
the package that is built on TensorFlow's private API.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import tensorflow as tf

from servable.execution.runs import open_feeds
from servable.execution.stored_graph import GraphIndex, StoredGraph, StoredNode, node_name, paced

_log = logging.getLogger(__name__)

# An import of so much holds the interpreter for about a millisecond.
_NODES_AT_A_TIME = 30
_FUNCTION_BYTES_AT_A_TIME = 30_000
# Of constants, which are only copied.
_NODE_BYTES_AT_A_TIME = 1_000_000


class Import(Protocol):
    """Makes a tf.Graph; raises tf.errors.OpError or ValueError."""

    def __call__(self, stored: StoredGraph, named: Collection[str], producer_ops: Any, onto: Any = None) -> Any:
        """Import a graph.

        Args:
            stored: What to import.
            named: The operations that the graph will be asked for by name; others may not be found in it.
            producer_ops: The OpList of the TensorFlow that wrote the graph, with the defaults that its nodes leave out;
                or None.
            onto: A tf.Graph that the nodes are added to; None: a new one. The nodes that they read and that `stored`
                lacks must have been imported into it before, and been in `named` then.

        Returns:
            The tf.Graph. If an import onto a graph fails, that graph is of no use any more.
        """


class ImportWhole:
    """Imports by TensorFlow's public API.

    Attributes:
        fed: The tensorflow.DataType of each tensor that shall take any shape when it is fed, by name; see
            runs.open_feeds.
    """

    def __init__(self, fed: Mapping[str, int] | None = None) -> None:
        self.fed = fed or {}

    def __call__(
        self,
        stored: StoredGraph,
        named: Collection[str],  # noqa: ARG002
        producer_ops: Any,
        onto: Any = None,
    ) -> Any:
        """See Import."""
        graph_def = tf.compat.v1.GraphDef.FromString(stored.serialize())
        if self.fed:
            open_feeds(graph_def, self.fed)
        graph, read = (tf.Graph(), {}) if onto is None else (onto, _tensors_read_from(onto, stored, graph_def))
        with graph.as_default():
            tf.graph_util.import_graph_def(graph_def, input_map=read, name="", producer_op_list=producer_ops)
        return graph


def _tensors_read_from(graph: Any, stored: StoredGraph, graph_def: Any) -> dict[str, Any]:
    """The tensors of a graph that nodes to be added to it read, by the inputs' names.

    It removes the nodes' colocations with nodes of the graph, since TensorFlow looks for those among the added nodes.
    """
    own = {node.name for node in graph_def.node}
    for node in graph_def.node:
        groups = node.attr["_class"].list.s if "_class" in node.attr else ()
        kept = [group for group in groups if group.decode().removeprefix("loc:@") in own]
        if len(kept) < len(groups):
            del node.attr["_class"]
            if kept:
                node.attr["_class"].list.s.extend(kept)
    tensors = {}
    for source in _outside_inputs(stored.nodes):
        name, _, index = source.removeprefix("^").partition(":")
        outputs = graph.get_operation_by_name(name).outputs
        if not outputs:
            # The public API maps tensors only.
            raise ValueError(f"an input of nodes that are added, {source}, has no output")
        tensors[source] = outputs[int(index or 0)]
    return tensors


class ImportInPieces:
    """Imports by TensorFlow's private API."""

    def __init__(self, nodes_at_a_time: int = _NODES_AT_A_TIME) -> None:
        self._nodes_at_a_time = nodes_at_a_time

    def __call__(self, stored: StoredGraph, named: Collection[str], producer_ops: Any, onto: Any = None) -> Any:
        """See Import."""
        if _has_newer_attributes(producer_ops):
            # The C API takes no list of the producer's ops.
            return ImportWhole()(stored, named, producer_ops, onto)
        _require_ops(stored.function_ops)
        wanted = frozenset(named)
        if onto is not None:
            known = frozenset(map(node_name, _outside_inputs(stored.nodes)))
            pieces = _cut(stored, self._nodes_at_a_time, known)
            return _import_parts(_parts(stored, pieces, wanted), wanted, onto, known)
        pieces = _cut(stored, self._nodes_at_a_time)
        if len(pieces) > 1:
            try:
                return _import_parts(_parts(stored, pieces, wanted), wanted)
            except tf.errors.OpError as error:
                _log.info("a graph is imported as one piece, since TensorFlow refuses it in pieces: %s", error.message)
        names = {node.name for node in stored.nodes}
        return _import_parts([_Part(stored.serialize(), kept=sorted(wanted & names))], wanted)


class _Part:
    """A piece of a graph.

    Attributes:
        data: A serialized GraphDef.
        inputs: What its nodes read of earlier pieces.
        kept: Its nodes that later pieces or the session name.
    """

    def __init__(self, data: bytes, inputs: Collection[str] = (), kept: Sequence[str] = ()) -> None:
        self.data, self.inputs, self.kept = data, inputs, kept


def _import_parts(
    parts: Iterable[_Part], wanted: Collection[str], onto: Any = None, known: Collection[str] = ()
) -> Any:
    graph = tf.Graph() if onto is None else onto
    operations: dict[str, Any] = {name: graph.get_operation_by_name(name)._c_op for name in known}
    for part in paced(parts, 1):
        operations.update(_import_part(graph, part, operations))
    for name, operation in operations.items():
        if name in wanted and name not in known:
            graph._create_op_from_tf_operation(operation, compute_device=False)
    return graph


def _parts(stored: StoredGraph, pieces: Sequence[Sequence[StoredNode]], wanted: frozenset[str]) -> Iterator[_Part]:
    outside = [_outside_inputs(piece) for piece in pieces]
    wanted = wanted.union(node_name(source) for inputs in outside for source in inputs)
    for piece, inputs in zip(pieces, outside, strict=True):
        kept = [node.name for node in piece if node.name in wanted]
        yield _Part(stored.serialize_part(piece), inputs, kept)
    # Functions come after the nodes that call them: TensorFlow infers the shapes of a function's body for each call
    # whose function it knows already, for as long as all the rest takes.
    for functions in _cut_functions(stored.functions.values()):
        yield _Part(stored.serialize_part(functions=functions))
    yield _Part(stored.serialize_part(gradients=stored.gradients))


def _cut(stored: StoredGraph, size: int, imported: Iterable[str] = ()) -> Sequence[Sequence[StoredNode]]:
    """The nodes in pieces that read only earlier nodes; one piece if they are not stored in such an order."""
    known = set(imported)
    for node in stored.nodes:
        # Loops of TensorFlow 1 read later nodes. A call by the function's name needs its function to come first.
        if node.name in known or node.op in stored.functions or not known.issuperset(map(node_name, node.inputs)):
            return [stored.nodes]
        known.add(node.name)
    pieces: list[list[StoredNode]] = [[]]
    scoped_until = size_bytes = 0
    for position, (node, last) in enumerate(zip(stored.nodes, _scope_ends(stored.nodes), strict=True)):
        is_full = len(pieces[-1]) >= size or size_bytes >= _NODE_BYTES_AT_A_TIME
        if is_full and scoped_until < position:
            pieces.append([])
            size_bytes = 0
        pieces[-1].append(node)
        size_bytes += len(node.data)
        scoped_until = max(scoped_until, last)
    return pieces


def _scope_ends(nodes: Sequence[StoredNode]) -> Sequence[int]:
    """For each node the last position at which a scope that it opens is the name of a node, or 0.

    TensorFlow accepts `a/b` before `a` in one import, but refuses `a` if an earlier import added `a/b`.
    """
    ends = [0] * len(nodes)
    opened: dict[str, int] = {}
    for position, node in enumerate(nodes):
        if node.name in opened:
            ends[opened[node.name]] = position
        scope = node.name
        while "/" in scope:
            scope = scope.rpartition("/")[0]
            opened.setdefault(scope, position)
    return ends


def _outside_inputs(piece: Sequence[StoredNode]) -> frozenset[str]:
    own = {node.name for node in piece}
    return frozenset(source for node in piece for source in node.inputs if node_name(source) not in own)


def _cut_functions(functions: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    piece: list[bytes] = []
    for function in functions:
        piece.append(function)
        if sum(map(len, piece)) > _FUNCTION_BYTES_AT_A_TIME:
            yield piece
            piece = []
    yield piece


def _import_part(graph: Any, part: _Part, operations: Mapping[str, Any]) -> dict[str, Any]:
    """Import a piece into a graph, and return the C API's operation of each name that the piece keeps."""
    from tensorflow.python.client import pywrap_tf_session as c_api

    options = c_api.TF_NewImportGraphDefOptions()
    buffer = c_api.TF_NewBufferFromString(part.data)
    try:
        _set_options(c_api, options, part, operations)
        with graph._c_graph.get() as c_graph:
            results = c_api.TF_GraphImportGraphDefWithResults(c_graph, buffer, options)
    finally:
        c_api.TF_DeleteBuffer(buffer)
        c_api.TF_DeleteImportGraphDefOptions(options)
    try:
        kept = c_api.TF_ImportGraphDefResultsReturnOperations(results)
    finally:
        c_api.TF_DeleteImportGraphDefResults(results)
    return dict(zip(part.kept, kept, strict=True))


def _set_options(c_api: Any, options: Any, part: _Part, operations: Mapping[str, Any]) -> None:
    # A node may be colocated with a node of another piece; the original does not check colocations here either.
    c_api.TF_ImportGraphDefOptionsSetValidateColocationConstraints(options, False)
    for name in part.kept:
        c_api.TF_ImportGraphDefOptionsAddReturnOperation(options, name)
    for source in part.inputs:
        name, _, index = source.removeprefix("^").partition(":")
        if source.startswith("^"):
            c_api.TF_ImportGraphDefOptionsRemapControlDependency(options, name, operations[name])
            continue
        output = c_api.TF_Output()
        output.oper, output.index = operations[name], int(index or 0)
        c_api.TF_ImportGraphDefOptionsAddInputMapping(options, name, output.index, output)


def _has_newer_attributes(producer_ops: Any) -> bool:
    """Whether the graph was written where an op had attributes that this TensorFlow does not know."""
    from tensorflow.python.framework import op_def_registry

    for produced in producer_ops.op if producer_ops is not None else ():
        known = op_def_registry.get(produced.name)
        if known is not None and not {attr.name for attr in known.attr}.issuperset(attr.name for attr in produced.attr):
            return True
    return False


def _require_ops(names: Iterable[str]) -> None:
    """Let TensorFlow raise its error for an op that it lacks, as it would for a node of the graph itself."""
    for name in sorted(names):
        _require_op(name)


@functools.cache
def _require_op(name: str) -> None:
    from tensorflow.python.framework import op_def_registry

    if op_def_registry.get(name) is None:
        node = tf.compat.v1.NodeDef(name="missing", op=name)
        _import_part(tf.Graph(), _Part(tf.compat.v1.GraphDef(node=[node]).SerializeToString()), {})


@functools.cache
def best_import() -> Import:
    """The import in pieces if it works in this TensorFlow, else the public one; tried once."""
    try:
        _probe(ImportInPieces(nodes_at_a_time=1))
    except Exception as error:  # A changed private API may raise anything.
        _log.warning(
            "TensorFlow %s lacks the private API for imports in pieces (%s: %s); loads will hold up requests",
            tf.__version__, type(error).__name__, error,
        )  # fmt: skip
        return ImportWhole()
    return ImportInPieces()


def _probe(imports: Import) -> None:
    written = tf.Graph()
    with written.as_default():
        x = tf.compat.v1.placeholder(tf.float32, [], name="x")
        with tf.control_dependencies([x]):
            tf.add(x, x, name="y")
    index = GraphIndex(written.as_graph_def().SerializeToString())
    first, both = index.prune_to(["x"]), index.prune_to(["y"])
    added = replace(both, nodes=[node for node in both.nodes if node not in first.nodes])
    for graph in (imports(both, ["x", "y"], None), imports(added, ["y"], None, imports(first, ["x"], None))):
        with tf.compat.v1.Session(graph=graph) as session:
            result = session.run("y:0", {"x:0": 2.0})
        if result != 4:
            raise RuntimeError(f"the sum of 2 and 2 was {result}")


def dismantle(graph: Any) -> None:
    """Break the reference cycles of a graph that is not used any more, so that its memory is free at once.

    Otherwise the memory is free only after Python's next full garbage collection, much later.
    """
    try:
        from tensorflow.python.framework import ops

        ops.dismantle_graph(graph)
    except (ImportError, AttributeError) as error:
        _log.debug("a graph stays in memory until the next garbage collection: %s", error)
