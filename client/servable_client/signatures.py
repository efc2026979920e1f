"""What a model takes and gives: its signatures, as GetModelMetadata returns them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from servable_client import _dtypes, wire

__all__ = ["ModelMetadata", "Signature", "TensorSpec"]

# DT_FLOAT_REF is DT_FLOAT and this; so with all (TensorFlow: types.proto).
_REFERENCE = 100


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What an input takes or an output gives.

    Attributes:
        name: Its name in the signature, which is the key in `predict`.
        dtype: The dtype's name (`float32`, `string`, `bfloat16`), or `DT_...` for one that no array can have.
        shape: The sizes; None for one that is open, such as the batch. None as a whole if the rank is unknown.
            Servers do not hold inputs to it, so neither does the client.
        tensor_name: The tensor in the model's graph, such as `serving_default_x:0`.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    tensor_name: str = ""

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of its arrays; object for strings.

        Raises:
            DtypeUnavailable: if it needs ml_dtypes.
            KeyError: for a dtype that no array can have.
        """
        return _dtypes.BY_NAME[self.dtype].numpy

    def __str__(self) -> str:
        sizes = "?" if self.shape is None else ", ".join("?" if size is None else str(size) for size in self.shape)
        return f"{self.name}: {self.dtype}[{sizes}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a model.

    Attributes:
        method: The method name that the model was saved with, such as `tensorflow/serving/predict`.
        inputs: What it takes, by name.
        outputs: What it gives, by name.
        optional: The names of inputs that have a default value and may be left out.
    """

    method: str
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """The signatures of one loaded version.

    Attributes:
        model: The model's name.
        version: The version that answered; None if the server does not say.
        signatures: By name, without TensorFlow's internal ones (`__saved_model_init_op`).
    """

    model: str
    version: int | None
    signatures: Mapping[str, Signature]


def read_signature(definition: wire.SignatureDef) -> Signature:
    """A signature from its message."""
    return Signature(
        definition.method_name,
        {name: _read_spec(name, info) for name, info in sorted(definition.inputs.items())},
        {name: _read_spec(name, info) for name, info in sorted(definition.outputs.items())},
        frozenset(definition.defaults),
    )


def _read_spec(name: str, info: wire.TensorInfo) -> TensorSpec:
    # A variable's output may say that it is a reference; what travels is its value.
    number = info.dtype - _REFERENCE if info.dtype > _REFERENCE else info.dtype
    dtype = _dtypes.BY_NUMBER.get(number)
    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(None if dim.size < 0 else dim.size for dim in shape.dim)
    return TensorSpec(name, dtype.name if dtype else _dtypes.name_of(number), sizes, info.name)
