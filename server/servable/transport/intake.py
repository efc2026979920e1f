"""The way in for calls of grpcio's server, where a drain can hold them: see `servable.transport.arrivals`."""

from __future__ import annotations

import functools
from typing import Any

import grpc

from servable.transport.arrivals import Arrivals


class Intake(grpc.GenericRpcHandler):  # type: ignore[misc,unused-ignore]
    """Passes calls on to other handlers, and holds them while calls are held. Thread-safe."""

    def __init__(self, handlers: Any, arrivals: Arrivals) -> None:
        """Pass calls on.

        Args:
            handlers: The generic handler that has a handler for each call.
            arrivals: Says whether calls are held, and is told of each that is.
        """
        self._handlers, self._arrivals = handlers, arrivals

    def service(self, call: Any) -> Any:
        """The handler of a call. grpcio has picked the call up, so the core no longer drops it."""
        handler = self._handlers.service(call)
        if not self._arrivals.are_held:
            return handler
        self._arrivals.note()
        return _holding(handler, self._arrivals)


def _holding(handler: Any, arrivals: Arrivals) -> Any:
    behavior = handler.unary_unary
    if behavior is None:
        return handler  # It only refuses an unknown method.

    @functools.wraps(behavior)  # With the pool that it names.
    def wait_and_serve(request: bytes, context: Any) -> Any:
        arrivals.wait()
        return behavior(request, context)

    return grpc.unary_unary_rpc_method_handler(wait_and_serve)
