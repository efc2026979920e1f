"""Decompresses the messages of gRPC calls, with a bound.

gRPC's core bounds a message as it is on the wire and then decompresses it without one: a megabyte becomes a gigabyte.
With `CHANNEL_ARGUMENTS` the core hands compressed messages on as they came, and this module decompresses them on the
thread that takes the message. A core that does not know the argument decompresses itself, and nothing else changes.

The core does not say which messages were compressed, so their bytes do. gRPC knows two algorithms:

- gzip begins with 1f 8b. No message of protobuf begins with 1f, since there is no wire type 7.
- deflate, in zlib's format, begins with 78 as all of zlib's default window. A message of protobuf that begins with 78
  has a field 15 that is a varint, and no request of this server has one. A message counts as compressed only if it is
  one whole stream with the right checksum.

What is no such stream is handed on as it came, and does not parse then, like any other noise.

Source: gRPC's src/core/ext/filters/http/message_compress/compression_filter.cc, 1.66 to 1.85.
"""

from __future__ import annotations

import itertools
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from servable.errors import DeadlineExceeded, ResourceExhausted, ServingError
from servable.methods import DeferredRun, LaneMethod, Method, Reply
from servable.transport import inflation, status

CHANNEL_ARGUMENTS: Final[Sequence[tuple[str, int]]] = (("grpc.per_message_decompression", 0),)
"""Arguments with which a server's core leaves messages compressed."""

_GZIP, _ZLIB = b"\x1f\x8b", b"\x78"
_MARKS: Final = (_GZIP, _ZLIB)
# Requests begin with the tag of one of their first fields, which is less. To compare costs a fourth of `startswith`.
_LEAST_MARK: Final = b"\x1f"
# The last four bytes of gzip's format tell the size, modulo 2**32.
_SIZE_BYTES: Final = 4
# The most that deflate makes of a byte is 1,032.
_LARGEST_RATIO: Final = 1040
# More may not wait at a time, since each holds a thread. Fewer than the threads that a lane may lose.
_MOST_WAITING: Final = 8


class Decompressor:
    """Decompresses messages, large ones only while they take no more than the bound together. Thread-safe.

    Attributes:
        refused: How many messages were too large, or came when too many large ones waited.
    """

    def __init__(self, most_bytes: int, limit_name: str) -> None:
        """Decompress up to a bound.

        Args:
            most_bytes: Of one message, and of all that are being decompressed, except for small ones.
            limit_name: What sets the bound, for errors.
        """
        self._most_bytes, self._limit_name = most_bytes, limit_name
        self._large = Share(most_bytes)
        self.refused = 0

    def __call__(self, message: bytes) -> bytes:
        """A message as its sender had it before compression; the message itself if it is not compressed.

        Raises:
            ResourceExhausted: if it is too large, or if too many large ones wait to be decompressed.
        """
        try:
            return self._decompress(message)
        except ResourceExhausted:
            # Not exact when two threads do it at the same time.
            self.refused += 1
            raise
        except zlib.error:
            return message

    def _decompress(self, message: bytes) -> bytes:
        is_gzip, most_bytes = message.startswith(_GZIP), self._most_bytes
        if is_gzip:
            # A stream that says less than it has is not valid, so that it is not read further than it says.
            said_bytes = int.from_bytes(message[-_SIZE_BYTES:], "little")
            if said_bytes > _LARGEST_RATIO * len(message):
                return message
            if said_bytes > most_bytes:
                raise self._too_large(str(said_bytes))
            most_bytes = said_bytes
        pieces = inflation.pieces(message, inflation.GZIP if is_gzip else inflation.ZLIB)
        try:
            first = list(itertools.islice(pieces, 1))
            if sum(map(len, first)) < inflation.FIRST_PIECE_BYTES:
                return inflation.join(first, pieces, most_bytes)
            with self._large.held(most_bytes):
                return inflation.join(first, pieces, most_bytes)
        except inflation.TooLargeError:
            if is_gzip:
                return message
            raise self._too_large(f"over {most_bytes}") from None

    def _too_large(self, size: str) -> ResourceExhausted:
        return ResourceExhausted(
            f"SERVER: Received message larger than max ({size} vs. {self._most_bytes}) after decompression; "
            f"{self._limit_name} sets the limit"
        )

    def before(self, method: Method) -> Method:
        """A method whose messages are decompressed first, on its thread."""

        def answer(message: bytes, time_left_s: float | None, context: Any) -> bytes:
            if message > _LEAST_MARK and message.startswith(_MARKS):
                message, time_left_s = self._in_time(message, time_left_s)
            return method(message, time_left_s, context)

        return answer

    def before_lane_method(self, method: LaneMethod) -> LaneMethod:
        """The same of a method for lanes. The watchdog sees to it that the lane goes on meanwhile."""

        def answer(message: bytes, time_left_s: float | None, reply: Reply) -> DeferredRun | None:
            if message > _LEAST_MARK and message.startswith(_MARKS):
                message, time_left_s = self._in_time(message, time_left_s)
            return method(message, time_left_s, reply)

        return answer

    def reader(self, parse: Callable[[bytes], Any]) -> Callable[[bytes, Any], Any]:
        """A function of a message and grpcio's context of its call, which parses the one or aborts the other."""

        def read(message: bytes, context: Any) -> Any:
            try:
                return parse(self(message) if message.startswith(_MARKS) else message)
            except ServingError as error:
                return context.abort(status.grpc_code(error), status.message_bytes(error))
            except DecodeError:
                # As grpcio's server answers.
                return context.abort(grpc.StatusCode.INTERNAL, "Exception deserializing request!")

        return read

    def _in_time(self, message: bytes, time_left_s: float | None) -> tuple[bytes, float | None]:
        began_s = time.monotonic()
        message = self(message)
        if time_left_s is not None:
            time_left_s -= time.monotonic() - began_s
            if time_left_s <= 0:
                raise DeadlineExceeded("Deadline Exceeded")
        return message, time_left_s


class Share:
    """So many bytes, shared by those who hold some. Thread-safe.

    Attributes:
        waiting: How many wait for some.
    """

    def __init__(self, most_bytes: int) -> None:
        self._free_bytes = most_bytes
        self.waiting = 0
        self._change = threading.Condition()

    @contextmanager
    def held(self, count: int) -> Iterator[None]:
        """Hold some within a `with`, which waits for them.

        Raises:
            ResourceExhausted: if too many wait already.
        """
        with self._change:
            if self._free_bytes < count and self.waiting >= _MOST_WAITING:
                raise ResourceExhausted("Too many large compressed messages wait; try again later")
            self.waiting += 1
            self._change.wait_for(lambda: self._free_bytes >= count)
            self.waiting -= 1
            self._free_bytes -= count
        try:
            yield
        finally:
            with self._change:
                self._free_bytes += count
                self._change.notify_all()
