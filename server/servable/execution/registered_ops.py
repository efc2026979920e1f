"""Which ops TensorFlow knows, of any names. Its public Python API does not list them all, so each is tried."""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf


def find_missing(names: Iterable[str]) -> set[str]:
    """Those of some op names that no loaded library registers."""
    return {name for name in names if not _is_registered(name)}


def _is_registered(name: str) -> bool:
    graph_def = tf.compat.v1.GraphDef(node=[tf.compat.v1.NodeDef(name="tried", op=name)])
    try:
        with tf.Graph().as_default():
            tf.graph_util.import_graph_def(graph_def, name="")
    except (tf.errors.OpError, ValueError) as error:
        # Most ops want inputs and attributes, which this node lacks. That is another complaint.
        return f"Op type not registered '{name}'" not in str(error)
    return True
