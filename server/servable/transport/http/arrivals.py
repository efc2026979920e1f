"""A request on its way in, between the connection, which reads it, and the application, which answers it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from servable.http_exchange import HttpReply
    from servable.transport.http.connection import Connection

ARRIVAL: Final = "servable.arrival"
"""The key of an Arrival in its ASGI scope."""


class Arrival:
    """One request. Used on the event loop's thread only.

    Attributes:
        target: Path, query and fragment as sent.
        content_encoding: The last header of that name.
        began_s: When its head had come, in the loop's time.
        pieces: Of the body, as they came.
        received_bytes: Of the body, also of one that was refused since.
        held_bytes: What it holds of the pending bytes of the server.
        refusal: What it is answered if it does not reach the handler.
        is_complete: Whether all of it has come.
        closes: Whether its connection is closed after the reply.
    """

    __slots__ = (
        "_ended", "_task", "began_s", "closes", "connection", "content_encoding", "held_bytes", "is_complete", "pieces",
        "received_bytes", "refusal", "target",
    )  # fmt: skip

    def __init__(self, connection: Connection, target: str, content_encoding: bytes | None, began_s: float) -> None:
        """A request whose head has come."""
        self.connection, self.target, self.content_encoding = connection, target, content_encoding
        self.began_s = began_s
        self.pieces: list[bytes] = []
        self.received_bytes = self.held_bytes = 0
        self.refusal: HttpReply | None = None
        self.is_complete = self.closes = False
        self._ended: asyncio.Event | None = None
        self._task: asyncio.Task[Any] | None = None

    def take_body(self) -> bytes:
        """The body in one piece; once."""
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def belong_to(self, task: asyncio.Task[Any] | None) -> None:
        """Name the task that answers it."""
        self._task = task

    def abandon(self) -> None:
        """Cancel its task, since its client has gone."""
        if self._task is not None:
            self._task.cancel()

    def refuse(self, reply: HttpReply) -> None:
        """Decide on the answer, and forget the body."""
        self.refusal = reply
        self.pieces.clear()

    def complete(self) -> None:
        """Note that all of it has come."""
        self.is_complete = True
        if self._ended is not None:
            self._ended.set()

    async def wait_for_end(self, timeout_s: float) -> None:
        """Wait until all of it has come, or for some time."""
        self._ended = asyncio.Event()
        if not self.is_complete:
            try:
                await asyncio.wait_for(self._ended.wait(), timeout_s)
            except asyncio.TimeoutError:
                return
