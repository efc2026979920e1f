"""One HTTP connection: uvicorn's protocol over httptools, and the bounds that it lacks.

uvicorn parses, queues pipelined requests, and writes replies. Here its callbacks of asyncio and httptools are
overridden, to bound heads, bodies and times, to refuse what libevent refuses, and to collect a body in one piece.
Beside those callbacks four names of uvicorn's own are used: `scope`, `cycle`, `flow` and `send_400_response`.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import sys
from typing import Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from servable.http_exchange import HttpReply, html_error, json_error
from servable.transport.http.arrivals import ARRIVAL, Arrival
from servable.transport.http.connections import Connections
from servable.transport.http.replies import write_at_once

_VERBS: Final = frozenset({b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"})
_VERSIONS: Final = frozenset({"1.0", "1.1"})
# What RFC 3986 allows, as libevent checks it: a `%` stands before two hex digits.
_URI: Final = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?#\[\]]|%[0-9A-Fa-f]{2})+")
_AUTHORITY: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[^/?#]*")
_UPGRADE: Final = re.compile(rb"(?<=\r\n)upgrade(?=[ \t]*:)", re.IGNORECASE)
_HEAD_END: Final = b"\r\n\r\n"
# asyncio reads 256 KiB at a time, and malloc maps and unmaps memory for that: most of the cost of a large body.
_READ_BYTES: Final = 112 * 1024
# A piece of a body costs its object too, so that pieces of one byte each are not free.
_PIECE_BYTES: Final = 64
_NOTED: Final = frozenset({b"expect", b"content-length", b"content-encoding"})


class _RefusedHeadError(Exception):
    """Ends the parser's work on a head."""


class Connection(HttpToolsProtocol):
    """One connection. All its methods run on the thread of the event loop."""

    def __init__(
        self, config: Config, state: ServerState, loop: asyncio.AbstractEventLoop, connections: Connections
    ) -> None:
        """Make what asyncio calls once the connection stands.

        Args:
            config: uvicorn's.
            state: uvicorn's, of the server.
            loop: The event loop.
            connections: What the connections of the server share.
        """
        super().__init__(config, state, {}, loop)
        self._connections = connections
        self._limits, self._pending = connections.limits, connections.pending
        self._is_in_head = self._is_broken = False
        self._head_bytes = self._chunk_bytes = self._held_of_head = 0
        self._refusal: HttpReply | None = None
        self._arrival: Arrival | None = None
        self._waiting: set[Arrival] = set()
        self._has_had_request = False
        self._since_s = loop.time()
        self._old_at_s = self._since_s + _lifetime_s(self._limits.age_s)
        self._unsent_since_s: float | None = None
        self._unsent_bytes = 0

    # What the server and the application ask and tell.

    @property
    def is_lost(self) -> bool:
        """Whether the client has gone, or is no longer listened to."""
        return self.transport.is_closing()

    @property
    def is_idle(self) -> bool:
        """Whether no request is coming in or being answered."""
        return not (self._is_in_head or self._waiting)

    def end_answer(self, arrival: Arrival) -> None:
        """Let go of a request that has been answered, or never will be."""
        self._pending.give_back(arrival.held_bytes)
        arrival.held_bytes = 0
        self._waiting.discard(arrival)
        self._unsent_since_s = None
        self._since_s = self.loop.time()

    def check_times(self, now_s: float) -> None:
        """End the connection if its client takes too long; to be called now and then.

        Args:
            now_s: The loop's time.
        """
        if self._reads_too_slowly(now_s):
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._arrival is not None:
            self._check_body_time(self._arrival, now_s)
        elif self._waiting:
            return
        elif self._is_in_head and now_s - self._since_s > self._limits.head_s:
            self._end_with(html_error(408))
        elif now_s - self._since_s > (self._limits.idle_s if self._has_had_request else self._limits.head_s):
            self.transport.close()

    def _check_body_time(self, arrival: Arrival, now_s: float) -> None:
        # A body behind another request is not read on while that is being answered.
        if arrival.refusal is not None or len(self._waiting) > 1:
            return
        over_s = now_s - arrival.began_s - self._limits.grace_s
        if over_s > 0 and arrival.received_bytes < over_s * self._limits.bytes_per_s:
            self._refuse_body(arrival, json_error(408, "The body of the request came too slowly"))

    def _reads_too_slowly(self, now_s: float) -> bool:
        unsent_bytes = self.transport.get_write_buffer_size()
        if not unsent_bytes:
            self._unsent_since_s = None
        elif self._unsent_since_s is None:
            self._unsent_since_s, self._unsent_bytes = now_s, unsent_bytes
        else:
            over_s = now_s - self._unsent_since_s - self._limits.grace_s
            return over_s > 0 and self._unsent_bytes - unsent_bytes < over_s * self._limits.bytes_per_s
        return False

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; see asyncio.Protocol."""
        super().connection_made(transport)
        # An attribute of asyncio's transports for sockets, not documented; without it bodies only cost more.
        if hasattr(transport, "max_size"):
            transport.max_size = _READ_BYTES

    def data_received(self, data: bytes) -> None:
        """Parse what has come; see asyncio.Protocol."""
        if self._is_broken:
            return
        if self._is_in_head:
            self._head_bytes += len(data)
        if self._arrival is None and (b"pgrade" in data or b"PGRADE" in data):
            data = _without_upgrade(data)
        self._chunk_bytes = len(data)
        super().data_received(data)
        if self._is_in_head and not self._is_broken:
            self._check_unfinished_head()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Drop all requests that have not been answered; see asyncio.Protocol."""
        # After an error uvicorn would keep the connection until a timer of its own runs out.
        super().connection_lost(None)
        self._leave_head()
        self._arrival = None
        for arrival in list(self._waiting):
            arrival.abandon()
            self.end_answer(arrival)
        self._connections.notice_loss()

    def resume_writing(self) -> None:
        """The client has read most of what was written; see asyncio.Protocol."""
        self._unsent_since_s = None
        super().resume_writing()

    # httptools' callbacks.

    def on_message_begin(self) -> None:
        """The first byte of a head."""
        self._is_in_head, self._head_bytes = True, 0
        self._has_had_request = True
        self._since_s = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The end of a head: it is refused, or a request is begun."""
        url, noted = self.url, {name: value for name, value in self.headers if name in _NOTED}
        refused_as = self._judge_head(url)
        if refused_as is not None:
            self._refuse_head(refused_as)
        self._leave_head()
        arrival = Arrival(self, _target(url), noted.get(b"content-encoding"), self.loop.time())
        self.scope[ARRIVAL] = arrival  # type: ignore[typeddict-unknown-key]
        # libevent too takes an absolute URI for a sign of a proxy, whose connection it does not keep.
        is_kept = url.startswith(b"/") and self.parser.get_http_version() != "1.0"
        arrival.closes = not is_kept or arrival.began_s > self._old_at_s
        if noted.get(b"expect", b"100-continue").lower() != b"100-continue":
            arrival.refusal = html_error(417)
        elif int(noted.get(b"content-length", 0)) > self._limits.body_bytes:
            arrival.refusal = self._too_large()
        super().on_headers_complete()
        self._arrival = arrival
        self._waiting.add(arrival)

    def on_body(self, body: bytes) -> None:
        """A piece of a body, or one that is no longer wanted."""
        arrival = self._arrival
        if arrival is None or arrival.refusal is not None:
            return
        cost_bytes = len(body) + _PIECE_BYTES
        arrival.received_bytes += len(body)
        if arrival.received_bytes > self._limits.body_bytes:
            self._refuse_body(arrival, self._too_large())
        elif not self._pending.take(cost_bytes):
            self._refuse_body(arrival, self._connections.too_busy())
        else:
            arrival.held_bytes += cost_bytes
            arrival.pieces.append(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            arrival.complete()
        super().on_message_complete()

    # Refusals.

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer what could not be parsed, or was refused while it was: uvicorn calls this in its `except`."""
        if self._refusal is None:
            is_unknown_verb = isinstance(sys.exc_info()[1], httptools.HttpParserInvalidMethodError)
            self._refusal = html_error(501 if is_unknown_verb else 400)
        self._end_with(self._refusal)

    def _judge_head(self, url: bytes) -> int | None:
        """The status with which a complete head is refused, if it is."""
        if self.parser.get_method() not in _VERBS:
            return 501
        # What is left of `Upgrade` would let httptools take the body for the next protocol.
        if self.parser.get_http_version() not in _VERSIONS or not _URI.fullmatch(url) or self.parser.should_upgrade():
            return 400
        return 431 if self._is_head_too_large(url) else None

    def _is_head_too_large(self, url: bytes) -> bool:
        most = self._limits.head_bytes
        if len(self.headers) > self._limits.headers or self._head_bytes > most + self._chunk_bytes:
            return True
        if max(self._head_bytes, self._chunk_bytes) <= most:
            return False
        return len(url) + sum(len(name) + len(value) for name, value in self.headers) > most

    def _check_unfinished_head(self) -> None:
        self._head_bytes = self._head_bytes or self._chunk_bytes
        if self._head_bytes > self._limits.head_bytes or len(self.headers) > self._limits.headers:
            self._end_with(html_error(431))
        elif self._pending.take(self._chunk_bytes):
            self._held_of_head += self._chunk_bytes
        else:
            self._end_with(self._connections.too_busy())

    def _leave_head(self) -> None:
        self._pending.give_back(self._held_of_head)
        self._is_in_head, self._held_of_head = False, 0

    def _refuse_head(self, status: int) -> None:
        self._refusal = html_error(status)
        raise _RefusedHeadError

    def _refuse_body(self, arrival: Arrival, reply: HttpReply) -> None:
        arrival.refuse(reply)
        self._pending.give_back(arrival.held_bytes)
        arrival.held_bytes = 0
        # The application waits for the end of the body; what still comes of it is thrown away.
        super().on_message_complete()

    def _too_large(self) -> HttpReply:
        most = self._limits.body_bytes
        return json_error(413, f"The body of the request is larger than {most} bytes (--rest_api_max_body_mb)")

    def _end_with(self, reply: HttpReply) -> None:
        """Answer what is no request, and close; but not between or into the replies to those before it."""
        self._is_broken = True
        before = len(self._waiting) - (self._arrival is not None)
        if before and self._arrival is None:
            self.cycle.keep_alive = False
            return
        if not before:
            self.transport.write(write_at_once(reply, self._connections.date))
        self.transport.close()


def _lifetime_s(age_s: float) -> float:
    """How long a connection is kept: a tenth more for some, so that those of one moment do not all end at another."""
    return age_s * random.uniform(1.0, 1.1) if age_s else math.inf  # noqa: S311  No secret.


def _target(url: bytes) -> str:
    """The path, query and fragment of a URI, which may be an absolute one."""
    authority = None if url.startswith(b"/") else _AUTHORITY.match(url)
    return url[authority.end() if authority else 0 :].decode("latin-1")


def _without_upgrade(data: bytes) -> bytes:
    """Rename the header `Upgrade` in the head that data begins with.

    HTTP/1.1 is all there is, so it is ignored, as RFC 9110 allows and the original does; httptools instead stops
    reading before the body. Java's HttpClient and `curl --http2` send it with each first request.
    """
    head, end, rest = data.partition(_HEAD_END)
    return _UPGRADE.sub(b"x-unused", head) + end + rest
