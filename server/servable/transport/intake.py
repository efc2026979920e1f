"""The way in for calls, which a drain closes before grpc's server stops.

grpc's own stop drops the calls that have arrived and were not picked up yet. Their callers see CANCELLED, which no
client tries again elsewhere. So new calls are refused here first, with UNAVAILABLE, until no more of them come.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from servable.transport.refusals import Refusals
from servable.transport.side_calls import on_threads


class Intake(grpc.GenericRpcHandler):  # type: ignore[misc,unused-ignore]
    """Passes calls on to other handlers until it is closed. Thread-safe."""

    def __init__(self, handlers: Any, pool: ThreadPoolExecutor, refusals: Refusals) -> None:
        """Open.

        Args:
            handlers: The generic handler that has a handler for each call.
            pool: Where calls are refused, as the common threads may all be busy.
            refusals: Told of each call that is refused.
        """
        self._handlers = handlers
        self._closed = False
        self._refusals = refusals
        self._refusal = grpc.stream_stream_rpc_method_handler(on_threads(_refuse, pool))

    def service(self, call: Any) -> Any:
        """The handler of a call."""
        if not self._closed:
            return self._handlers.service(call)
        self._refusals.note()
        return self._refusal

    def refuse(self) -> None:
        """Refuse all calls from now on."""
        self._closed = True


def _refuse(_requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    context.set_code(grpc.StatusCode.UNAVAILABLE)
    context.set_details("The server is shutting down.")
    return iter(())
