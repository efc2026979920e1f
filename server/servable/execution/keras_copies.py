"""Lets the functions of a Keras 3 model read the weights that its checkpoint restores.

Keras 3 hands tf.saved_model.save a copy of each variable (keras/src/backend/tensorflow/core.py,
_export_to_saved_model_graph): what is restored is the copy, what the signatures read is the original, which
stays empty. TensorFlow Serving answers every request to such a model with FAILED_PRECONDITION "Could not find
variable ...", though the model is whole. `model.export` and TensorFlow 2's own variables have no such copies.
"""

from __future__ import annotations

from collections.abc import Iterator

from tensorflow.core.framework import node_def_pb2

from servable.execution.pacing import paced
from servable.execution.stored_graph import Catalogue

# A look at so many nodes takes about half a millisecond.
_NODES_AT_A_TIME = 50


def share(graph: Catalogue, restore_op_name: str) -> int:
    """Make each original that is never restored another handle of its restored copy.

    Args:
        graph: The graph; it is changed.
        restore_op_name: The node that restores the variables; it may be none of the graph.

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


def _initialised_from_another(graph: Catalogue) -> Iterator[tuple[str, str]]:
    """Each variable whose initial value is read from another variable, and that other."""
    for name in paced(graph.names_of("AssignVariableOp"), _NODES_AT_A_TIME):
        node = graph.find(name)
        value = graph.find(node.inputs[1]) if node is not None and len(node.inputs) > 1 else None
        if node is not None and value is not None and value.op == "ReadVariableOp" and value.inputs:
            yield node.inputs[0], value.inputs[0]


def _join(graph: Catalogue, copy: str, original: str) -> bool:
    first, second = graph.find(copy), graph.find(original)
    if first is None or second is None:
        return False
    # Handles of one shared name are one variable.
    changed = node_def_pb2.NodeDef.FromString(second.data)
    changed.attr["shared_name"].CopyFrom(node_def_pb2.NodeDef.FromString(first.data).attr["shared_name"])
    graph.replace(original, changed.SerializeToString())
    return True
