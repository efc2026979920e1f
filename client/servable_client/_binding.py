"""Matches what a caller gives with what a signature takes: names, one unnamed input, dtypes."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from servable_client import _dtypes
from servable_client._conversion import Converted, convert, describe
from servable_client.errors import InputError
from servable_client.signatures import Signature, TensorSpec

Bound = list[tuple[str, Converted]]


def bind(inputs: Any, signature: Signature | None) -> Bound:
    """The values to send, by name.

    Args:
        inputs: A mapping from name to value, or one value for the only input.
        signature: What the model takes; None if that is not known.

    Raises:
        InputError: if names do not match, one input is unnamed and there are several, or a value does not fit.
        DtypeUnavailable: if a dtype needs ml_dtypes.
    """
    if not isinstance(inputs, Mapping):
        inputs = {_only_name(inputs, signature): inputs}
    if signature is None:
        return [(_check_type(name), convert(name, value, None)) for name, value in inputs.items()]
    _check_names(inputs, signature)
    return [(name, convert(name, value, _wanted(signature.inputs[name]))) for name, value in inputs.items()]


def _only_name(value: Any, signature: Signature | None) -> str:
    if signature is None:
        raise InputError(
            f"the input has no name and the signature is not known, so name it: {{'name': {describe(value)}}}",
            given=describe(value),
            expected="a dict from input name to value",
        )
    required = [name for name in signature.inputs if name not in signature.optional] or list(signature.inputs)
    if len(required) != 1:
        raise InputError(
            f"one unnamed input is given, and the signature takes {_list(signature)}: pass a dict",
            given=describe(value),
            expected=_list(signature),
        )
    return required[0]


def _check_type(name: Any) -> str:
    if not isinstance(name, str):
        raise InputError(f"the name of an input must be a str, got {name!r}", given=repr(name), expected="a str")
    return name


def _check_names(inputs: Iterable[Any], signature: Signature) -> None:
    given = [_check_type(name) for name in inputs]
    for name in given:
        if name not in signature.inputs:
            raise InputError(
                f"input {name!r}: the signature has no such input{_guess(name, signature)}; "
                f"it takes {_list(signature)}",
                input=name,
                given=name,
                expected=_list(signature),
            )
    missing = [name for name in signature.inputs if name not in given and name not in signature.optional]
    if missing:
        raise InputError(
            f"input {missing[0]!r} is missing; the signature takes {_list(signature)}",
            input=missing[0],
            given=", ".join(given),
            expected=_list(signature),
        )


def _guess(name: str, signature: Signature) -> str:
    close = difflib.get_close_matches(name, signature.inputs, 1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _list(signature: Signature) -> str:
    return ", ".join(map(str, signature.inputs.values())) or "no inputs"


def _wanted(spec: TensorSpec) -> _dtypes.Dtype:
    dtype = _dtypes.BY_NAME.get(spec.dtype)
    if dtype is None:
        raise InputError(
            f"input {spec.name!r}: the signature asks for {spec.dtype}, which no array can have",
            input=spec.name,
            expected=spec.dtype,
        )
    return dtype
