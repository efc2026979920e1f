"""What fake signatures take and give: from declarations, from functions' parameters, from replies."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from servable_client import _dtypes, tensors, wire
from servable_client.errors import InputError
from servable_client.signatures import TensorSpec

Declaration = Any
"""A dtype (`"float32"`, `np.int64`, `"string"`), a pair of a dtype and a shape (None for an open size), or a
TensorSpec."""

# What an input is whose dtype nobody declared: what TensorFlow's Keras and tf.constant make of plain numbers.
_UNDECLARED = "float32"
_ARGUMENTS = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a function takes.

    Attributes:
        inputs: Its parameters; the dtype from an `NDArray[...]` annotation, else from the default, else float32.
        defaults: The values of the parameters that have one.
        is_open: Whether it takes any other name too.
    """

    inputs: Mapping[str, TensorSpec]
    defaults: Mapping[str, Any]
    is_open: bool


def read_declarations(declared: Mapping[str, Declaration]) -> dict[str, TensorSpec]:
    """The tensors of a declaration.

    Raises:
        InputError: if a dtype is unknown.
    """
    return {name: _read_declaration(name, each) for name, each in declared.items()}


def _read_declaration(name: str, declared: Declaration) -> TensorSpec:
    if isinstance(declared, TensorSpec):
        return declared
    dtype, shape = declared if isinstance(declared, tuple) else (declared, None)
    found = _dtypes.find(dtype)
    if found is None:
        raise InputError(f"{name!r}: unknown dtype {dtype!r}", input=name, given=repr(dtype), expected="a dtype")
    return TensorSpec(name, found.name, None if shape is None else _sizes(shape), f"{name}:0")


def _sizes(shape: Sequence[int | None]) -> tuple[int | None, ...]:
    return tuple(None if size is None or size < 0 else size for size in shape)


def read_parameters(function: Callable[..., Any]) -> Parameters:
    """What a function takes; anything, for one that does not say (some built-in ones)."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return Parameters({}, {}, is_open=True)
    hints = _hints(function)
    named = [each for each in parameters if each.kind in _ARGUMENTS]
    return Parameters(
        {each.name: TensorSpec(each.name, _guess_dtype(each, hints), None, f"{each.name}:0") for each in named},
        {each.name: each.default for each in named if each.default is not inspect.Parameter.empty},
        is_open=any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters),
    )


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        # An annotation that names what exists for type checkers only says nothing here.
        return {}


def _guess_dtype(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> str:
    scalar = _find_scalar(hints.get(parameter.name))
    found = None if scalar is None else _dtypes.find(scalar)
    if found is None and parameter.default is not inspect.Parameter.empty:
        found = _dtypes.BY_NUMBER[tensors.encode(parameter.default).dtype]
    return found.name if found is not None else _UNDECLARED


def _find_scalar(hint: Any) -> type[np.generic] | None:
    """The scalar type in an annotation: NDArray[np.int8] is ndarray[..., dtype[int8]]; an alias from NumPy 2.5 on."""
    if get_origin(hint) is None:
        return hint if isinstance(hint, type) and issubclass(hint, np.generic) else None
    return next(filter(None, map(_find_scalar, get_args(hint))), None)


def infer_outputs(outputs: Mapping[str, wire.TensorProto]) -> dict[str, TensorSpec]:
    """The outputs that a reply shows; their first size is taken for the batch, and open."""
    return {name: _infer(name, tensor) for name, tensor in outputs.items()}


def _infer(name: str, tensor: wire.TensorProto) -> TensorSpec:
    sizes = [dim.size for dim in tensor.tensor_shape.dim]
    return TensorSpec(name, _dtypes.BY_NUMBER[tensor.dtype].name, (None, *sizes[1:]) if sizes else (), f"{name}:0")


def make_definition(
    method: str, inputs: Mapping[str, TensorSpec], outputs: Mapping[str, TensorSpec], defaults: Mapping[str, Any]
) -> wire.SignatureDef:
    """The SignatureDef of a signature."""
    return wire.SignatureDef(
        method_name=method,
        inputs={name: _make_info(spec) for name, spec in inputs.items()},
        outputs={name: _make_info(spec) for name, spec in outputs.items()},
        defaults={name: encode_default(value, inputs[name]) for name, value in defaults.items()},
    )


def _make_info(spec: TensorSpec) -> wire.TensorInfo:
    found = _dtypes.find(spec.dtype)
    info = wire.TensorInfo(name=spec.tensor_name or f"{spec.name}:0", dtype=found.number if found else wire.DT_INVALID)
    info.tensor_shape.unknown_rank = spec.shape is None
    for size in spec.shape or ():
        info.tensor_shape.dim.add(size=-1 if size is None else size)
    return info


def encode_default(value: Any, spec: TensorSpec) -> wire.TensorProto:
    """The tensor of an input that was left out."""
    return tensors.encode(value, spec.dtype)


def says_dtype(spec: TensorSpec, array: np.ndarray[Any, Any]) -> bool:
    """Whether an array is of a tensor's dtype."""
    return bool(array.dtype == _dtypes.BY_NAME[spec.dtype].numpy)
