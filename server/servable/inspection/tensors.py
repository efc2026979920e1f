"""What a signature declares of its inputs and outputs, in words and numbers.

Declarations come from the exporter and are not compared with the graph, here as in the server.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import MappingProxyType

from servable import wire
from servable.inspection.report import Tensor

# The enum's own names for what the rest of the world calls otherwise.
_COMMON_NAMES: Mapping[str, str] = MappingProxyType({"float": "float32", "double": "float64", "half": "float16"})
_REFERENCE_SUFFIX = "_ref"
UNDECLARED_DTYPE = "invalid"


def describe(infos: Mapping[str, wire.TensorInfo], defaults: Container[str] = ()) -> tuple[Tensor, ...]:
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


def base_dtype(tensor: Tensor) -> str:
    """The dtype of a tensor's values: a reference is read as what it refers to."""
    return tensor.dtype.removesuffix(_REFERENCE_SUFFIX)


def read_shape(info: wire.TensorInfo) -> tuple[int | None, ...] | None:
    """The size of each axis, None for any; None in place of all if their number is open or no shape is declared."""
    if info.tensor_shape.unknown_rank or not info.HasField("tensor_shape"):
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)


def first_axis(tensor: Tensor) -> int | None:
    """The size of the first axis if it is declared as a number."""
    return tensor.shape[0] if tensor.shape else None


def format_shape(shape: tuple[int | None, ...] | None) -> str:
    """`[?, 64]`; `[]` for a scalar; `any shape` if even the number of axes is open."""
    if shape is None:
        return "any shape"
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
