"""A reply as ASGI messages, or as bytes where there is no request to answer."""

from __future__ import annotations

import http
from collections.abc import Sequence

from servable.http_exchange import CLOSE, HttpReply

Headers = Sequence[tuple[bytes, bytes]]


def make_headers(reply: HttpReply, date: bytes, *, closes: bool) -> list[tuple[bytes, bytes]]:
    """The headers of a reply in the original's order: content type, the reply's own, date, length.

    Args:
        reply: Its body is a stream, or the length is told.
        date: The value of the header Date.
        closes: Whether the client is told that the connection will be closed.
    """
    headers: list[tuple[bytes, bytes]] = []
    if reply.content_type is not None:
        headers.append((b"content-type", reply.content_type.encode("latin-1")))
    headers += reply.headers
    headers.append((b"date", date))
    if isinstance(reply.body, bytes):
        headers.append((b"content-length", b"%d" % len(reply.body)))
    if closes and CLOSE not in headers:
        headers.append(CLOSE)
    return headers


def write_at_once(reply: HttpReply, date: bytes) -> bytes:
    """A reply as bytes, to be sent on a connection that is then closed."""
    assert isinstance(reply.body, bytes)  # noqa: S101
    lines = [b"HTTP/1.1 %d %s" % (reply.status, http.HTTPStatus(reply.status).phrase.encode())]
    lines += [b"%s: %s" % header for header in make_headers(reply, date, closes=True)]
    return b"\r\n".join([*lines, b"", reply.body])
