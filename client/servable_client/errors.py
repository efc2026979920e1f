"""The one tree of errors that this package raises.

    ClientError
    ├── InputError           (also a ValueError) what was given cannot be sent; nothing was sent
    ├── DtypeUnavailable     (also an ImportError) the dtype needs ml_dtypes, which is not installed
    ├── ClientClosed         (also a RuntimeError) the client was closed
    ├── MalformedReply       the server answered with something that is no reply
    └── ServingError         the call ended with a status: code, message, hints, target, model
        ├── Cancelled            ├── AlreadyExists        ├── OutOfRange
        ├── Unknown              ├── PermissionDenied     ├── Unimplemented
        ├── InvalidArgument      ├── ResourceExhausted    ├── Internal
        ├── DeadlineExceeded     ├── FailedPrecondition   ├── Unavailable
        ├── NotFound             ├── Aborted              ├── DataLoss
        └── Unauthenticated

This module must not know gRPC or protobuf; `_network` makes these from what gRPC reports.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Cancelled",
    "ClientClosed",
    "ClientError",
    "Code",
    "DataLoss",
    "DeadlineExceeded",
    "DtypeUnavailable",
    "FailedPrecondition",
    "InputError",
    "Internal",
    "InvalidArgument",
    "MalformedReply",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "ServingError",
    "Unauthenticated",
    "Unavailable",
    "Unimplemented",
    "Unknown",
    "error_class",
]


class Code(enum.IntEnum):
    """The canonical codes, numbered as in google.rpc.Code, absl::StatusCode and gRPC."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_NO_HINTS: Mapping[str, str] = MappingProxyType({})


class ClientError(Exception):
    """Anything that this package raises on purpose."""


class InputError(ClientError, ValueError):
    """What was given cannot be sent, and nothing was sent.

    Attributes:
        input: The name of the input at fault; None where the fault is not in one input.
        given: What was given, in words (`float64 array of shape (2, 3)`).
        expected: What would have been right, in words.
    """

    def __init__(self, message: str, *, input: str | None = None, given: str = "", expected: str = "") -> None:  # noqa: A002
        super().__init__(message)
        self.input = input
        self.given = given
        self.expected = expected


class DtypeUnavailable(ClientError, ImportError):
    """A dtype that NumPy has from ml_dtypes only, and ml_dtypes is not installed or too old."""


class ClientClosed(ClientError, RuntimeError):
    """A call on a client after its close."""


class MalformedReply(ClientError):
    """A reply that does not parse, or that holds a tensor that is none. The text says what and where."""


class ServingError(ClientError):
    """A call that ended with a status other than OK.

    Attributes:
        code: The canonical code.
        message: The server's text, or gRPC's where no server was reached.
        hints: What else the server said about it, by short key (`loaded_models`, `did_you_mean`), from the
            google.rpc.ErrorInfo of the status. Empty for a server that sends none.
        target: The address that was called.
        model: The model that was asked for; empty where the call names none.
    """

    code: ClassVar[Code] = Code.UNKNOWN

    def __init__(
        self, message: str, hints: Mapping[str, str] = _NO_HINTS, *, target: str = "", model: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints
        self.target = target
        self.model = model

    def __str__(self) -> str:
        said = f"{self.code.name}: {self.message}" if self.message else self.code.name
        where = [f"model {self.model!r}"] * bool(self.model) + [f"at {self.target}"] * bool(self.target)
        hints = "".join(f"\n  {key}: {value}" for key, value in sorted(self.hints.items()))
        return said + (f" ({' '.join(where)})" if where else "") + hints


class Cancelled(ServingError):
    code = Code.CANCELLED


class Unknown(ServingError):
    code = Code.UNKNOWN


class InvalidArgument(ServingError):
    code = Code.INVALID_ARGUMENT


class DeadlineExceeded(ServingError):
    code = Code.DEADLINE_EXCEEDED


class NotFound(ServingError):
    code = Code.NOT_FOUND


class AlreadyExists(ServingError):
    code = Code.ALREADY_EXISTS


class PermissionDenied(ServingError):
    code = Code.PERMISSION_DENIED


class ResourceExhausted(ServingError):
    code = Code.RESOURCE_EXHAUSTED


class FailedPrecondition(ServingError):
    code = Code.FAILED_PRECONDITION


class Aborted(ServingError):
    code = Code.ABORTED


class OutOfRange(ServingError):
    code = Code.OUT_OF_RANGE


class Unimplemented(ServingError):
    code = Code.UNIMPLEMENTED


class Internal(ServingError):
    code = Code.INTERNAL


class Unavailable(ServingError):
    code = Code.UNAVAILABLE


class DataLoss(ServingError):
    code = Code.DATA_LOSS


class Unauthenticated(ServingError):
    code = Code.UNAUTHENTICATED


_BY_CODE: Mapping[int, type[ServingError]] = {kind.code: kind for kind in ServingError.__subclasses__()}


def error_class(code: int) -> type[ServingError]:
    """The class of a canonical code; a number that names none is UNKNOWN."""
    return _BY_CODE.get(code, Unknown)
