"""Decompresses replies with a bound, so that a server cannot fill the memory of its clients.

gRPC's core would decompress a message without one. `CHANNEL_OPTIONS` let it hand messages on as they came. It does not
say which were compressed, but their bytes do: a gzip begins with 1f, as no message of protobuf does, and zlib's format
with 78, which would be a field 15. What is not one whole stream with the right checksum is left as it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Final

CHANNEL_OPTIONS: Final[Mapping[str, int]] = {"grpc.per_message_decompression": 0}

_GZIP, _ZLIB = b"\x1f\x8b", b"\x78"
_INPUT_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 1 << 20


class TooLargeError(Exception):
    """A message becomes larger than it may."""


def decompress(message: bytes, most_bytes: float) -> bytes:
    """A message as it was before its server compressed it; the message itself if that did not.

    Raises:
        TooLargeError: if it would have more than `most_bytes`.
    """
    if not message.startswith((_GZIP, _ZLIB)):
        return message
    pieces: list[bytes] = []
    count = 0
    try:
        for piece in _decompressed(message, zlib.MAX_WBITS + 16 * message.startswith(_GZIP)):
            pieces.append(piece)
            count += len(piece)
            if count > most_bytes:
                raise TooLargeError
    except zlib.error:
        return message
    return b"".join(pieces)


def _decompressed(message: bytes, window_bits: int) -> Iterator[bytes]:
    stream, view = zlib.decompressobj(window_bits), memoryview(message)
    for start in range(0, len(message), _INPUT_BYTES):
        unread: bytes | memoryview = view[start : start + _INPUT_BYTES]
        piece = b"."
        # A full piece may have left something behind although all input was read.
        while piece and not stream.eof and (unread or len(piece) == _PIECE_BYTES):
            piece = stream.decompress(unread, _PIECE_BYTES)
            unread = stream.unconsumed_tail
            yield piece
        if stream.eof:
            if stream.unused_data or start + _INPUT_BYTES < len(message):
                raise zlib.error("the message goes on after the stream's end")
            return
    raise zlib.error("the stream is cut off")
