"""What gRPC reports about a call that failed, as one of our errors."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError

from servable_client import wire
from servable_client.errors import Code, ServingError, error_class

_DETAILS_KEY = "grpc-status-details-bin"
# Words of gRPC's core in the text of an UNAVAILABLE, and what they mean for who reads it.
_CAUSES = (
    (
        (
            "CERTIFICATE_VERIFY_FAILED",
            ":BAD_SIGNATURE",
            "is not in peer certificate",
            "Hostname Verification",
        ),
        "its certificate does not match or is not trusted",
    ),
    (
        ("SSL_ERROR", "Ssl handshake", "handshake failed", "WRONG_VERSION_NUMBER"),
        "the TLS handshake failed; does the server speak TLS, and does it want another certificate of this client?",
    ),
    (("Connection refused", "No such file or directory"), "no server listens there"),
    (("DNS resolution failed", "Domain name not found"), "its name cannot be resolved"),
)


def error_of(failure: Any, target: str, model: str) -> ServingError:
    """The error of a grpc.RpcError, sync or asyncio."""
    code = failure.code().value[0]
    message = failure.details() or ""
    if code == Code.UNAVAILABLE:
        message = _explain(message, target)
    return error_class(code)(message, _read_hints(failure), target=target, model=model)


def _explain(message: str, target: str) -> str:
    for words, meaning in _CAUSES:
        if any(word in message for word in words):
            return f"cannot reach {target}: {meaning}: {message}"
    return message


def _read_hints(failure: Any) -> dict[str, str]:
    """The metadata of each ErrorInfo in the status, whose bytes travel in a trailer."""
    hints: dict[str, str] = {}
    for key, value in failure.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            hints.update(_parse_hints(value))
    return hints


def _parse_hints(data: bytes) -> dict[str, str]:
    hints: dict[str, str] = {}
    try:
        for detail in wire.Status.FromString(data).details:
            info = wire.ErrorInfo()
            if detail.Is(wire.ErrorInfo.DESCRIPTOR) and detail.Unpack(info):
                hints.update(info.metadata)
    except DecodeError:
        # Details explain an error; broken ones must not take its place.
        return {}
    return hints
