"""Files that hold one protobuf message in text format, with the original's errors.

This module must not know what a message means.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from google.protobuf import text_format
from google.protobuf.message import Message

from servable.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ServingError,
    Unknown,
)

_M = TypeVar("_M", bound=Message)

# The codes of absl::ErrnoToStatusCode; numbers that it does not know are UNKNOWN.
_ERRORS: Final[Mapping[int, type[ServingError]]] = {
    errno.ENOENT: NotFound,
    errno.EACCES: PermissionDenied,
    errno.EPERM: PermissionDenied,
    errno.EISDIR: FailedPrecondition,
    errno.ENOTDIR: FailedPrecondition,
    errno.ENAMETOOLONG: InvalidArgument,
    errno.EINVAL: InvalidArgument,
}


def read(path: str, message_class: type[_M], *, secret: bool = False) -> _M:
    """Read a text-format message (TensorFlow Serving: ParseProtoTextFile in server.cc).

    An error in the text is written to stderr in one line, as protobuf's own parser writes it.

    Args:
        path: The file.
        message_class: The message that the file should hold.
        secret: Whether to keep the file's text out of that line.

    Raises:
        NotFound: If there is no such file.
        InvalidArgument: If the file is empty or its text is not this message.
        ServingError: With the code of the system's error, if the file cannot be read.
    """
    return parse(path, content(path), message_class, secret=secret)


def parse(path: str, text: bytes, message_class: type[_M], *, secret: bool = False) -> _M:
    """As `read`, of the bytes of the file.

    Raises:
        InvalidArgument: If the text is not this message.
    """
    try:
        return _parse(text, message_class)
    except _UnparsableError as error:
        what = "the text is not valid here (it is not shown, as it may hold a secret)" if secret else error.what
        name = message_class.DESCRIPTOR.full_name
        sys.stderr.write(f"Error parsing text-format {name}: {error.where}{what}\n")
        raise InvalidArgument(f"Invalid protobuf file: '{path}'") from None


def parse_ours(path: str, text: bytes, message_class: type[_M]) -> _M:
    """As `parse`, for files that the original does not have: the error says where the text is wrong, nothing else does.

    Raises:
        InvalidArgument: If the text is not this message, as `path:line:column: what is wrong`.
    """
    try:
        return _parse(text, message_class)
    except _UnparsableError as error:
        raise InvalidArgument(f"{path}:{error.where or ' '}{error.what}") from None


def content(path: str) -> bytes:
    """The bytes of a file.

    Raises:
        ServingError: As `read` does.
    """
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise system_error(path, error.errno or 0) from error
    if not text:
        # The original maps the file into memory, which the system refuses for an empty file.
        raise system_error(path, errno.EINVAL)
    return text


def system_error(path: str, number: int) -> ServingError:
    """The error for a number of errno, as the original words it."""
    return _ERRORS.get(number, Unknown)(f"{path}; {os.strerror(number)}")


class _UnparsableError(Exception):
    """An error in a text: its place (`line:column: `, from 1; empty if protobuf gives none) and what is wrong."""

    def __init__(self, where: str, what: str) -> None:
        super().__init__(where + what)
        self.where = where
        self.what = what


def _parse(content: bytes, message_class: type[_M]) -> _M:
    pool: Any = message_class.DESCRIPTOR.file.pool  # of either runtime's type; the stubs differ on it
    try:
        text = content.decode()
        return text_format.Parse(text, message_class(), descriptor_pool=pool)
    except UnicodeDecodeError as error:
        before = content[: error.start].split(b"\n")
        raise _UnparsableError(f"{len(before)}:{len(before[-1]) + 1}: ", "The text is not UTF-8.") from None
    except text_format.ParseError as error:
        raise _unparsable(error, text) from None


def _unparsable(error: text_format.ParseError, text: str) -> _UnparsableError:
    """Protobuf's error without the line of the source that it quotes."""
    line, column = error.GetLine(), error.GetColumn()
    if line is None or column is None:
        return _UnparsableError("", str(error))
    what = str(error).removeprefix(f"{line}:{column} : ")
    source = text.split("\n")[line - 1]
    return _UnparsableError(f"{line}:{column}: ", what.removeprefix(f"'{source}': ").removeprefix("'': "))
