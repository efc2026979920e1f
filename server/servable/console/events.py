"""Server-sent events: one snapshot a second to each page that is open, taken once for all of them.

All of it runs on the event loop of the HTTP thread, but for the snapshots. Nothing runs while nobody listens. A
listener that does not read keeps one event, the latest, so it costs no memory however long it sleeps.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakSet

_log = logging.getLogger(__name__)

MOST_LISTENERS: Final = 32
_PERIOD_S: Final = 1.0


class Listener:
    """The events for one page, as an asynchronous iterator without an end. It listens as long as somebody holds it."""

    def __init__(self) -> None:
        self._latest: asyncio.Queue[bytes] = asyncio.Queue(1)

    def __aiter__(self) -> Listener:
        return self

    async def __anext__(self) -> bytes:
        return await self._latest.get()

    def put(self, event: bytes) -> None:
        """Replace the event that has not been read, if there is one."""
        if self._latest.full():
            self._latest.get_nowait()
        self._latest.put_nowait(event)


class Events:
    """Sends snapshots to listeners."""

    def __init__(self, take: Callable[[], dict[str, Any]], period_s: float = _PERIOD_S) -> None:
        """Send what `take` gives; it is called on another thread."""
        self._take, self._period_s = take, period_s
        self._listeners: WeakSet[Listener] = WeakSet()
        self._ticker: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether no more listeners are taken."""
        return len(self._listeners) >= MOST_LISTENERS

    def listen(self) -> Listener:
        """A listener, from now on."""
        listener = Listener()
        self._listeners.add(listener)
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().create_task(self._tick())
            self._ticker.add_done_callback(self._on_end)
        return listener

    async def _tick(self) -> None:
        while self._listeners:
            self._send(await asyncio.to_thread(self._take))
            await asyncio.sleep(self._period_s)

    def _send(self, snapshot: dict[str, Any]) -> None:
        # In a frame of its own: a listener must not be held while the ticker sleeps, or it would never be gone.
        event = b"data: " + json.dumps(snapshot).encode() + b"\n\n"
        for listener in self._listeners:
            listener.put(event)

    def _on_end(self, ticker: asyncio.Task[None]) -> None:
        self._ticker = None
        if not ticker.cancelled() and ticker.exception() is not None:
            _log.error("the console gets no more snapshots until a page is opened", exc_info=ticker.exception())
