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
from servable.transport import status

CHANNEL_ARGUMENTS: Final[Sequence[tuple[str, int]]] = (("grpc.per_message_decompression", 0),)
"""Arguments with which a server's core leaves messages compressed."""

_GZIP, _ZLIB = b"\x1f\x8b", b"\x78"
_MARKS: Final = (_GZIP, _ZLIB)
# Requests begin with the tag of one of their first fields, which is less. To compare costs a fourth of `startswith`.
_LEAST_MARK: Final = b"\x1f"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
# The last four bytes of gzip's format tell the size, modulo 2**32.
_SIZE_BYTES: Final = 4
# So much is decompressed by everyone at the same time.
_QUICK_BYTES: Final = 1 << 20
# More may not wait at a time, since each holds a thread. Fewer than the threads that a lane may lose.
_MOST_WAITING: Final = 8


class Decompressor:
    """Decompresses messages, large ones only while they take no more than the bound together. Thread-safe.

    Attributes:
        refused: How many messages were too large, or came when too many large ones waited.
    """

    def __init__(self, most_bytes: int) -> None:
        """Decompress up to a bound.

        Args:
            most_bytes: Of one message, and of all that are being decompressed, except for their first MiB each.
        """
        self._most_bytes = most_bytes
        self._large = _Share(most_bytes)
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
        is_gzip = message.startswith(_GZIP)
        most_bytes = self._most_bytes
        if is_gzip:
            # A stream that says less than it has is not valid, so that it is not read further than it says.
            said_bytes = int.from_bytes(message[-_SIZE_BYTES:], "little")
            if said_bytes > most_bytes:
                raise _too_large(str(said_bytes), most_bytes)
            most_bytes = said_bytes
        stream = zlib.decompressobj(_GZIP_WINDOW if is_gzip else zlib.MAX_WBITS)
        first = stream.decompress(message, min(_QUICK_BYTES, most_bytes) + 1)
        if stream.eof or len(first) > most_bytes:
            return self._judge(message, stream, first, is_gzip=is_gzip)
        with self._large.held(most_bytes):
            whole = first + stream.decompress(stream.unconsumed_tail, most_bytes - len(first) + 1)
        return self._judge(message, stream, whole, is_gzip=is_gzip)

    def _judge(self, message: bytes, stream: zlib._Decompress, found: bytes, *, is_gzip: bool) -> bytes:
        if len(found) > self._most_bytes and not is_gzip:
            raise _too_large(f"over {self._most_bytes}", self._most_bytes)
        return found if stream.eof and not stream.unused_data else message

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


class _Share:
    """So many bytes, shared by those who hold some. Thread-safe."""

    def __init__(self, most_bytes: int) -> None:
        self._free_bytes = most_bytes
        self._waiting = 0
        self._change = threading.Condition()

    @contextmanager
    def held(self, count: int) -> Iterator[None]:
        """Hold some within a `with`, which waits for them unless too many wait."""
        with self._change:
            if self._free_bytes < count and self._waiting >= _MOST_WAITING:
                raise ResourceExhausted("Too many large compressed messages wait; try again later")
            self._waiting += 1
            self._change.wait_for(lambda: self._free_bytes >= count)
            self._waiting -= 1
            self._free_bytes -= count
        try:
            yield
        finally:
            with self._change:
                self._free_bytes += count
                self._change.notify_all()


def _too_large(size: str, most_bytes: int) -> ResourceExhausted:
    return ResourceExhausted(
        f"SERVER: Received message larger than max after decompression ({size} vs. {most_bytes}); "
        "--grpc_max_decompressed_mb sets the limit"
    )
