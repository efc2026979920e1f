"""The way in for calls, which a drain closes before grpc's server stops.

grpc's own stop drops the calls that have arrived and were not picked up yet. Their callers see CANCELLED, which no
client tries again elsewhere. So new calls are refused here first, with UNAVAILABLE, until no more of them come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from servable.transport.side_calls import on_threads

# Longer than a call needs from the socket to its handler; short beside what a drain waits for anyway.
_QUIET_S = 0.1
# Callers who try again at once and for ever must not hold up a drain.
_LONGEST_CLOSING_S = 1.0


class Intake(grpc.GenericRpcHandler):  # type: ignore[misc,unused-ignore]
    """Passes calls on to other handlers until it is closed. Thread-safe."""

    def __init__(self, handlers: Any, pool: ThreadPoolExecutor) -> None:
        """Open.

        Args:
            handlers: The generic handler that has a handler for each call.
            pool: Where calls are refused, as the common threads may all be busy.
        """
        self._handlers = handlers
        self._closed = False
        self._refused = threading.Event()
        self._refusal = grpc.stream_stream_rpc_method_handler(on_threads(_refuse, pool))

    def service(self, call: Any) -> Any:
        """The handler of a call."""
        if not self._closed:
            return self._handlers.service(call)
        self._refused.set()
        return self._refusal

    def close(self, grace_s: float) -> None:
        """Refuse all calls from now on, and return when none has come for a moment or the grace is over."""
        self._closed = True
        closed_at = time.monotonic() + min(grace_s, _LONGEST_CLOSING_S)
        while self._refused.wait(min(_QUIET_S, max(closed_at - time.monotonic(), 0))):
            self._refused.clear()


def _refuse(_requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    context.set_code(grpc.StatusCode.UNAVAILABLE)
    context.set_details("The server is shutting down.")
    return iter(())
