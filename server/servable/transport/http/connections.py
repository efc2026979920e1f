"""What the connections of one server share: the bounds, and what a look at all of them, once a second, keeps right."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from email.utils import formatdate
from typing import Protocol

from servable.http_exchange import CLOSE, HttpReply, json_error
from servable.transport.http.settings import HttpLimits


class PendingBytes:
    """The bytes of requests and replies that the server holds for its clients. Used on the loop's thread only."""

    def __init__(self, most: int) -> None:
        """Nothing is held yet.

        Args:
            most: How many may be held.
        """
        self._most = most
        self.held = 0

    def take(self, count: int) -> bool:
        """Hold more bytes, unless that would be too many."""
        if self.held + count > self._most:
            return False
        self.held += count
        return True

    def hold(self, count: int) -> None:
        """Hold more bytes, even too many: they are there already."""
        self.held += count

    def give_back(self, count: int) -> None:
        """Hold fewer bytes."""
        self.held -= count


class Timed(Protocol):
    """A connection, for the look at all of them."""

    def check_times(self, now_s: float) -> None:
        """End the connection if its client takes too long."""


class Connections:
    """What they share. Used on the event loop's thread only.

    Attributes:
        limits: The bounds.
        pending: The bytes that the server holds for its clients.
        date: The value of the header Date, right to a second or two.
        is_draining: Whether each reply tells its client to close the connection.
        streams: The tasks of replies without an end of their own, which a drain ends.
        in_flight: How many requests have come and have no reply yet.
        aborted: How many had none when their client went away, or when the server stopped.
    """

    def __init__(self, limits: HttpLimits) -> None:
        """No connections yet."""
        self.limits = limits
        self.pending = PendingBytes(limits.pending_bytes)
        self.date = _format_date()
        self.is_draining = False
        self.streams: set[asyncio.Task[object]] = set()
        self.in_flight = self.aborted = 0
        self._on_loss: Callable[[], None] = lambda: None

    def check_times(self, connections: Collection[Timed], now_s: float) -> None:
        """End the connections of clients that take too long; to be called once a second or so."""
        self.date = _format_date()
        for connection in list(connections):
            connection.check_times(now_s)

    def begin_drain(self, on_loss: Callable[[], None]) -> None:
        """End streams, and let each reply say that its connection will be closed.

        Args:
            on_loss: Called from now on whenever a connection has ended.
        """
        self.is_draining, self._on_loss = True, on_loss
        for stream in self.streams:
            stream.cancel()

    def notice_loss(self) -> None:
        """A connection has ended."""
        self._on_loss()

    @staticmethod
    def too_busy() -> HttpReply:
        """The answer to a request for which there is no memory."""
        message = "The requests that the server holds take too much memory (--rest_api_max_pending_mb); try again later"
        return json_error(503, message, ((b"retry-after", b"1"), CLOSE))


def _format_date() -> bytes:
    return formatdate(time.time(), usegmt=True).encode()
