"""Freezes a model's variables at load: reads them in a session of their own, and puts them into the graph.

Runs of a frozen graph take less CPU, a half less at best: TensorFlow folds constants, batch normalisation among them,
and keeps weights in the order that its kernels want. The price: the last bits of results may change, a model takes
four to five times its weights' size more, and a load half as long again. So it is for models that are batched, where
more rows at once change the last bits anyway, and for who asks for it; up to a size.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Final

import tensorflow as tf
from tensorflow.core.framework import graph_pb2

from servable.execution.frozen_graph import FreezableGraph, NotFrozen, Variable
from servable.execution.graph_session import GraphSession
from servable.execution.stored_graph import Catalogue, StoredGraph

_log = logging.getLogger(__name__)

MOST_BYTES_OF_BATCHED: Final = 64_000_000
"""Of the variables of a batched model that is frozen if nobody says otherwise: it may take some 300 MB more."""

# Names that start so are nobody else's.
_FOLDER = "servable_frozen"

OpenRestored = Callable[[StoredGraph], GraphSession]


def freeze(
    graph: StoredGraph, served: Collection[str], restored: Collection[str], most_bytes: int, open_restored: OpenRestored
) -> StoredGraph | None:
    """A graph with constants in place of its variables.

    Args:
        graph: What signatures, restore and init op reach.
        served: The operations that signatures and init op name.
        restored: The operations that restoring names.
        most_bytes: What the values of all variables may take.
        open_restored: Opens a session on a graph and restores its variables.

    Returns:
        The part that the served operations reach; None if the graph keeps its variables, and the log says why.

    Raises:
        ServingError: if the variables cannot be restored.
    """
    try:
        freezable = FreezableGraph(Catalogue(graph.whole()).reach(served))
        _check_size(freezable.variables, most_bytes)
    except NotFrozen as reason:
        _log.info("the model keeps its variables: %s", reason)
        return None
    names = [variable.name for variable in freezable.variables]
    session = open_restored(_with_reads(graph, freezable.variables, restored))
    try:
        values = session.prepare((), [f"{_read_of(name)}:0" for name in names])([])
    except tf.errors.OpError as error:
        _log.warning("the model keeps its variables, since they cannot be read: %s", error.message)
        return None
    finally:
        session.close()
    protos = {
        variable.name: tf.make_tensor_proto(value, dtype=variable.dtype)
        for variable, value in zip(freezable.variables, values, strict=True)
    }
    return Catalogue(freezable.freeze(protos)).reach(served)


def _check_size(variables: Collection[Variable], most_bytes: int) -> None:
    if not variables:
        raise NotFrozen("it has none")
    size_bytes = sum(variable.size_bytes for variable in variables)
    if size_bytes > most_bytes:
        raise NotFrozen(f"they take {size_bytes} bytes, more than {most_bytes}")


def _with_reads(graph: StoredGraph, variables: Collection[Variable], restored: Collection[str]) -> StoredGraph:
    """What restores the variables, with a node for each that reads it."""
    whole = graph_pb2.GraphDef.FromString(graph.whole())
    for variable in variables:
        read = whole.node.add(name=_read_of(variable.name), op="ReadVariableOp", input=[variable.name])
        read.attr["dtype"].type = variable.dtype
    reads = [_read_of(variable.name) for variable in variables]
    return Catalogue(whole.SerializeToString()).reach([*restored, *reads])


def _read_of(name: str) -> str:
    return f"{_FOLDER}/{name}"
