"""The table of methods as gRPC handlers: raw bytes both ways, errors as statuses.

Raw bytes, because the original answers bytes that do not parse in its own way, and because a handler that
parses itself decides on which thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from servable.errors import Internal, ServingError
from servable.methods import Method, WaitingMethod
from servable.transport import status
from servable.transport.side_calls import on_threads

_log = logging.getLogger(__name__)

# A call without a deadline reports one in the far future.
_NO_DEADLINE_S = 1e9


class MethodHandlers(grpc.GenericRpcHandler):  # type: ignore[misc,unused-ignore]
    """Serves a table of unary methods by full path (`/package.Service/Method`), and refuses all others."""

    def __init__(
        self, methods: Mapping[str, Method], waiting: Mapping[str, WaitingMethod], pool: ThreadPoolExecutor
    ) -> None:
        """Make the handlers.

        Args:
            methods: Those that run on the common threads.
            waiting: Those that may wait for minutes.
            pool: Where these run, so that they keep no thread from the others.
        """
        self._handlers = {
            path: grpc.unary_unary_rpc_method_handler(_make_behavior(path, _ignoring_context(method)))
            for path, method in methods.items()
        } | {
            path: grpc.unary_unary_rpc_method_handler(on_threads(_make_behavior(path, _following(method)), pool))
            for path, method in waiting.items()
        }

    def service(self, call: Any) -> Any:
        """The handler of a call; grpc asks each generic handler in turn, this one last."""
        return self._handlers.get(call.method, _UNIMPLEMENTED)


_Answer = Callable[[bytes, "float | None", Any], bytes]


def _ignoring_context(method: Method) -> _Answer:
    return lambda request, time_left_s, _context: method(request, time_left_s)


def _following(method: WaitingMethod) -> _Answer:
    def answer(request: bytes, time_left_s: float | None, context: Any) -> bytes:
        def on_gone(callback: Callable[[], None]) -> None:
            if not context.add_callback(callback):
                callback()

        return method(request, time_left_s, on_gone)

    return answer


def _make_behavior(path: str, answer: _Answer) -> Callable[..., bytes]:
    def serve(request: bytes, context: Any) -> bytes:
        # Nobody waits for a call that was cancelled, or whose deadline passed, while it was queued.
        if not context.is_active():
            return b""
        time_left_s = context.time_remaining()
        try:
            limit_s = time_left_s if time_left_s is not None and time_left_s < _NO_DEADLINE_S else None
            return answer(request, limit_s, context)
        except ServingError as error:
            return _abort(context, error)
        except Exception:
            _log.exception("%s failed in an unforeseen way", path)
            return _abort(context, Internal("Internal error"))

    return serve


def _abort(context: Any, error: ServingError) -> bytes:
    context.set_trailing_metadata(status.trailing_metadata(error))
    # abort raises: grpc then sends the status without a message.
    context.abort(status.grpc_code(error), status.message_bytes(error))
    return b""


def _refuse(_requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    """GRPC C++ answers an unknown method without a text; grpcio would say "Method not found!"."""
    context.set_code(grpc.StatusCode.UNIMPLEMENTED)
    context.set_details("")
    return iter(())


# A stream of streams fits a call of any shape.
_UNIMPLEMENTED = grpc.stream_stream_rpc_method_handler(_refuse)
