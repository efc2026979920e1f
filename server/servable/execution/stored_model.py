"""A SavedModel as a load reads it: the meta graph of some tags, with its graph as bytes beside it.

`join_keras_copies` mends the graphs of one exporter. Keras 3 hands tf.saved_model.save a copy of each variable
(keras/src/backend/tensorflow/core.py, _export_to_saved_model_graph): the checkpoint restores the copies, while the
signatures read the originals, which stay empty. TensorFlow Serving answers every request to such a model with
FAILED_PRECONDITION "Could not find variable ...", though the model is whole. `model.export` and TensorFlow 2's own
variables have no such copies.

This module must not know how a graph is imported or run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow.core.framework import node_def_pb2, op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from servable import saved_model, wire
from servable.execution.stored_graph import GraphIndex, SavedModelView, node_name, paced

# To parse so many nodes takes about half a millisecond.
_NODES_AT_A_TIME = 50


@dataclass(frozen=True, slots=True)
class StoredModel:
    """What a version directory holds for some tags.

    Attributes:
        meta_graph: The meta graph, without its graph.
        graph: The serialized GraphDef.
        directory: The version directory.
    """

    meta_graph: wire.MetaGraphDef
    graph: bytes
    directory: Path

    def named_operations(self) -> frozenset[str]:
        """Each operation that the model names: what signatures feed and fetch, restore, initialiser, assets."""
        return self.served_operations() | self.loading_operations()

    def served_operations(self) -> frozenset[str]:
        """The operations that requests may name: what signatures feed and fetch."""
        return _operations(
            name
            for definition in saved_model.signatures(self.meta_graph).values()
            for tensor in (*definition.inputs.values(), *definition.outputs.values())
            for name in _tensor_names(tensor)
        )

    def loading_operations(self) -> frozenset[str]:
        """The operations that a load runs or feeds: restore with its file name, initialiser, assets."""
        saver = self.meta_graph.saver_def
        init_op = saved_model.init_op_name(self.meta_graph) or ""
        return _operations((saver.restore_op_name, saver.filename_tensor_name, init_op, *self._assets()))

    def _assets(self) -> Iterable[str]:
        return saved_model.asset_feeds(self.meta_graph, self.directory)

    def fed_dtypes(self) -> dict[str, int]:
        """The tensorflow.DataType of each tensor that signatures feed, by its name as stored."""
        definitions = self.meta_graph.signature_def.values()
        return {info.name: info.dtype for definition in definitions for info in definition.inputs.values()}

    def fetched_tensors(self) -> Sequence[str]:
        """The name of each tensor that a signature fetches, as stored."""
        definitions = self.meta_graph.signature_def.values()
        return [info.name for definition in definitions for info in definition.outputs.values()]

    def producer_ops(self) -> Any:
        """The tensorflow OpList of the TensorFlow that wrote the graph, if it was stored with it; else None."""
        info = self.meta_graph.meta_info_def
        if not info.HasField("stripped_op_list"):
            return None
        return op_def_pb2.OpList.FromString(info.stripped_op_list.SerializeToString())


def read(directory: Path, tags: Sequence[str]) -> StoredModel:
    """Read the meta graph of some tags.

    Raises:
        ServingError: as saved_model.read and saved_model.select_meta_graph.
    """
    graphs: list[bytes] = []

    def parse_binary(data: bytes) -> wire.SavedModel:
        whole = SavedModelView.FromString(data)
        graphs.extend(meta_graph.graph_def for meta_graph in whole.meta_graphs)
        for meta_graph in whole.meta_graphs:
            meta_graph.ClearField("graph_def")
        return wire.SavedModel.FromString(whole.SerializeToString())

    def parse_text(text: bytes) -> wire.SavedModel:
        # TensorFlow's own message knows all fields; ours keeps as bytes what it does not know.
        return parse_binary(text_format.Parse(text, saved_model_pb2.SavedModel()).SerializeToString())

    stored = saved_model.read(directory, parse_text, parse_binary)
    meta_graph = saved_model.select_meta_graph(stored, tags)
    return StoredModel(meta_graph, graphs[list(stored.meta_graphs).index(meta_graph)], directory)


def _operations(names: Iterable[str]) -> frozenset[str]:
    return frozenset(node_name(name) for name in names if name)


def _tensor_names(tensor: wire.TensorInfo) -> Iterator[str]:
    yield tensor.name
    sparse = tensor.coo_sparse
    yield from (sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name)
    for component in tensor.composite_tensor.components:
        yield from _tensor_names(component)


def join_keras_copies(graph: GraphIndex, restore_op_name: str) -> int:
    """Make each original variable that is never restored another handle of its restored copy.

    Args:
        graph: The graph; it is changed.
        restore_op_name: The node that restores the variables; the graph may have none of that name.

    Returns:
        How many variables had such a copy.
    """
    restore = graph.find(restore_op_name)
    restored = frozenset(restore.inputs if restore is not None else ())
    pairs = [
        (copy, original)
        for copy, original in _initialised_from_another(graph)
        if copy in restored and original not in restored
    ]
    return sum(_join(graph, copy, original) for copy, original in pairs)


def _initialised_from_another(graph: GraphIndex) -> Iterator[tuple[str, str]]:
    """Each variable whose initial value is read from another variable, and that other."""
    for name in paced(graph.names_of("AssignVariableOp"), _NODES_AT_A_TIME):
        node = graph.find(name)
        value = graph.find(node.inputs[1]) if node is not None and len(node.inputs) > 1 else None
        if node is not None and value is not None and value.op == "ReadVariableOp" and value.inputs:
            yield node.inputs[0], value.inputs[0]


def _join(graph: GraphIndex, copy: str, original: str) -> bool:
    first, second = graph.find(copy), graph.find(original)
    if first is None or second is None:
        return False
    # Handles of one shared name are one variable.
    changed = node_def_pb2.NodeDef.FromString(second.data)
    changed.attr["shared_name"].CopyFrom(node_def_pb2.NodeDef.FromString(first.data).attr["shared_name"])
    graph.replace(original, changed.SerializeToString())
    return True
