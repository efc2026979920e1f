"""grpc.health.v1: Check, List and Watch, for the server, its services and each model.

The servicer is grpcio's. This module adds names; List, which that servicer lacks; threads of its own, so that busy
models do not delay a health check; and Watch streams that delay no other stream when their client does not read, and
that end in a drain after they have sent NOT_SERVING.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from servable.transport.compression import Decompressor
from servable.transport.handlers import OpenStreams, on_threads

_log = logging.getLogger(__name__)

_SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"]
_Response = health_pb2.HealthCheckResponse
SERVICE_NAME: str = _SERVICE.full_name
OVERALL = ""
# Older releases of grpcio-health-checking do not describe it.
_HAS_LIST = "List" in _SERVICE.methods_by_name
# How long one message of a Watch stream may wait for its client to read.
_LONGEST_SEND_S = 5.0
# Names that nothing here has and that were watched; a model of that name may come.
_MOST_UNKNOWN_NAMES = 1000
_LONGEST_NAME = 1024


class Health:
    """The status of each name; none is SERVING before `set_serving` says so. Thread-safe."""

    def __init__(
        self,
        streams: OpenStreams,
        pool: ThreadPoolExecutor,
        watch_pool: ThreadPoolExecutor,
        decompress: Decompressor,
    ) -> None:
        """Serve no name yet.

        Args:
            streams: Where open streams are remembered.
            pool: Where calls run.
            watch_pool: Where the messages of Watch streams are sent.
            decompress: Reads messages that were compressed.
        """
        self._streams = streams
        self._read = decompress.reader(health_pb2.HealthCheckRequest.FromString)
        self._servicer = health.HealthServicer()
        self._pool, self._watch_pool = pool, watch_pool
        # Guards what follows, and keeps the servicer's statuses equal to these.
        self._lock = threading.Lock()
        self._statuses: dict[str, int] = {}
        self._watched_unknown: set[str] = set()
        self._is_over = self._has_failed = False
        self.set_serving(OVERALL, serving=False)

    def set_serving(self, name: str, *, serving: bool) -> None:
        """Set the status of a name; ignored once the server drains or has failed."""
        status = _Response.SERVING if serving else _Response.NOT_SERVING
        with self._lock:
            if not self._is_over:
                self._statuses[name] = status
                self._servicer.set(name, status)

    def is_serving(self, name: str = OVERALL) -> bool:
        """Whether a name is reported as SERVING; by default the server as a whole."""
        with self._lock:
            return bool(self._statuses.get(name) == _Response.SERVING)

    def drain(self) -> None:
        """Report NOT_SERVING for every name, for good, also to watchers."""
        with self._lock:
            self._is_over = True
            self._statuses = dict.fromkeys(self._statuses, _Response.NOT_SERVING)
            self._servicer.enter_graceful_shutdown()

    def fail(self, reason: str) -> None:
        """Report NOT_SERVING for every name, for good, since the server can no longer serve.

        Only the first reason is logged, since later failures may be its consequences. From any thread.
        """
        with self._lock:
            is_first, self._has_failed = not self._has_failed, True
        if is_first:
            _log.error("NOT_SERVING from now on: %s", reason)
        self.drain()

    def handler(self) -> Any:
        """The generic handler to register."""
        serializer = {"response_serializer": _Response.SerializeToString}
        check = on_threads(self._check, self._pool)
        watch = on_threads(self._watch, self._pool, non_blocking=True)
        handlers = {
            "Check": grpc.unary_unary_rpc_method_handler(check, **serializer),
            "Watch": grpc.unary_stream_rpc_method_handler(watch, **serializer),
        }
        if _HAS_LIST:
            handlers["List"] = grpc.unary_unary_rpc_method_handler(
                on_threads(self._list, self._pool),
                response_serializer=health_pb2.HealthListResponse.SerializeToString,
            )
        return grpc.method_handlers_generic_handler(SERVICE_NAME, handlers)

    def _check(self, message: bytes, context: Any) -> Any:
        return self._servicer.Check(self._read(message, context), context)

    def _check_name(self, name: str, context: Any) -> None:
        """Refuse to watch a name that nothing here can have: grpcio's servicer keeps each name that was watched."""
        with self._lock:
            if name in self._statuses or name in self._watched_unknown:
                return
            if len(name) <= _LONGEST_NAME and len(self._watched_unknown) < _MOST_UNKNOWN_NAMES:
                self._watched_unknown.add(name)
                return
        text = "the name of the service is too long, or too many names of none are watched"
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, text)

    def _list(self, _message: bytes, _context: Any) -> Any:
        with self._lock:
            statuses = dict(self._statuses)
        return health_pb2.HealthListResponse(
            statuses={name: _Response(status=status) for name, status in statuses.items()}
        )

    def _watch(self, message: bytes, context: Any, send: Callable[[Any], None]) -> None:
        request = self._read(message, context)
        self._check_name(request.service, context)
        outbox = _Outbox(send, self._watch_pool, context.cancel)
        self._servicer.Watch(request, context, outbox)
        self._streams.follow(context, lambda: outbox(None))


class _Outbox:
    """The messages of one Watch stream, sent in order by a pool, and no message twice in a row. Thread-safe.

    Sending blocks until the client reads, and grpcio's servicer sends under a lock that every other health call and
    every change of a status needs. None ends a stream. The servicer sends None again when the stream has ended, which
    would be an error in grpc.
    """

    def __init__(
        self, send: Callable[[Any], None], pool: ThreadPoolExecutor, cancel: Callable[[], object] = lambda: None
    ) -> None:
        self._send, self._pool, self._cancel = send, pool, cancel
        self._lock = threading.Lock()
        self._waiting: deque[Any] = deque()
        self._last: Any = None
        self._sending = self._ended = False

    def __call__(self, response: Any) -> None:
        """Queue a response, or None to end the stream; return at once."""
        with self._lock:
            if self._ended or (response is not None and response == self._last):
                return
            self._last, self._ended = response, response is None
            self._waiting.append(response)
            if self._sending:
                return
            self._sending = True
        self._pool.submit(self._send_all)

    def _send_all(self) -> None:
        while True:
            with self._lock:
                self._sending = bool(self._waiting)
                if not self._sending:
                    return
                response = self._waiting.popleft()
            # A client that does not read would keep the thread, and with a few of them all streams would stand still.
            reading = threading.Timer(_LONGEST_SEND_S, self._cancel)
            reading.daemon = True
            reading.start()
            try:
                self._send(response)
            finally:
                reading.cancel()
