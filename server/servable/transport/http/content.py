"""The body of a request that was sent with gzip, by the original's rules."""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

# What takes longer than a millisecond or so is decompressed on another thread.
_QUICK_BYTES: Final = 256 * 1024
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


def is_gzip(content_encoding: bytes | None) -> bool:
    """Whether a body is decompressed: the value contains `gzip` in lower case, whatever else is in it.

    Source: TensorFlow Serving, util/net_http/server/internal/evhttp_request.cc.
    """
    return content_encoding is not None and b"gzip" in content_encoding


async def unzip(body: bytes, most_bytes: int) -> bytes:
    """Decompress one gzip member.

    What is no gzip, is cut off, goes on after its end, has a wrong checksum or is larger than allowed counts as an
    empty body (in the original too, whose bound is 100 MiB).

    Args:
        body: As sent.
        most_bytes: Of the result.
    """
    reader = zlib.decompressobj(_GZIP_WINDOW)
    try:
        first = reader.decompress(body, min(_QUICK_BYTES, most_bytes))
        if reader.eof:
            return b"" if reader.unused_data else first
        return await asyncio.to_thread(_finish, reader, first, most_bytes)
    except zlib.error:
        return b""


def _finish(reader: zlib._Decompress, first: bytes, most_bytes: int) -> bytes:
    # One byte more than may be left tells a text that ends there from one that goes on.
    rest = reader.decompress(reader.unconsumed_tail, most_bytes - len(first) + 1)
    is_whole = reader.eof and not reader.unused_data and len(first) + len(rest) <= most_bytes
    return first + rest if is_whole else b""
