"""Requests as bytes: inputs matched with what a signature takes (names, one unnamed input, dtypes), and encoded.

Large arrays are joined in, so that they are copied once; the rest is protobuf's work.
"""

from __future__ import annotations

import difflib
import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from servable_client import _dtypes, wire
from servable_client._conversion import Converted, convert, describe
from servable_client._tensor_protos import tensor_pieces
from servable_client._wire_format import delimited, head
from servable_client.errors import InputError
from servable_client.signatures import Signature, TensorSpec

Bound = list[tuple[str, Converted]]
"""The values of inputs, by name."""

# Neither protobuf nor gRPC has longer messages.
_LIMIT_BYTES = (1 << 31) - 1
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1


class Target(NamedTuple):
    """Which model to ask: its name, a version or a label or neither, and a signature."""

    model: str
    version: int | None
    label: str | None
    signature: str | None


def model_spec(target: Target) -> wire.ModelSpec:
    """The message that names a target; shared, so it must not be changed.

    Raises:
        InputError: if there is no model, both a version and a label, or one of a wrong type.
    """
    _check_target(target)
    return _make_spec(target)


def _check_target(target: Target) -> None:
    """Check the types of a target, before it is looked up anywhere: 2.0 is equal to 2, and a list has no hash."""
    if not target.model:
        raise InputError("no model is named: pass model= to the call or to the client")
    for what, text in (("model", target.model), ("label", target.label), ("signature", target.signature)):
        if text is not None and not isinstance(text, str):
            raise InputError(f"{what} must be a str, got {text!r}", given=repr(text), expected="a str")
    if target.version is None:
        return
    check_int64("version", target.version)
    if target.label is not None:
        raise InputError(f"both version={target.version} and label={target.label!r} are given; pass one")


def check_int64(what: str, value: Any) -> int:
    """An integer of any type (NumPy's too) as an int.

    Raises:
        InputError: if it is none, such as 2.0, or has more than 64 bits.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or not _INT64_MIN <= number <= _INT64_MAX:
        raise InputError(f"{what} must be an int64, got {value!r}", given=repr(value), expected="an int64")
    return number


@functools.lru_cache(maxsize=1024)
def _make_spec(target: Target) -> wire.ModelSpec:
    try:
        spec = wire.ModelSpec(name=target.model, signature_name=target.signature, version_label=target.label)
    except ValueError as error:
        raise InputError(f"model, label and signature must be Unicode text: {error}") from None
    if target.version is not None:
        spec.version.value = target.version
    return spec


@functools.lru_cache(maxsize=1024)
def _model_spec_field(target: Target) -> bytes:
    return delimited(1, model_spec(target).SerializeToString())


def predict(target: Target, inputs: Bound, outputs: Sequence[str]) -> bytes:
    """A PredictRequest.

    Raises:
        InputError: if it is too large to be sent.
    """
    pieces = [_model_spec_field(target)]
    for name, value in inputs:
        tensor = tensor_pieces(value)
        key = delimited(1, name.encode())
        length = sum(map(len, tensor))
        before = head(2, length)
        pieces += [head(2, len(key) + len(before) + length), key, before, *tensor]
    pieces += [delimited(3, name.encode()) for name in outputs]
    size = sum(map(len, pieces))
    if size > _LIMIT_BYTES:
        raise InputError(f"the request would take {size} bytes; gRPC messages end at {_LIMIT_BYTES}")
    return b"".join(pieces)


def health(service: str) -> bytes:
    """A grpc.health.v1.HealthCheckRequest, whose only field is the service's name."""
    return delimited(1, service.encode()) if service else b""


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
