"""Which features a graph parses out of tf.Examples, and an Example of zeros that has them all.

It must not know signatures: which op parses which input is left to whoever tries the Example.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from servable import wire
from servable.codec import decoding

# A required feature of a dtype that no Example holds cannot be parsed either.
_LISTS: Mapping[int, Callable[[int], wire.Feature]] = {
    wire.DT_STRING: lambda count: wire.Feature(bytes_list=wire.BytesList(value=[b""] * count)),
    wire.DT_FLOAT: lambda count: wire.Feature(float_list=wire.FloatList(value=[0.0] * count)),
    wire.DT_INT64: lambda count: wire.Feature(int64_list=wire.Int64List(value=[0] * count)),
}
# In an Example; a damaged or hostile graph may ask for any number.
_MOST_VALUES = 1 << 24


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One feature that is parsed.

    Attributes:
        dtype: Its tensorflow.DataType.
        count: How many values make it whole; 1 where it may have any number.
    """

    dtype: int
    count: int


ExampleSpec = Mapping[str, FeatureSpec]


def make_example(spec: ExampleSpec) -> wire.Example:
    """An Example of zeros and empty strings."""
    features = {key: _LISTS[feature.dtype](feature.count) for key, feature in spec.items()}
    return wire.Example(features=wire.Features(feature=features))


def find(graph_def: wire.GraphDef) -> list[ExampleSpec]:
    """What the ops of a graph and its functions parse: all of it at first, then each op's own, without repeats.

    Where two ops differ over a feature, the first one's stands in the whole.
    """
    own = list(_parsers(graph_def))
    whole: dict[str, FeatureSpec] = {}
    for spec in own:
        whole = {**spec, **whole}
    specs: list[ExampleSpec] = []
    for spec in [whole, *own]:
        if spec and spec not in specs:
            specs.append(spec)
    return specs


def _parsers(graph_def: wire.GraphDef) -> Iterator[ExampleSpec]:
    bodies = [graph_def.node, *(function.node_def for function in graph_def.library.function)]
    for body in bodies:
        parsers = [node for node in body if node.op in _READERS]
        nodes = {node.name: node for node in body} if parsers else {}
        for node in parsers:
            spec = _read(node, nodes)
            if spec is not None:
                yield spec


def _read(node: wire.NodeDef, nodes: Mapping[str, wire.NodeDef]) -> ExampleSpec | None:
    """What one op parses; None if its keys are not in the graph, or if it makes no sense."""
    try:
        spec = dict(_READERS[node.op](node, partial(_constant, nodes)))
    except (LookupError, ValueError):
        return None
    are_sendable = all(feature.dtype in _LISTS and feature.count >= 0 for feature in spec.values())
    return spec if are_sendable and sum(feature.count for feature in spec.values()) <= _MOST_VALUES else None


_Features = Iterable[tuple[str, FeatureSpec]]
_Strings = Callable[[str], Sequence[str]]


def _constant(nodes: Mapping[str, wire.NodeDef], tensor_name: str) -> Sequence[str]:
    """The strings of a constant. In a function, a tensor is `node:output:0`."""
    value = nodes[tensor_name.partition(":")[0]].attr["value"].tensor
    return [key.decode() for key in decoding.decode(value).ravel().tolist()]


def _read_first_version(node: wire.NodeDef, strings: _Strings) -> _Features:
    """ParseExample: serialized, names, then one scalar for each key."""
    sparse, dense = node.attr["Nsparse"].i, node.attr["Ndense"].i
    keys = [strings(name)[0] for name in node.input[2 : 2 + sparse + dense]]
    return [*_any_number(keys[:sparse], node, "sparse_types"), *_dense(keys[sparse:], node)]


def _read_second_version(node: wire.NodeDef, strings: _Strings) -> _Features:
    """ParseExampleV2: serialized, names, then three vectors of keys."""
    sparse, dense, ragged = (strings(name) for name in node.input[2:5])
    return [
        *_any_number(sparse, node, "sparse_types"),
        *_dense(dense, node),
        *_any_number(ragged, node, "ragged_value_types"),
    ]


def _read_single(node: wire.NodeDef, _strings: _Strings) -> _Features:
    """ParseSingleExample: the keys are attributes."""
    sparse, dense = ([key.decode() for key in node.attr[name].list.s] for name in ("sparse_keys", "dense_keys"))
    return [*_any_number(sparse, node, "sparse_types"), *_dense(dense, node)]


_READERS: Mapping[str, Callable[[wire.NodeDef, _Strings], _Features]] = {
    "ParseExample": _read_first_version,
    "ParseExampleV2": _read_second_version,
    "ParseSingleExample": _read_single,
}


def _any_number(keys: Sequence[str], node: wire.NodeDef, types: str) -> _Features:
    return [(key, FeatureSpec(dtype, 1)) for key, dtype in zip(keys, node.attr[types].list.type, strict=True)]


def _dense(keys: Sequence[str], node: wire.NodeDef) -> _Features:
    about = zip(keys, node.attr["Tdense"].list.type, node.attr["dense_shapes"].list.shape, strict=True)
    # An open first dimension is that of a sequence of any length.
    return [
        (key, FeatureSpec(dtype, math.prod(1 if dim.size < 0 else dim.size for dim in shape.dim)))
        for key, dtype, shape in about
    ]
