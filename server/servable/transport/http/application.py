"""The ASGI application: a request that has come to an HttpRequest for the handler, and an HttpReply to the client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, Final

from servable.errors import HIDE_ERROR_TEXT
from servable.http_exchange import HttpHandler, HttpReply, HttpRequest, json_error
from servable.transport.http import content
from servable.transport.http.arrivals import ARRIVAL, Arrival
from servable.transport.http.connections import Connections
from servable.transport.http.replies import make_headers
from servable.transport.identities import http_identities

_log = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# A larger body is part of the pending bytes until its client has read most of it. asyncio takes a write of more as a
# sign to wait before the next.
_LARGE_BYTES: Final = 64 * 1024


class Application:
    """Answers requests with a handler. Called on the event loop's thread, in a task for each request."""

    def __init__(self, handler: HttpHandler, connections: Connections) -> None:
        """Answer with a handler.

        Args:
            handler: Answers requests.
            connections: What the connections of the server share.
        """
        self._handler, self._connections = handler, connections
        self._unzipper = content.Unzipper(connections.limits.unzipped_bytes)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request; see the ASGI specification."""
        arrival: Arrival = scope[ARRIVAL]
        arrival.belong_to(asyncio.current_task())
        try:
            reply = await self._count(self._answer(arrival, scope, receive))
            if reply is not None:
                await self._send(reply, arrival, is_head=scope["method"] == "HEAD", send=send)
        except asyncio.CancelledError:
            # The client has gone, or the server stops; nobody waits for this task.
            return
        except Exception:
            _log.exception("a reply could not be sent", extra=HIDE_ERROR_TEXT)
            raise
        finally:
            arrival.connection.end_answer(arrival)

    async def _count(self, answer: Awaitable[HttpReply | None]) -> HttpReply | None:
        connections = self._connections
        connections.in_flight += 1
        try:
            return await answer
        except asyncio.CancelledError:
            connections.aborted += 1
            raise
        finally:
            connections.in_flight -= 1

    async def _answer(self, arrival: Arrival, scope: Message, receive: Receive) -> HttpReply | None:
        """The reply; None if the client has gone."""
        if not arrival.is_complete and arrival.refusal is None:
            # This sends `100 Continue` if the client waits for it, and returns when the whole request has come.
            await receive()
            if arrival.connection.is_lost:
                return None
        if arrival.refusal is not None:
            return arrival.refusal
        body = arrival.take_body()
        if content.is_gzip(arrival.content_encoding):
            body = await self._unzipper.unzip(body)
            if not self._connections.pending.take(len(body)):
                return self._connections.too_busy()
            arrival.held_bytes += len(body)
        tls = arrival.connection.transport.get_extra_info("ssl_object")
        who = _format_peer(scope["client"]), () if tls is None else http_identities(tls)
        return await self._handle(HttpRequest(scope["method"], arrival.target, body, scope["headers"], *who))

    async def _handle(self, request: HttpRequest) -> HttpReply:
        try:
            return await self._handler(request)
        except Exception:
            _log.exception("%s failed in an unforeseen way", request.verb, extra=HIDE_ERROR_TEXT)
            return json_error(500, "Internal error")

    async def _send(self, reply: HttpReply, arrival: Arrival, *, is_head: bool, send: Send) -> None:
        closes = self._connections.is_draining or arrival.closes or arrival.refusal is not None
        headers = make_headers(reply, self._connections.date, closes=closes)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        body = b"" if is_head else reply.body
        if not isinstance(body, bytes):
            await self._send_stream(body, arrival, send)
            body = b""
        elif len(body) > _LARGE_BYTES:
            self._hold(len(body), arrival)
            await send({"type": "http.response.body", "body": body, "more_body": True})
            # The next message waits until the client has read most of this.
            body = b""
        elif arrival.refusal is not None and not arrival.is_complete:
            await send({"type": "http.response.body", "body": body, "more_body": True})
            # To close a connection on which more comes would reset it, and the client might never see the reply.
            await arrival.wait_for_end(self._connections.limits.linger_s)
            body = b""
        await send({"type": "http.response.body", "body": body, "more_body": False})

    async def _send_stream(self, parts: AsyncIterator[bytes], arrival: Arrival, send: Send) -> None:
        """Send a stream up to its end, or until the server drains."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101
        self._connections.streams.add(task)
        try:
            if not self._connections.is_draining:
                async for part in parts:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        except asyncio.CancelledError:
            if arrival.connection.is_lost:
                raise
        finally:
            self._connections.streams.discard(task)

    def _hold(self, count: int, arrival: Arrival) -> None:
        # The request is no longer needed, the reply still is.
        self._connections.pending.give_back(arrival.held_bytes)
        self._connections.pending.hold(count)
        arrival.held_bytes = count


def _format_peer(client: tuple[str, int] | None) -> str:
    """An address as gRPC writes it."""
    if client is None:
        return ""
    host, port = client
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
