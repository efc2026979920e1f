"""The signatures of a TensorFlow Lite model, and the tensors that their names stand for.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/tflite_session.cc. There a model has the SignatureDefs
of the metadata entry `signature_defs_metadata`, which hardly any converter writes; without one it has a single
signature, made up of the names of its tensors. Ours on top: the signatures that converters do write, under keys that
are free.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from servable import wire
from servable.errors import AlreadyExists, Internal, InvalidArgument
from servable.signatures import DEFAULT_KEY, PREDICT_METHOD
from servable.tflite_model.stored import OwnSignature, StoredTensor, TfliteModel
from servable.tflite_model.tables import Damaged, read_map

METADATA_KEY: Final = "signature_defs_metadata"

# By the schema's TensorType: the tensorflow.DataType of those that are served.
_DATA_TYPES: Final[Mapping[int, int]] = {
    0: wire.DT_FLOAT, 2: wire.DT_INT32, 3: wire.DT_UINT8, 4: wire.DT_INT64, 5: wire.DT_STRING, 6: wire.DT_BOOL,
    7: wire.DT_INT16, 8: wire.DT_COMPLEX64, 9: wire.DT_INT8,
}  # fmt: skip
# The number that the interpreter has for each TensorType that is not served, which the original's error shows.
_INTERPRETER_TYPES: Final = {1: 10, 10: 11, 11: 12, 12: 13, 13: 14, 14: 15, 15: 16, 16: 17, 17: 18, 18: 19}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a tensor name of a signature stands for.

    Attributes:
        tensor: The tensor.
        function: The key of the file's own signature whose subgraph it is in; empty for the main one.
        alias: The name of the tensor in that signature; empty for the main subgraph.
    """

    tensor: StoredTensor
    function: str = ""
    alias: str = ""

    @property
    def data_type(self) -> int:
        """Its tensorflow.DataType."""
        return data_type(self.tensor)


@dataclass(frozen=True, slots=True)
class Signatures:
    """What a model offers.

    Attributes:
        definitions: The SignatureDefs by key.
        inputs: What each tensor name that may be fed stands for.
        outputs: What each tensor name that may be fetched stands for.
        left_out: The keys of the file's own signatures that are not served, each with the reason.
    """

    definitions: Mapping[str, wire.SignatureDef]
    inputs: Mapping[str, Endpoint]
    outputs: Mapping[str, Endpoint]
    left_out: Mapping[str, str]


def find_signatures(model: TfliteModel) -> Signatures:
    """The signatures of a model.

    Raises:
        ServingError: in the original's words, if its names or dtypes cannot be served, or its SignatureDefs are broken.
    """
    inputs = {tensor.name: Endpoint(tensor) for tensor in _named(model.main.inputs, "Input")}
    outputs = {tensor.name: Endpoint(tensor) for tensor in _named(model.main.outputs, "Output")}
    for tensor in (*model.main.inputs, *model.main.outputs):
        data_type(tensor)
    stored = model.metadata.get(METADATA_KEY)
    if stored is None:
        definitions = {DEFAULT_KEY: _make_default(model)}
    else:
        definitions = _read_definitions(stored)
        for definition in definitions.values():
            _repair_names(definition.inputs, inputs, "input")
            _repair_names(definition.outputs, outputs, "output")
    left_out = {}
    for own in model.signatures:
        reason = _why_left_out(own, definitions)
        if reason:
            left_out[own.key] = reason
            continue
        _add_own(own, definitions, inputs, outputs)
    return Signatures(definitions, inputs, outputs, left_out)


def data_type(tensor: StoredTensor) -> int:
    """The tensorflow.DataType of a tensor.

    Raises:
        Internal: if it is none that is served.
    """
    found = _DATA_TYPES.get(tensor.type)
    if found is None:
        raise Internal(
            f"Unknown TfLite type: {_INTERPRETER_TYPES.get(tensor.type, tensor.type)}\nThe tensor {tensor.name} is of "
            "a type that no request can hold. Convert the model with inputs and outputs of float32, int8 or the like."
        )
    return found


def _named(tensors: Sequence[StoredTensor], side: str) -> Iterable[StoredTensor]:
    seen = set[str]()
    for tensor in tensors:
        if not tensor.name:
            raise Internal(f"{side} name missing for tensor index: {tensor.index}")
        if tensor.name in seen:
            raise AlreadyExists(f"{side} tensor name: {tensor.name} has multiple indices")
        seen.add(tensor.name)
    return tensors


def _make_default(model: TfliteModel) -> wire.SignatureDef:
    return wire.SignatureDef(
        inputs=_by_short_name(model.main.inputs),
        outputs=_by_short_name(model.main.outputs),
        method_name=PREDICT_METHOD,
    )


def _by_short_name(tensors: Sequence[StoredTensor]) -> dict[str, wire.TensorInfo]:
    # Of several tensors with one name before the colon, the one with the greater name is kept, as in the original.
    ordered = sorted(tensors, key=lambda tensor: tensor.name)
    return {_short(tensor.name): _describe(tensor, tensor.shape) for tensor in ordered}


def _short(name: str) -> str:
    return name.partition(":")[0]


def _describe(tensor: StoredTensor, shape: Sequence[int], name: str = "") -> wire.TensorInfo:
    dims = [wire.TensorShapeProto.Dim(size=size) for size in shape]
    return wire.TensorInfo(
        name=name or tensor.name, dtype=data_type(tensor), tensor_shape=wire.TensorShapeProto(dim=dims)
    )


def _read_definitions(stored: bytes) -> dict[str, wire.SignatureDef]:
    try:
        return {key: wire.SignatureDef.FromString(value) for key, value in read_map(stored).items()}
    except (Damaged, DecodeError) as error:
        raise InvalidArgument(f"Invalid SignatureDefs found in TfLite model: {error}") from error


def _repair_names(infos: Mapping[str, wire.TensorInfo], known: Mapping[str, Endpoint], side: str) -> None:
    for alias, info in infos.items():
        if info.name in known:
            continue
        if _short(info.name) not in known:
            raise Internal(f"Unknown tensor '{info.name}'.\n\tSignature {side} {alias} references an unknown tensor")
        info.name = _short(info.name)


def _why_left_out(own: OwnSignature, definitions: Mapping[str, wire.SignatureDef]) -> str:
    if own.key in definitions:
        return "its key is taken"
    if not own.outputs:
        return "it has no outputs"
    for alias, tensor in (*own.inputs.items(), *own.outputs.items()):
        if tensor.type not in _DATA_TYPES:
            return f"{alias} is of a type that no request can hold"
    return ""


def _add_own(
    own: OwnSignature,
    definitions: dict[str, wire.SignatureDef],
    inputs: dict[str, Endpoint],
    outputs: dict[str, Endpoint],
) -> None:
    """Add a signature of the file's own. Its shapes say which sizes are open, which the original's never do."""
    definition = wire.SignatureDef(method_name=PREDICT_METHOD)
    sides = ((own.inputs, definition.inputs, inputs), (own.outputs, definition.outputs, outputs))
    for tensors, infos, endpoints in sides:
        for alias, tensor in tensors.items():
            endpoint = endpoints.get(tensor.name)
            if own.subgraph or endpoint is None or endpoint.tensor != tensor:
                # Names of one subgraph may be those of another's tensors too.
                name = f"{own.key}/{alias}"
                endpoints[name] = Endpoint(tensor, own.key, alias)
            else:
                name = tensor.name
            infos[alias].CopyFrom(_describe(tensor, tensor.declared_shape, name))
    definitions[own.key] = definition
