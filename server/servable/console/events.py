"""Server-sent events: one snapshot a second for all who look. All of it runs on the event loop's thread.

A listener first gets the snapshots of the last two minutes, so that a page begins with what others see already. Then it
asks for the next snapshot when its client has read the last one: one that reads slowly misses some, and nothing is
kept for it. While nobody listens, nothing runs.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final
from weakref import WeakSet

_log = logging.getLogger(__name__)

MOST_LISTENERS: Final = 32
_PAUSE_S: Final = 1.0
_MOST_PAST: Final = 120
_MOST_SHARE: Final = 0.05


class Events:
    """Takes a snapshot now and then while somebody listens, and hands it to each listener."""

    def __init__(self, take: Callable[[], Mapping[str, Any]], pause_s: float = _PAUSE_S) -> None:
        """Nothing runs yet.

        Args:
            take: Makes a snapshot, which is sent as JSON. Called on a thread of its own, by one at a time.
            pause_s: Between two snapshots.
        """
        self._take, self._pause_s = take, pause_s
        # A listener is gone when its connection lets go of it; however that ends, nothing has to be cleared away.
        self._listeners: WeakSet[Listener] = WeakSet()
        self._past: deque[bytes] = deque(maxlen=_MOST_PAST)
        self._next: asyncio.Future[bytes | None] | None = None
        self._ticker: asyncio.Task[None] | None = None

    @property
    def is_ticking(self) -> bool:
        """Whether snapshots are taken."""
        return self._ticker is not None

    def listen(self) -> Listener | None:
        """A stream of events for one client; None if too many listen already."""
        if len(self._listeners) >= MOST_LISTENERS:
            return None
        listener = Listener(self, b"".join(self._past))
        self._listeners.add(listener)
        if self._ticker is None:
            self._next = asyncio.get_running_loop().create_future()
            self._ticker = asyncio.get_running_loop().create_task(self._tick())
        return listener

    async def wait(self) -> bytes | None:
        """The next event; None if there are no more."""
        # What ends one listener must not end the wait of the others.
        return None if self._next is None else await asyncio.shield(self._next)

    async def _tick(self) -> None:
        try:
            while self._listeners:
                began_s = time.monotonic()
                self._publish(_write(await asyncio.to_thread(self._take)))
                await asyncio.sleep(pause_after(time.monotonic() - began_s, self._pause_s))
        except Exception:
            # The pages connect again after a while, and the next one may start anew.
            _log.exception("no snapshot for the console")
        finally:
            last, self._next, self._ticker = self._next, None, None
            self._past.clear()
            if last is not None:
                last.set_result(None)

    def _publish(self, event: bytes) -> None:
        self._past.append(event)
        last, self._next = self._next, asyncio.get_running_loop().create_future()
        if last is not None:
            last.set_result(event)


class Listener:
    """The events as they come, for one client."""

    __slots__ = ("__weakref__", "_events", "_past")

    def __init__(self, events: Events, past: bytes) -> None:
        """Listen to some events, after those that are past."""
        self._events, self._past = events, past

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        past, self._past = self._past, b""
        event = past or await self._events.wait()
        if event is None:
            raise StopAsyncIteration
        return event


def pause_after(took_s: float, least_s: float) -> float:
    """How long to wait after a snapshot: with thousands of models one takes long, and requests must not feel it."""
    return max(least_s, took_s / _MOST_SHARE)


def _write(snapshot: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(snapshot)}\n\n".encode()
