"""Requests made up from a signature alone: zeros, empty strings, and Examples with the features that the graph parses.

Pure. `generate` gives requests, the likeliest to be accepted first; its caller tries which of them a model takes. Which
op of a graph parses which input is not known: all features that the graph parses are put into one Example at first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from servable import wire
from servable.codec import decoding, dtypes
from servable.errors import Unimplemented
from servable.signatures import CLASSIFY_METHOD, REGRESS_METHOD, Signature

# The numbers of dimensions that are tried where a tensor may have any, the likeliest first: a list, a table, a scalar,
# an image, a sequence of rows.
_RANKS = (1, 2, 0, 4, 3)
# A message is smaller than 2 GiB, and so is a record.
_MOST_BYTES = 1 << 30
# A required feature of a dtype that no Example holds cannot be parsed either.
_LISTS: Mapping[int, Callable[[int], wire.Feature]] = {
    wire.DT_STRING: lambda count: wire.Feature(bytes_list=wire.BytesList(value=[b""] * count)),
    wire.DT_FLOAT: lambda count: wire.Feature(float_list=wire.FloatList(value=[0.0] * count)),
    wire.DT_INT64: lambda count: wire.Feature(int64_list=wire.Int64List(value=[0] * count)),
}
# The values of an Example at most; a damaged or hostile graph may ask for any number.
_MOST_VALUES = 1 << 24


def generate(signature: Signature, batch_size: int, examples: Sequence[wire.Example]) -> Iterator[wire.PredictionLog]:
    """Requests for a signature, the likeliest to be accepted first; one accepted request is enough.

    Args:
        signature: What is asked for.
        batch_size: How many rows, where the signature leaves that open.
        examples: What the graph may parse, an Example for each of `find_example_specs`.

    Raises:
        Unimplemented: if no Predict can send what the signature takes.
    """
    if takes_examples(signature):
        for example in [*examples, wire.Example()]:
            yield _example_request(signature, batch_size, example)
    # A classify or regress signature that takes no tf.Examples answers Predict only.
    texts = [example.SerializeToString() for example in examples] if _takes_strings(signature) else []
    for rank in _RANKS if _has_open_rank(signature) else _RANKS[:1]:
        for text in [*texts, b""]:
            yield _tensor_request(signature, batch_size, rank, text)


def is_batched(signature: Signature) -> bool:
    """Whether the number of rows is open."""
    shapes = [info.tensor_shape for info in _required_inputs(signature).values()]
    has_open_rows = any(shape.unknown_rank or (shape.dim and shape.dim[0].size < 0) for shape in shapes)
    return has_open_rows or takes_examples(signature)


def takes_examples(signature: Signature) -> bool:
    """Whether its method gives the graph tf.Examples."""
    return signature.definition.method_name in {CLASSIFY_METHOD, REGRESS_METHOD}


def _example_request(signature: Signature, batch_size: int, example: wire.Example) -> wire.PredictionLog:
    log = wire.PredictionLog()
    is_classify = signature.definition.method_name == CLASSIFY_METHOD
    request = log.classify_log.request if is_classify else log.regress_log.request
    request.model_spec.signature_name = signature.key
    request.input.example_list.examples.extend([example] * batch_size)
    return log


def _tensor_request(signature: Signature, batch_size: int, rank: int, text: bytes) -> wire.PredictionLog:
    log = wire.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature.key
    for alias, info in _required_inputs(signature).items():
        request.inputs[alias].CopyFrom(make_zeros(info, batch_size, rank, text))
    return log


def _required_inputs(signature: Signature) -> dict[str, wire.TensorInfo]:
    inputs = signature.definition.inputs
    return {alias: inputs[alias] for alias in sorted(signature.inputs) if alias not in signature.defaults}


def _takes_strings(signature: Signature) -> bool:
    return any(info.dtype == wire.DT_STRING for info in _required_inputs(signature).values())


def _has_open_rank(signature: Signature) -> bool:
    return any(info.tensor_shape.unknown_rank for info in _required_inputs(signature).values())


# Tensors of zeros.


def make_zeros(info: wire.TensorInfo, batch_size: int, open_rank: int, text: bytes = b"") -> wire.TensorProto:
    """A tensor for the input of a signature: zeros or false, or one string repeated.

    A TensorProto with fewer values than its shape asks for is filled up, by TensorFlow and by this server, so a large
    tensor takes a few bytes.

    Args:
        info: The input. Open dimensions become 1.
        batch_size: The first dimension, where that is open.
        open_rank: The number of dimensions, where that is open.
        text: The string, for an input of strings.

    Raises:
        Unimplemented: if no request can send such a tensor (resource, variant, too large).
    """
    dtype = dtypes.BY_NUMBER.get(info.dtype)
    if dtype is None:
        raise Unimplemented(f"no request can send a tensor of {dtypes.name_of(info.dtype)}")
    tensor = wire.TensorProto(dtype=dtype.number)
    tensor.tensor_shape.SetInParent()
    sizes = _sizes(info.tensor_shape, batch_size, open_rank)
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    if dtype.is_string:
        tensor.string_val.extend([text] if text else [])
    elif (size := math.prod(sizes) * dtype.numpy.itemsize) > _MOST_BYTES:
        raise Unimplemented(f"a tensor of {size} bytes is too large for a request")
    elif size > decoding.FILL_LIMIT_BYTES:
        tensor.tensor_content = bytes(size)
    return tensor


def _sizes(shape: wire.TensorShapeProto, batch_size: int, open_rank: int) -> Sequence[int]:
    known = [-1] * open_rank if shape.unknown_rank else [dim.size for dim in shape.dim]
    return [(1 if index else batch_size) if size < 0 else size for index, size in enumerate(known)]


# Examples.


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


def find_example_specs(graph_def: wire.GraphDef) -> list[ExampleSpec]:
    """The features that the ops of a graph and its functions parse: first those of all ops, then those of each op.

    Where two ops differ in a feature, the first op's is taken for all.
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
    """What one op parses; None if its keys are not in the graph, or if its attributes do not fit together."""
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
    # A feature with an open first dimension is a sequence of any length.
    return [
        (key, FeatureSpec(dtype, math.prod(1 if dim.size < 0 else dim.size for dim in shape.dim)))
        for key, dtype, shape in about
    ]
