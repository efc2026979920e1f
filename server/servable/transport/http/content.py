"""The body of a request that was sent with gzip, by the original's rules."""

from __future__ import annotations

import asyncio
import itertools
import zlib

from servable.transport import inflation


def is_gzip(content_encoding: bytes | None) -> bool:
    """Whether a body is decompressed: the value contains `gzip` in lower case, whatever else is in it.

    Source: TensorFlow Serving, util/net_http/server/internal/evhttp_request.cc.
    """
    return content_encoding is not None and b"gzip" in content_encoding


class Unzipper:
    """Decompresses bodies: small ones at once, one large one at a time on a thread. Used on the event loop's thread.

    Several at a time would take the CPUs from everyone else, and whole bodies' memory before it is counted.
    """

    def __init__(self, most_bytes: int) -> None:
        """Decompress up to a bound.

        Args:
            most_bytes: Of one body.
        """
        self._most_bytes = most_bytes
        self._turn = asyncio.Semaphore(1)

    async def unzip(self, body: bytes) -> bytes:
        """Decompress one gzip member.

        What is no gzip, is cut off, goes on after its end, has a wrong checksum or is larger than allowed counts as an
        empty body (in the original too, whose bound is 100 MiB).
        """
        pieces = inflation.pieces(body, inflation.GZIP)
        try:
            first = list(itertools.islice(pieces, 1))
            if sum(map(len, first)) < inflation.FIRST_PIECE_BYTES:
                return inflation.join(first, pieces, self._most_bytes)
            async with self._turn:
                return await asyncio.to_thread(inflation.join, first, pieces, self._most_bytes)
        except (zlib.error, inflation.TooLargeError):
            return b""
