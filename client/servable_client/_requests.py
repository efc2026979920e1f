"""Requests as bytes. Large arrays are joined in, so that they are copied once; the rest is protobuf's work."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from servable_client import wire
from servable_client._conversion import Converted
from servable_client._encoding import tensor_pieces
from servable_client._wire_format import delimited, head
from servable_client.errors import InputError

# Neither protobuf nor gRPC has longer messages.
_LIMIT_BYTES = (1 << 31) - 1


class Target(NamedTuple):
    """Which model to ask: its name, a version or a label or neither, and a signature."""

    model: str
    version: int | None
    label: str | None
    signature: str | None


@functools.lru_cache(maxsize=1024)
def model_spec(target: Target) -> wire.ModelSpec:
    """The message that names a target; shared, so it must not be changed.

    Raises:
        InputError: if there is no model, both a version and a label, or one of a wrong type.
    """
    if not isinstance(target.model, str) or not target.model:
        raise InputError("no model is named: pass model= to the call or to the client")
    if target.version is not None and target.label is not None:
        raise InputError(f"both version={target.version} and label={target.label!r} are given; pass one")
    spec = wire.ModelSpec(name=target.model, signature_name=target.signature)
    try:
        if target.version is not None:
            spec.version.value = target.version
        if target.label is not None:
            spec.version_label = target.label
    except (TypeError, ValueError) as error:
        raise InputError(f"version must be an int64 and label a str: {error}") from None
    return spec


@functools.lru_cache(maxsize=1024)
def _model_spec_field(target: Target) -> bytes:
    return delimited(1, model_spec(target).SerializeToString())


def predict(target: Target, inputs: Iterable[tuple[str, Converted]], outputs: Sequence[str]) -> bytes:
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
