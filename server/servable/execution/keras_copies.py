"""Lets the functions of a Keras 3 model read the weights that its checkpoint restores.

Keras 3 hands tf.saved_model.save a copy of each variable (keras/src/backend/tensorflow/core.py,
_export_to_saved_model_graph): what is restored is the copy, what the signatures read is the original, which
stays empty. TensorFlow Serving answers every request to such a model with FAILED_PRECONDITION "Could not find
variable ...", though the model is whole. `model.export` and TensorFlow 2's own variables have no such copies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def share(meta_graph: Any) -> int:
    """Make each original that is never restored another handle of its restored copy.

    Args:
        meta_graph: A tensorflow MetaGraphDef; its graph is changed.

    Returns:
        How many variables had such a copy.
    """
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    restore = nodes.get(meta_graph.saver_def.restore_op_name)
    restored = frozenset(restore.input if restore is not None else ())
    pairs = [
        (copy, original)
        for copy, original in _initialised_from_another(nodes)
        if copy in restored and original not in restored and {copy, original} <= nodes.keys()
    ]
    for copy, original in pairs:
        # Handles of one shared name are one variable.
        nodes[original].attr["shared_name"].CopyFrom(nodes[copy].attr["shared_name"])
    return len(pairs)


def _initialised_from_another(nodes: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each variable whose initial value is read from another variable, and that other."""
    for node in nodes.values():
        if node.op == "AssignVariableOp" and len(node.input) > 1:
            value = nodes.get(node.input[1])
            if value is not None and value.op == "ReadVariableOp" and value.input:
                yield node.input[0], value.input[0]
