"""The values that a report is made of, and the report as JSON, which docs/inspect.md describes.

The names of classes' attributes are the keys of the JSON output, so they are stable. What a signature declares of its
inputs and outputs comes from the exporter and is not compared with the graph, here as in the server.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from servable import wire

# Names of tensorflow.DataType that NumPy and TensorFlow's Python API spell otherwise.
_COMMON_NAMES: Mapping[str, str] = MappingProxyType({"float": "float32", "double": "float64", "half": "float16"})
_REFERENCE_SUFFIX = "_ref"
UNDECLARED_DTYPE = "invalid"


@dataclass(frozen=True, slots=True)
class Report:
    """What is in a SavedModel, or in a TensorFlow Lite model.

    Attributes:
        path: The version directory, absolute; a .tflite file that was named as such.
        version: Its number; None if its name is no number.
        versions: All numbers, ascending, if a base path was looked at; else empty.
        tags: Those of the meta graph that the report is about.
        tag_sets: Those of each meta graph, as stored.
        tensorflow_version: The one that made the model; empty if the model does not say.
        installed_tensorflow_version: The one that would serve it; None if there is none.
        graph_bytes: The size of saved_model.pb, or of the .tflite file.
        variables_bytes: The size of the files with the variables' values.
        has_variables: Whether the graph holds variables.
        assets: The files that the graph reads, by their names below `assets/`.
        init_op: The node that is run once at load; None if there is none.
        signatures: serving_default first, then in alphabetical order.
        warnings: Those about the model first, then in the order of the signatures.
        format: What it is: `SavedModel` or `TensorFlow Lite model`.
    """

    path: str
    version: int | None
    versions: Sequence[int]
    tags: Sequence[str]
    tag_sets: Sequence[Sequence[str]]
    tensorflow_version: str
    installed_tensorflow_version: str | None
    graph_bytes: int
    variables_bytes: int
    has_variables: bool
    assets: Sequence[str]
    init_op: str | None
    signatures: Sequence[Signature]
    warnings: Sequence[ModelWarning]
    format: str = "SavedModel"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature: what goes in, what comes out, and which RPC can call it.

    Attributes:
        key: What a request names in `model_spec.signature_name`.
        method_name: As stored, such as tensorflow/serving/predict.
        inputs: By name, in alphabetical order.
        outputs: By name, in alphabetical order.
        rpcs: By the RPC's name: Predict, Classify, Regress, MultiInference.
    """

    key: str
    method_name: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    rpcs: Mapping[str, Verdict]


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of a signature.

    Attributes:
        name: The alias that requests and replies use.
        dtype: As NumPy and TensorFlow name it: float32, string.
        shape: The size of each axis, None for any size; None in place of all if even their number is open.
        tensor_name: Its name in the graph; empty for a sparse or composite tensor, which is several.
        has_default: Whether a request may leave it out.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    tensor_name: str
    has_default: bool = False

    @property
    def base_dtype(self) -> str:
        """The dtype of its values: a reference is read as what it refers to."""
        return self.dtype.removesuffix(_REFERENCE_SUFFIX)

    @property
    def first_axis(self) -> int | None:
        """The size of the first axis if it is declared as a number."""
        return self.shape[0] if self.shape else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether an RPC can use a signature; if not, `reason` says why."""

    callable: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ModelWarning:
    """What can go wrong with a model, and what to do about it.

    Attributes:
        code: Its kind; stable.
        text: What is wrong, in whole sentences.
        remedy: What to do, in whole sentences.
        signature: The key of the signature that it is about; None for the model.
    """

    code: str
    text: str
    remedy: str
    signature: str | None = None


def to_json(report: Report) -> str:
    """One JSON object with the report's fields; an axis of any size is null. ASCII only."""
    return json.dumps(dataclasses.asdict(report), indent=2)


def describe_tensors(infos: Mapping[str, wire.TensorInfo], defaults: Container[str] = ()) -> tuple[Tensor, ...]:
    """The tensors of one side of a signature, by alias in alphabetical order."""
    return tuple(
        Tensor(alias, name_dtype(info.dtype), read_shape(info), info.name, alias in defaults)
        for alias, info in sorted(infos.items())
    )


def name_dtype(number: int) -> str:
    """The name of a tensorflow.DataType: `float32`, `string`; `float32_ref` for a reference to a variable."""
    try:
        name = wire.DataType.Name(number).removeprefix("DT_").lower()
    except ValueError:
        return f"dtype_{number}"
    base = name.removesuffix(_REFERENCE_SUFFIX)
    return _COMMON_NAMES.get(base, base) + name[len(base) :]


def enum_name(dtype: str) -> str:
    """The name in tensorflow.DataType of what `name_dtype` named: `DT_FLOAT` for `float32`."""
    stored = {common: name for name, common in _COMMON_NAMES.items()}
    return f"DT_{stored.get(dtype, dtype).upper()}"


def read_shape(info: wire.TensorInfo) -> tuple[int | None, ...] | None:
    """The size of each axis, None for any; None in place of all if their number is open or no shape is declared."""
    if info.tensor_shape.unknown_rank or not info.HasField("tensor_shape"):
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)


def format_shape(shape: tuple[int | None, ...] | None) -> str:
    """`[?, 64]`; `[]` for a scalar; `any shape` if even the number of axes is open."""
    if shape is None:
        return "any shape"
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
