"""A ServingError as a gRPC status: the only place that makes statuses of errors.

Source of the behaviour: TensorFlow Serving, grpc_status_util.cc, for the length of a message;
google.rpc.Status for the hints beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import grpc

from servable import wire
from servable.errors import Code, ServingError

MAX_MESSAGE_BYTES = 1024
_TRUNCATED = b"...TRUNCATED"
DETAILS_KEY = "grpc-status-details-bin"
ERROR_DOMAIN = "servable"
# gRPC refuses headers of more than 8 KiB in all, of which the message may take three for each of its bytes.
_MAX_HINT_BYTES = 512

PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""What gRPC's clients that retry look at (gRFC A6)."""

TrailingMetadata: TypeAlias = Callable[[ServingError], "tuple[tuple[str, str | bytes], ...]"]
"""What is sent beside the message of an error."""

_GRPC_CODES: Mapping[int, grpc.StatusCode] = {status.value[0]: status for status in grpc.StatusCode}


def grpc_code(error: ServingError) -> grpc.StatusCode:
    """The status code of an error."""
    return _GRPC_CODES[error.code]


def message_bytes(error: ServingError) -> bytes:
    """The message as the original sends it: cut after 1024 bytes, with a mark if it was longer."""
    message = error.message_bytes
    return message if len(message) <= MAX_MESSAGE_BYTES else message[:MAX_MESSAGE_BYTES] + _TRUNCATED


def trailing_metadata(error: ServingError) -> tuple[tuple[str, str | bytes], ...]:
    """When to try again, and the hints of an error as a google.rpc.Status with one ErrorInfo, if it has these."""
    pushback = push_back(error)
    if not error.hints:
        return pushback
    info = wire.ErrorInfo(
        reason=Code(error.code).name,
        domain=ERROR_DOMAIN,
        metadata={key: _cut(hint) for key, hint in error.hints.items()},
    )
    # Google's readers of these details refuse a status whose code or message is not the call's.
    status = wire.Status(code=int(error.code), message=message_bytes(error).decode(errors="replace"))
    status.details.add().Pack(info)
    return (*pushback, (DETAILS_KEY, status.SerializeToString()))


def push_back(error: ServingError) -> tuple[tuple[str, str | bytes], ...]:
    """When to try again; in place of `trailing_metadata` where an operator wants errors without details."""
    return () if error.retry_after_s is None else ((PUSHBACK_KEY, f"{error.retry_after_s * 1e3:.0f}"),)


def _cut(hint: str) -> str:
    """Cut a hint to the bytes that it may have, without splitting a character."""
    return hint.encode(errors="replace")[:_MAX_HINT_BYTES].decode(errors="ignore")
