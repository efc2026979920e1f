"""Calls as they arrive, and the pause in which a drain can shut grpc's server down without losing one.

From the moment its shutdown begins, grpc's core takes no new call. Calls that are on their way then, or that wait in
the core for the server to take them, are dropped, and their callers see CANCELLED, which no client tries again
(measured: 2 calls a stop with 8 callers). A client sends no more calls once it has read the GOAWAY that the shutdown
sends, so these are the calls of about one round trip, and only callers that send nothing during that time lose none.

To refuse calls does not make callers stop sending, and each refused call is lost where another server would have
answered it (measured: hundreds a stop). To hold calls does: a caller that waits for a reply sends no other call. So the
server takes the calls that arrive in the pause, and begins them when the shutdown has begun. They count as calls in
flight then, and end with their answers.

Lanes hold calls by `begin_or_hold`; `HoldingHandlers` does the same for the calls of grpcio's server.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from servable.errors import HIDE_ERROR_TEXT

_log = logging.getLogger(__name__)

# More than a call needs from the socket to the place where it is held. Held calls wait for this time.
_QUIET_S = 0.05
# The bound where calls never cease to arrive, since a drain and the calls that are held must not wait for ever. It
# counts from the last look at which a thread was busy: the calls behind a busy thread arrive only after that.
_LONGEST_PAUSE_S = 0.2


class Arrivals:
    """Whether calls are held as they arrive, and the calls that are held. Thread-safe.

    Attributes:
        are_held: Whether a call that arrives now is held. `begin_or_hold` and `wait` read it themselves.
    """

    def __init__(self) -> None:
        self.are_held = False
        self._lock = threading.Lock()
        self._noted = threading.Event()
        self._released = threading.Event()
        self._released.set()
        self._held: list[Callable[[], None]] = []

    def begin_or_hold(self, begin: Callable[[], None]) -> None:
        """Begin a call that has arrived: at once, or, if calls are held, on the thread that releases them."""
        with self._lock:
            if self.are_held:
                self._held.append(begin)
                self._noted.set()
                return
        begin()

    def wait(self) -> None:
        """Block the thread of a call while calls are held, but not for long."""
        self._released.wait(_LONGEST_PAUSE_S)

    def note(self) -> None:
        """Restart the wait for quiet: a call was held, or a busy thread can take calls again."""
        self._noted.set()

    @contextlib.contextmanager
    def paused(self, longest_s: float, is_busy: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Hold calls; enter when no more of them arrive, or when the time is over; release them at the end.

        Args:
            longest_s: How long to wait for busy threads.
            is_busy: Whether a thread that takes calls does something else at this moment. No calls arrive behind it
                then, so that quiet means nothing. Such a thread calls `note` before it ceases to be busy.
        """
        with self._lock:
            self.are_held = True
            self._released.clear()
        try:
            self._await_quiet(longest_s, is_busy)
            yield
        finally:
            self._release()

    def _await_quiet(self, longest_s: float, is_busy: Callable[[], bool]) -> None:
        now = began_at = idle_since = time.monotonic()
        while True:
            self._noted.clear()
            self._noted.wait(max(min(_quiet_s(now - idle_since), began_at + longest_s - now), 0))
            now = time.monotonic()
            if now - began_at >= longest_s:
                return
            if is_busy():
                idle_since = now
            elif not self._noted.is_set() or now - idle_since >= _LONGEST_PAUSE_S:
                return

    def _release(self) -> None:
        with self._lock:
            self.are_held = False
            held, self._held = self._held, []
        self._released.set()
        for begin in held:
            _begin(begin)


def _quiet_s(waited_s: float) -> float:
    """For how long no call must arrive; the longer the wait so far, the shorter."""
    return _QUIET_S * max(1 - waited_s / _LONGEST_PAUSE_S, 0)


def _begin(begin: Callable[[], None]) -> None:
    try:
        begin()
    except Exception:
        # Not raised, since the calls behind it are still to begin.
        _log.exception("A call that was held could not begin", extra=HIDE_ERROR_TEXT)


class HoldingHandlers(grpc.GenericRpcHandler):  # type: ignore[misc,unused-ignore]
    """Passes the calls of grpcio's server on to other handlers, and holds them while calls are held. Thread-safe."""

    def __init__(self, handlers: Any, arrivals: Arrivals) -> None:
        """Pass calls on.

        Args:
            handlers: The generic handler that has a handler for each call.
            arrivals: Says whether calls are held; each call that is held is noted there.
        """
        self._handlers, self._arrivals = handlers, arrivals

    def service(self, call: Any) -> Any:
        """The handler of a call. grpcio has taken the call from the core, which therefore no longer drops it."""
        handler = self._handlers.service(call)
        if not self._arrivals.are_held:
            return handler
        self._arrivals.note()
        return _holding(handler, self._arrivals)


def _holding(handler: Any, arrivals: Arrivals) -> Any:
    behavior = handler.unary_unary
    if behavior is None:
        return handler  # The handler of unknown methods, which only refuses.

    # `wraps` also copies the attribute that names the thread pool of the behavior.
    @functools.wraps(behavior)
    def wait_and_serve(request: bytes, context: Any) -> Any:
        arrivals.wait()
        return behavior(request, context)

    return grpc.unary_unary_rpc_method_handler(wait_and_serve)
