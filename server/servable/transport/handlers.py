"""The table of methods as handlers of grpcio's server: raw bytes both ways, errors as statuses.

Raw bytes, because the original answers bytes that do not parse in its own way, and because the thread that parses
depends on the method.

Calls that may last long have thread pools of their own (`on_threads`): health and reflection, so that models that keep
all workers busy do not delay a health check, and methods that may wait for minutes, so that operators who wait for a
broken model's reload delay no Predict. Streams that stay open for hours are known (`OpenStreams`) and ended when the
server stops, so that they do not delay a drain.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from servable.errors import HIDE_ERROR_TEXT, Internal, ServingError
from servable.methods import Method
from servable.transport import status
from servable.transport.identities import grpc_identities

_log = logging.getLogger(__name__)

# A call without a deadline reports one in the far future.
_NO_DEADLINE_S = 1e9


class MethodHandlers(grpc.GenericRpcHandler):  # type: ignore[misc,unused-ignore]
    """Serves a table of unary methods by full path (`/package.Service/Method`), and refuses all others."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        waiting: Mapping[str, Method],
        pool: ThreadPoolExecutor,
        trailing_metadata: status.TrailingMetadata = status.trailing_metadata,
        calls: CallCounts | None = None,
    ) -> None:
        """Make the handlers.

        Args:
            methods: Methods that run on the threads of grpcio's server.
            waiting: Methods that may wait for minutes.
            pool: Where these run, so that they take no thread from the others.
            trailing_metadata: What is sent beside the message of an error.
            calls: Counts the calls.
        """
        behave = functools.partial(_make_behavior, trailing_metadata, calls or CallCounts())
        self._handlers = {
            path: grpc.unary_unary_rpc_method_handler(behave(path, method)) for path, method in methods.items()
        } | {
            path: grpc.unary_unary_rpc_method_handler(on_threads(behave(path, method), pool))
            for path, method in waiting.items()
        }

    def service(self, call: Any) -> Any:
        """The handler of a call; grpc asks each generic handler in turn, this one last."""
        return self._handlers.get(call.method, _UNIMPLEMENTED)


class CallCounts:
    """Counts of the calls of grpcio's server. Thread-safe.

    Attributes:
        open: How many are on a thread.
        aborted: How many had ended before their turn came: cancelled, or too late.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.open = self.aborted = 0

    def __enter__(self) -> None:
        with self._lock:
            self.open += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.open -= 1

    def note_aborted(self) -> None:
        """Count a call that ended before its turn came."""
        with self._lock:
            self.aborted += 1


class _Context:
    """The context of a call of grpcio's server: a calls.EndableContext."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def metadata(self) -> Sequence[tuple[str, str | bytes]]:
        metadata: Sequence[tuple[str, str | bytes]] = self._context.invocation_metadata()
        return metadata

    def peer(self) -> str:
        peer: str = self._context.peer()
        return peer

    def identities(self) -> Sequence[str]:
        return grpc_identities(self._context.auth_context())

    def on_end(self, callback: Callable[[], None]) -> None:
        if not self._context.add_callback(callback):
            callback()


def _make_behavior(
    trailing_metadata: status.TrailingMetadata, calls: CallCounts, path: str, answer: Method
) -> Callable[..., bytes]:
    def abort(context: Any, error: ServingError) -> bytes:
        context.set_trailing_metadata(trailing_metadata(error))
        # abort raises: grpc then sends the status without a message.
        context.abort(status.grpc_code(error), status.message_bytes(error))
        return b""

    def serve(request: bytes, context: Any) -> bytes:
        # The call may have been cancelled, or its deadline may have passed, while it was queued for a thread.
        if not context.is_active():
            calls.note_aborted()
            return b""
        time_left_s = context.time_remaining()
        try:
            limit_s = time_left_s if time_left_s is not None and time_left_s < _NO_DEADLINE_S else None
            with calls:
                return answer(request, limit_s, _Context(context))
        except ServingError as error:
            return abort(context, error)
        except Exception:
            _log.exception("%s failed in an unforeseen way", path, extra=HIDE_ERROR_TEXT)
            return abort(context, Internal("Internal error"))

    return serve


def _refuse(_requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    """GRPC C++ answers an unknown method without a text; grpcio would say "Method not found!"."""
    context.set_code(grpc.StatusCode.UNIMPLEMENTED)
    context.set_details("")
    return iter(())


# A handler of streams fits a call of any shape.
_UNIMPLEMENTED = grpc.stream_stream_rpc_method_handler(_refuse)


def on_threads(behavior: Callable[..., Any], pool: ThreadPoolExecutor, *, non_blocking: bool = False) -> Any:
    """A behavior that grpc runs on a thread pool of its own.

    Uses grpcio's experimental attributes, which its own health service uses too; a grpcio without them runs the call on
    the server's common threads.

    Args:
        behavior: A handler's function.
        pool: Where it runs.
        non_blocking: Whether the messages of a stream are sent by a callback, so that no thread waits for the next
            message.
    """

    def run(*arguments: Any) -> Any:
        return behavior(*arguments)

    run.experimental_thread_pool = pool  # type: ignore[attr-defined]
    run.experimental_non_blocking = non_blocking  # type: ignore[attr-defined]
    return run


class OpenStreams:
    """Streams that last until their client or the server ends them. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: set[Callable[[], None]] = set()
        self._ended = False

    def follow(self, context: Any, end: Callable[[], None]) -> None:
        """Keep `end`, which ends a stream, until the stream is over; call it at once if the server is stopping."""
        with self._lock:
            ended = self._ended
            if not ended:
                self._ends.add(end)
        if ended:
            end()
        elif not context.add_callback(lambda: self._discard(end)):
            self._discard(end)  # The stream was over before `follow` was called.

    def end_all(self) -> None:
        """End all streams, and every later one as it begins."""
        with self._lock:
            self._ended = True
            ends, self._ends = self._ends, set()
        for end in ends:
            end()

    def _discard(self, end: Callable[[], None]) -> None:
        with self._lock:
            self._ends.discard(end)
