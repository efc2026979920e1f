"""Fetches strings of any rank: as the values in one row, and the shape beside them.

Where a result has more than 32 dimensions TensorFlow 2.21 copies numbers, but dies at strings: it iterates over the
array with PyArray_IterNew, which NumPy 2 refuses, and uses the iterator unchecked. How many dimensions a result has may
be up to what is fed. So no strings are fetched in any other way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ParamSpec

import tensorflow as tf

_Args = ParamSpec("_Args")

_FOLDER = "servable_strings"


def substitute(graph: Any, fetches: Sequence[str]) -> tuple[Sequence[str], Sequence[int]]:
    """What to fetch in place of some tensors, and the positions of those that hold strings.

    Values come at the positions of their strings, shapes at the end in the order of these positions.

    Args:
        graph: A tf.Graph; operations are added to it at the first time, so one thread at a time may come.
        fetches: Tensor names as `graph_session.endpoint` writes them. Those that the graph lacks stay.
    """
    positions = [position for position, name in enumerate(fetches) if _holds_strings(graph, name)]
    names = list(fetches)
    for position in positions:
        names[position], shape = _flatten(graph, fetches[position])
        names.append(shape)
    return names, positions


def restoring(run: Callable[_Args, Sequence[Any]], positions: Sequence[int]) -> Callable[_Args, Sequence[Any]]:
    """A run of what `substitute` gave, with strings in their shape; the run itself where there are none.

    It raises ValueError for strings that NumPy cannot hold.
    """
    if not positions:
        return run

    def run_and_restore(*args: _Args.args, **kwargs: _Args.kwargs) -> Sequence[Any]:
        results = list(run(*args, **kwargs))
        shapes = results[-len(positions) :]
        del results[-len(positions) :]
        for position, shape in zip(positions, shapes, strict=True):
            results[position] = results[position].reshape(shape)
        return results

    return run_and_restore


def _holds_strings(graph: Any, name: str) -> bool:
    try:
        return bool(graph.get_tensor_by_name(name).dtype.base_dtype == tf.string)
    except (KeyError, ValueError):
        return False


def _flatten(graph: Any, name: str) -> tuple[str, str]:
    """The names of a tensor's values and shape."""
    folder = f"{_FOLDER}/{name.replace(':', '_')}"
    values, shape = f"{folder}/values", f"{folder}/shape"
    tensor = graph.get_tensor_by_name(name)
    try:
        graph.get_operation_by_name(shape)
    except KeyError:
        with graph.as_default():
            tf.raw_ops.Reshape(tensor=tensor, shape=[-1], name=values)
            tf.raw_ops.Shape(input=tensor, out_type=tf.int64, name=shape)
    return f"{values}:0", f"{shape}:0"
