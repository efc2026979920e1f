"""The gRPC side of the fake server: bytes in and out, errors as statuses, faults in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from servable_client import wire
from servable_client._wire_format import Malformed
from servable_client.errors import Code, Internal, InvalidArgument, MalformedReply, ServingError
from servable_client.testing._faults import Call, Orders
from servable_client.testing._methods import CHECK, METHODS, WATCH, HealthBoard, Method, read_service
from servable_client.testing._registry import Registry
from servable_client.testing._requests import Request, make_request

# Threads are made as calls need them. A call that hangs holds one.
_THREADS = 64
_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # Two servers on one port would each get some of the calls.
    ("grpc.so_reuseport", 0),
]
# gRPC reports no deadline as a time in the far future.
_NO_DEADLINE_S = 1e9
_DETAILS_KEY = "grpc-status-details-bin"
_CODES: Mapping[int, grpc.StatusCode] = {status.value[0]: status for status in grpc.StatusCode}

Record = Callable[[Request], None]


class Transport(grpc.GenericRpcHandler):  # type: ignore[misc,unused-ignore]
    """One run of the server, from start to stop."""

    def __init__(self, models: Registry, health: HealthBoard, orders: Orders, record: Record, credentials: Any) -> None:
        """Prepare a run; nothing listens yet."""
        self._models, self._health, self._orders, self._record = models, health, orders, record
        self._credentials = credentials
        self._handlers = {path: self._make_handler(method) for path, method in METHODS.items()}
        self._handlers[CHECK] = grpc.unary_unary_rpc_method_handler(self._check)
        self._handlers[WATCH] = grpc.unary_stream_rpc_method_handler(self._watch)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="fake-model-server")
        self._server = grpc.server(self._pool, (self,), options=_OPTIONS)

    def service(self, call: Any) -> Any:
        """The handler of a call; None makes grpc answer UNIMPLEMENTED."""
        return self._handlers.get(call.method)

    def start(self, port: int) -> int:
        """Listen on a port, 0 for a free one.

        Returns:
            The port.

        Raises:
            RuntimeError: if the port is taken.
        """
        address = f"127.0.0.1:{port}"
        if self._credentials is None:
            bound = self._server.add_insecure_port(address)
        else:
            bound = self._server.add_secure_port(address, self._credentials)
        self._server.start()
        return int(bound)

    def stop(self) -> None:
        """Break off all calls, close the port and end the threads."""
        self._server.stop(None).wait()
        self._pool.shutdown()

    def _make_handler(self, method: Method) -> Any:
        def serve(data: bytes, context: Any) -> bytes:
            try:
                request = _parse(method, data, context)
                return self._answer(request, context, lambda: self._reply(method, request))
            except ServingError as error:
                return _abort(context, error)

        return grpc.unary_unary_rpc_method_handler(serve)

    def _reply(self, method: Method, request: Request) -> bytes:
        reply: bytes = method.answer(self._models, request).SerializeToString()
        return reply

    def _answer(self, request: Request, context: Any, answer: Callable[[], bytes]) -> bytes:
        fault = self._orders.take(request)
        self._record(request)
        if fault is None:
            return answer()
        if isinstance(fault, ServingError):
            raise fault
        return fault.apply(request.method, Call(context), answer)

    def _check(self, data: bytes, context: Any) -> bytes:
        try:
            request = _read_health("Check", data, context)
            return self._answer(request, context, lambda: self._health.check(request.model))
        except ServingError as error:
            return _abort(context, error)

    def _watch(self, data: bytes, context: Any) -> Iterator[bytes]:
        try:
            request = _read_health("Watch", data, context)
            # Faults that answer or wait are for one reply; the first of a stream is what they apply to.
            self._answer(request, context, lambda: b"")
        except ServingError as error:
            _abort(context, error)
        yield from self._health.watch(request.model, context.is_active)


def _parse(method: Method, data: bytes, context: Any) -> Request:
    metadata, deadline_s = _read_metadata(context), _read_deadline(context)
    try:
        return make_request(method.name, method.request.FromString(data), metadata, deadline_s)
    except DecodeError:
        # Without a text, as gRPC C++ answers what does not parse.
        raise Internal("") from None
    except MalformedReply as error:
        raise InvalidArgument(f"tensor parsing error: {error}") from None


def _read_health(method: str, data: bytes, context: Any) -> Request:
    try:
        name = read_service(data)
    except Malformed:
        raise Internal("") from None
    return Request(method, model=name, metadata=_read_metadata(context), deadline_s=_read_deadline(context))


def _read_metadata(context: Any) -> dict[str, str | bytes]:
    return {pair.key: pair.value for pair in context.invocation_metadata()}


def _read_deadline(context: Any) -> float | None:
    left_s = context.time_remaining()
    return None if left_s is None or left_s > _NO_DEADLINE_S else float(left_s)


def _abort(context: Any, error: ServingError) -> bytes:
    if error.hints:
        context.set_trailing_metadata(((_DETAILS_KEY, _details(error)),))
    # abort raises: grpc then sends the status without a message.
    context.abort(_CODES[error.code], error.message)
    return b""


def _details(error: ServingError) -> bytes:
    """The hints as a google.rpc.Status with one ErrorInfo, as `servable` sends them."""
    status = wire.Status(code=int(error.code))
    info = wire.ErrorInfo(reason=Code(error.code).name, domain="servable", metadata=dict(error.hints))
    status.details.add().Pack(info)
    return status.SerializeToString()
