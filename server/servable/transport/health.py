"""grpc.health.v1: Check and Watch, for the server, its services and each model.

The servicer is grpcio's. Around it: the names, threads of its own, and Watch streams that end in a drain
after they have told NOT_SERVING.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2

from servable.transport.side_calls import OpenStreams, on_threads

SERVICE_NAME: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
OVERALL = ""


class Health:
    """The status of each name; no name serves before it is said to. Thread-safe."""

    def __init__(self, streams: OpenStreams, pool: ThreadPoolExecutor) -> None:
        self._streams = streams
        self._servicer = health.HealthServicer()
        self._pool = pool
        self.set_serving(OVERALL, serving=False)

    def set_serving(self, name: str, *, serving: bool) -> None:
        """Set the status of a name; ignored once the server drains."""
        statuses = health_pb2.HealthCheckResponse
        self._servicer.set(name, statuses.SERVING if serving else statuses.NOT_SERVING)

    def drain(self) -> None:
        """Tell NOT_SERVING for every name, for good."""
        self._servicer.enter_graceful_shutdown()

    def handler(self) -> Any:
        """The generic handler to register."""
        request, response = health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse
        codec = {
            "request_deserializer": request.FromString,
            "response_serializer": response.SerializeToString,
        }
        check = on_threads(self._servicer.Check, self._pool)
        watch = on_threads(self._watch, self._pool, non_blocking=True)
        return grpc.method_handlers_generic_handler(
            SERVICE_NAME,
            {
                "Check": grpc.unary_unary_rpc_method_handler(check, **codec),
                "Watch": grpc.unary_stream_rpc_method_handler(watch, **codec),
            },
        )

    def _watch(self, request: Any, context: Any, send: Callable[[Any], None]) -> None:
        send = _until_none(send)
        self._servicer.Watch(request, context, send)
        context.add_callback(self._streams.add(lambda: send(None)))


def _until_none(send: Callable[[Any], None]) -> Callable[[Any], None]:
    """None ends a stream; grpcio's servicer sends it again when the stream has ended, which grpc takes ill."""
    lock, ended = threading.Lock(), False

    def send_once(response: Any) -> None:
        nonlocal ended
        with lock:
            if ended:
                return
            ended = response is None
            send(response)

    return send_once
