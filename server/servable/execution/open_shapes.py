"""Lets Session.run take any shape for a fed tensor, as TensorFlow's C++ sessions do.

Session.run compares what is fed with the static shape of the tensor. So the placeholders that signatures feed forget
theirs, and any other tensor that they feed gets a stand-in of unknown shape, from which all consumers read: fed, it
holds what was fed; unfed, it passes the tensor on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

_FOLDER = "servable_fed"
_FIRST_REFERENCE_DTYPE = 101


def open_feeds(graph_def: Any, dtypes: Mapping[str, int]) -> None:
    """Make the static shapes of tensors unknown.

    Args:
        graph_def: A tensorflow GraphDef; it is changed.
        dtypes: The tensorflow.DataType of each tensor, by its name with the number of the output. Tensors that are
            not the first output of a node of the graph, or that are references, are left as they are.
    """
    nodes = {f"{node.name}:0": node for node in graph_def.node}
    fed = {name: number for name, number in dtypes.items() if name in nodes and _is_value(number)}
    placeholders = {name for name in fed if nodes[name].op == "Placeholder"}
    for name in placeholders:
        _forget_shape(nodes[name])
    _stand_in_for(graph_def, {name: number for name, number in fed.items() if name not in placeholders})


def _forget_shape(placeholder: Any) -> None:
    # TensorFlow 1's builder writes the shapes of all outputs down once more.
    for attribute in ("shape", "_output_shapes"):
        if attribute in placeholder.attr:
            del placeholder.attr[attribute]


def _stand_in_for(graph_def: Any, dtypes: Mapping[str, int]) -> None:
    for node in graph_def.node:
        for index, source in enumerate(node.input):
            name = source if ":" in source else f"{source}:0"
            if name in dtypes:
                node.input[index] = _stand_in(name)
    for name, number in dtypes.items():
        stand_in = graph_def.node.add(name=_stand_in(name), op="PlaceholderWithDefault", input=[name])
        stand_in.attr["dtype"].type = number
        stand_in.attr["shape"].shape.unknown_rank = True


def find(graph: Any, tensor_names: Iterable[str]) -> Sequence[str]:
    """What to feed in place of these tensors: their stand-ins, or themselves where they have none."""
    known = {name for name in tensor_names if _has_operation(graph, _stand_in(name))}
    return [f"{_stand_in(name)}:0" if name in known else name for name in tensor_names]


def _is_value(dtype: int) -> bool:
    return 0 < dtype < _FIRST_REFERENCE_DTYPE


def _stand_in(tensor_name: str) -> str:
    return f"{_FOLDER}/{tensor_name.removesuffix(':0')}"


def _has_operation(graph: Any, name: str) -> bool:
    try:
        graph.get_operation_by_name(name)
    except (KeyError, ValueError):
        return False
    return True
