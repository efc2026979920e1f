"""Calls beside the main ones: health and reflection, on threads of their own.

A model that keeps all workers busy must not hold up a health check, and a stream that stays open for hours
must not hold up a drain: such streams are known here and ended when the server stops.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


class OpenStreams:
    """Streams that last until somebody ends them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: set[Callable[[], None]] = set()
        self._ended = False

    def follow(self, context: Any, end: Callable[[], None]) -> None:
        """Remember how to end a stream until it has ended by itself; end it at once if the server is stopping."""
        with self._lock:
            ended = self._ended
            if not ended:
                self._ends.add(end)
        if ended:
            end()
        elif not context.add_callback(lambda: self._discard(end)):
            self._discard(end)  # It was over before it began.

    def end_all(self) -> None:
        """End all streams, and every later one as it comes."""
        with self._lock:
            self._ended = True
            ends, self._ends = self._ends, set()
        for end in ends:
            end()

    def _discard(self, end: Callable[[], None]) -> None:
        with self._lock:
            self._ends.discard(end)


def on_threads(behavior: Callable[..., Any], pool: ThreadPoolExecutor, *, non_blocking: bool = False) -> Any:
    """A behavior that grpc runs on a pool of its own.

    Args:
        behavior: A handler's function.
        pool: Where it runs.
        non_blocking: Whether a stream's messages are sent by a callback, so that no thread waits for the
            next.
    """

    def run(*arguments: Any) -> Any:
        return behavior(*arguments)

    # What grpcio's own health service sets; without support for it the call runs on the common threads.
    run.experimental_thread_pool = pool  # type: ignore[attr-defined]
    run.experimental_non_blocking = non_blocking  # type: ignore[attr-defined]
    return run
