"""A ServingError as a gRPC status: the only place that makes statuses of errors.

Source of the behaviour: TensorFlow Serving, grpc_status_util.cc, for the length of a message;
google.rpc.Status for the hints beside it.
"""

from __future__ import annotations

import functools
import math
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
_MOST_MS = 2**31 - 1

PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""What gRPC's clients that retry look at (gRFC A6)."""

Trailers: TypeAlias = "tuple[tuple[str, str | bytes], ...]"
"""Keys and values; bytes where a key ends in -bin."""
TrailingMetadata: TypeAlias = Callable[[ServingError], Trailers]
"""What is sent beside the message of an error."""

_GRPC_CODES: Mapping[int, grpc.StatusCode] = {status.value[0]: status for status in grpc.StatusCode}


def grpc_code(error: ServingError) -> grpc.StatusCode:
    """The status code of an error."""
    return _GRPC_CODES[error.code]


def message_bytes(error: ServingError) -> bytes:
    """The message as the original sends it: cut after 1024 bytes, with a mark if it was longer."""
    message = error.message_bytes
    return message if len(message) <= MAX_MESSAGE_BYTES else message[:MAX_MESSAGE_BYTES] + _TRUNCATED


def trailing_metadata(error: ServingError) -> Trailers:
    """When to try again, and a google.rpc.Status with that and with the hints of the error, if it has these."""
    if not error.hints:
        if error.retry_after_s is None:
            return ()
        return _refusal_metadata(error.code, message_bytes(error), _push_back_ms(error.retry_after_s))
    info = wire.ErrorInfo(
        reason=Code(error.code).name,
        domain=ERROR_DOMAIN,
        metadata={key: _cut(hint) for key, hint in error.hints.items()},
    )
    status = _status(error.code, message_bytes(error))
    status.details.add().Pack(info)
    if error.retry_after_s is not None:
        status.details.add().Pack(_retry_info(_push_back_ms(error.retry_after_s)))
    return (*push_back(error), (DETAILS_KEY, status.SerializeToString()))


def push_back(error: ServingError) -> Trailers:
    """When to try again; in place of `trailing_metadata` where an operator wants errors without details."""
    return () if error.retry_after_s is None else ((PUSHBACK_KEY, str(_push_back_ms(error.retry_after_s))),)


@functools.lru_cache(maxsize=256)
def _refusal_metadata(code: Code, message: bytes, retry_after_ms: int) -> Trailers:
    """The trailers of an error without hints. A server that is overloaded sends few of them, and each often."""
    status = _status(code, message)
    status.details.add().Pack(_retry_info(retry_after_ms))
    return ((PUSHBACK_KEY, str(retry_after_ms)), (DETAILS_KEY, status.SerializeToString()))


def _push_back_ms(retry_after_s: float) -> int:
    # gRPC reads an int32, and takes what is below 0 as: do not try again.
    return min(math.ceil(max(retry_after_s, 0.0) * 1000), _MOST_MS)


def _retry_info(retry_after_ms: int) -> wire.RetryInfo:
    info = wire.RetryInfo()
    info.retry_delay.FromMilliseconds(retry_after_ms)
    return info


def _status(code: Code, message: bytes) -> wire.Status:
    # Google's readers of these details refuse a status whose code or message is not the call's.
    return wire.Status(code=int(code), message=message.decode(errors="replace"))


def _cut(hint: str) -> str:
    """Cut a hint to the bytes that it may have, without splitting a character."""
    return hint.encode(errors="replace")[:_MAX_HINT_BYTES].decode(errors="ignore")
