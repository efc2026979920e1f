"""The errors that a call can end with, in one tree; each class has its canonical code.

    ServingError
    ├── Cancelled            ├── AlreadyExists        ├── OutOfRange
    ├── Unknown              ├── PermissionDenied     ├── Unimplemented
    ├── InvalidArgument      ├── ResourceExhausted    ├── Internal
    ├── DeadlineExceeded     ├── FailedPrecondition   ├── Unavailable
    ├── NotFound             ├── Aborted              ├── DataLoss
    └── Unauthenticated

Every package raises these; only the transport turns them into statuses. This module must not know gRPC or TensorFlow.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final


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

HIDE_ERROR_TEXT: Final[Mapping[str, bool]] = MappingProxyType({"hides_error_text": True})
"""`extra` of a line of the log about an exception whose text may quote what a caller sent: the log leaves it out."""


class ServingError(Exception):
    """A failure with a canonical code and a message meant for the caller.

    Attributes:
        message: The text of the status. Where the original has one, its first words are the original's.
        message_bytes: The same as the status carries it: bytes that are no text, of a path or of what a graph quotes,
            are as they were, and U+FFFD in `message`.
        hints: Advice by short key (`loaded_models`, `did_you_mean`). It is sent beside the message as an error detail,
            so that clients that match messages do not break.
        retry_after_s: When the call may be tried again; None if nothing is known of that.
    """

    code: ClassVar[Code]
    # Of the class, so that errors without them are made sooner, and can be pickled.
    hints: Mapping[str, str] = _NO_HINTS
    retry_after_s: float | None = None

    def __init__(self, message: str, hints: Mapping[str, str] = _NO_HINTS) -> None:
        # Python keeps bytes that are no text as surrogates (PEP 383). Logs and protobuf's strings cannot hold them.
        self.message_bytes = _encode(message)
        self.message = self.message_bytes.decode(errors="replace")
        super().__init__(self.message)
        if hints:
            self.hints = hints

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"


def _encode(message: str) -> bytes:
    try:
        return message.encode(errors="surrogateescape")
    except UnicodeEncodeError:  # A surrogate that stands for no byte.
        return message.encode(errors="replace")


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
    """The caller does not show who it is.

    Attributes:
        challenge: The value of HTTP's header `WWW-Authenticate`, which each reply of 401 needs (RFC 6750, 3).
    """

    code = Code.UNAUTHENTICATED
    challenge = 'Bearer realm="servable"'


_BY_CODE: Mapping[int, type[ServingError]] = {kind.code: kind for kind in ServingError.__subclasses__()}


def of_code(code: int, message: str) -> ServingError:
    """The error of a canonical code; a number that names none is UNKNOWN."""
    return _BY_CODE.get(code, Unknown)(message)
