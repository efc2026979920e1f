"""Callers that open streams and go no further lock nobody out."""

import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servable.errors import ResourceExhausted
from servable.methods import Gate
from servable.transport.server import GrpcServer, HotMethods, ServerSettings
from tests.process.transport import PATIENCE_S, UNARY, connect
from tests.transport.serving import inline


@pytest.fixture
def server():
    """A server that lets one call in at a time, and its channel."""
    full = Gate(1, lambda path, context, calls: ResourceExhausted(f"{calls} calls"))
    hot = HotMethods({UNARY: inline(lambda request, time_left_s: request)}, gate=full)
    server = GrpcServer({UNARY: lambda request, *_: request}, ServerSettings(["127.0.0.1:0"], lanes=1), hot_methods=hot)
    (port,) = server.start()
    server.health.set_serving("", serving=True)
    with connect(f"127.0.0.1:{port}") as channel:
        yield server, channel
    server.stop()


def open_without_message(channel, count):
    """Calls whose client never sends the message; and the function that ends them."""
    over = threading.Event()

    def nothing():
        over.wait(PATIENCE_S)
        return
        yield

    calls = [channel.stream_unary(UNARY).future(nothing()) for _ in range(count)]

    def end():
        over.set()
        for call in calls:
            call.cancel()

    return end


def test_calls_without_a_message_take_no_room_from_others(server):
    running, channel = server
    end = open_without_message(channel, 20)
    try:
        while running._lanes.count_open_calls() < 20:
            assert channel.unary_unary(UNARY)(b"meanwhile", timeout=PATIENCE_S) == b"meanwhile"
        assert channel.unary_unary(UNARY)(b"answer", timeout=PATIENCE_S) == b"answer"
    finally:
        end()


def test_a_name_that_is_too_long_is_not_watched(server):
    _, channel = server
    watch = health_pb2_grpc.HealthStub(channel).Watch
    with pytest.raises(grpc.RpcError) as caught:
        next(watch(health_pb2.HealthCheckRequest(service="x" * 2000), timeout=PATIENCE_S))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_so_many_names_of_nothing_are_watched_and_no_more(server):
    _, channel = server
    watch = health_pb2_grpc.HealthStub(channel).Watch
    for number in range(1000):
        call = watch(health_pb2.HealthCheckRequest(service=f"none {number}"), timeout=PATIENCE_S)
        assert next(call).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        call.cancel()
    with pytest.raises(grpc.RpcError) as caught:
        next(watch(health_pb2.HealthCheckRequest(service="one more"), timeout=PATIENCE_S))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    known = watch(health_pb2.HealthCheckRequest(service=""), timeout=PATIENCE_S)
    assert next(known).status == health_pb2.HealthCheckResponse.SERVING
    known.cancel()
