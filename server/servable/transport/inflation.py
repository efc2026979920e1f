"""Decompresses zlib's and gzip's streams piece by piece, so that a bound holds before memory is taken.

Other threads run between the pieces: what a caller sends must not keep the interpreter.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

ZLIB: Final = zlib.MAX_WBITS
GZIP: Final = 16 + zlib.MAX_WBITS

FIRST_PIECE_BYTES: Final = 256 * 1024
"""The most that the first piece has; it takes about a millisecond."""
_LARGEST_PIECE_BYTES: Final = 8 << 20
# zlib copies what it has not read of its input at each piece.
_INPUT_BYTES: Final = 64 * 1024


class TooLargeError(Exception):
    """A stream has more than it may."""


def pieces(data: bytes, window_bits: int) -> Iterator[bytes]:
    """What a stream contains, in order, in pieces that grow from the first one on.

    Args:
        data: One whole stream and nothing else.
        window_bits: `ZLIB` or `GZIP`.

    Raises:
        zlib.error: if it is not that.
    """
    stream, view = zlib.decompressobj(window_bits), memoryview(data)
    most_bytes = FIRST_PIECE_BYTES
    for start in range(0, len(data), _INPUT_BYTES):
        unread: bytes | memoryview = view[start : start + _INPUT_BYTES]
        while True:
            piece = stream.decompress(unread, most_bytes)
            unread = stream.unconsumed_tail
            is_full = len(piece) == most_bytes
            if piece:
                yield piece
            if is_full:
                most_bytes = min(2 * most_bytes, _LARGEST_PIECE_BYTES)
            # A full piece may have left something behind although all input was read.
            if stream.eof or not (unread or is_full):
                break
        if stream.eof:
            if stream.unused_data or start + _INPUT_BYTES < len(data):
                raise zlib.error("the data goes on after the stream's end")
            return
    raise zlib.error("the stream is cut off")


def join(first: Sequence[bytes], rest: Iterable[bytes], most_bytes: int) -> bytes:
    """Put pieces together.

    Raises:
        TooLargeError: if they have more than `most_bytes`. No more than a piece beyond that is taken.
        zlib.error: as the pieces do.
    """
    found, count = list(first), sum(map(len, first))
    for piece in rest if count <= most_bytes else ():
        found.append(piece)
        count += len(piece)
        if count > most_bytes:
            break
    if count > most_bytes:
        raise TooLargeError
    return found[0] if len(found) == 1 else b"".join(found)
