"""Compressed calls over sockets, of each kind of service, with lanes and without."""

import contextlib
import gzip

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from servable.methods import without_context
from servable.transport.server import GrpcServer, HotMethods, ServerSettings
from tests.process.transport import PATIENCE_S, UNARY, connect
from tests.transport.serving import inline

MIB = 1 << 20
WAITING = "/test.Service/Wait"
BOTH = [grpc.Compression.Gzip, grpc.Compression.Deflate]
NO_LIMIT = {"grpc.max_send_message_length": -1, "grpc.max_receive_message_length": -1}


def echo(request, _time_left_s):
    return request


@contextlib.contextmanager
def serving(*, lanes, arguments=None, **settings):
    """Yields a channel to a server with an echo on the hot path, one that may wait, health and reflection."""
    server = GrpcServer(
        {UNARY: without_context(echo)},
        ServerSettings(addresses=["127.0.0.1:0"], lanes=lanes, **settings),
        {WAITING: without_context(echo)},
        HotMethods({UNARY: inline(echo)}),
    )
    (port,) = server.start()
    try:
        with connect(f"127.0.0.1:{port}", **{**NO_LIMIT, **(arguments or {})}) as channel:
            yield channel, server
    finally:
        server.stop()


@pytest.fixture(params=[0, 1], ids=["public", "lanes"])
def lanes(request):
    return request.param


@pytest.mark.behaviour("11.2", "compressed requests are understood and counted by what they become")
@pytest.mark.parametrize("compression", BOTH)
@pytest.mark.parametrize("message", [b"", b"x", b"x" * 7, b"\x1f\x8b" * 500, b"x\x9c" * 500, bytes(MIB)])
def test_a_compressed_message_arrives_as_it_was_sent(lanes, compression, message):
    with serving(lanes=lanes) as (channel, _):
        for path in (UNARY, WAITING):
            answer = channel.unary_unary(path)(message, timeout=PATIENCE_S, compression=compression)
            assert answer == message


@pytest.mark.parametrize("compression", BOTH)
def test_what_decompresses_to_more_than_the_bound_is_refused_and_counted(lanes, compression):
    with serving(lanes=lanes, max_decompressed_bytes=MIB) as (channel, server):
        call = channel.unary_unary(UNARY).future(bytes(8 * MIB), timeout=PATIENCE_S, compression=compression)
        error = call.exception(PATIENCE_S)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.details().startswith("SERVER: Received message larger than max (")
        assert error.details().endswith("vs. 1048576) after decompression; --grpc_max_decompressed_mb sets the limit")
        assert channel.unary_unary(UNARY)(bytes(8 * MIB), timeout=PATIENCE_S) == bytes(8 * MIB)
        counts = {family.name: family.values for family in server.families()}
        assert counts["servable_refused_compressed_messages"] == {(): 1}


@pytest.mark.parametrize("compression", BOTH)
def test_health_and_reflection_understand_compressed_messages(lanes, compression):
    # Long enough for gRPC to compress it.
    name = "name" * 200
    with serving(lanes=lanes) as (channel, server):
        server.health.set_serving(name, serving=True)
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=name)
        assert stub.Check(request, timeout=PATIENCE_S, compression=compression).status == 1
        watch = stub.Watch(request, timeout=PATIENCE_S, compression=compression)
        assert next(watch).status == 1
        watch.cancel()
        question = reflection_pb2.ServerReflectionRequest(list_services="*" * 500)
        (answer,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
            iter([question]), timeout=PATIENCE_S, compression=compression
        )
        assert "test.Service" in [service.name for service in answer.list_services_response.service]


def test_health_and_reflection_refuse_what_decompresses_to_too_much(lanes):
    compression, name = grpc.Compression.Gzip, "x" * 8 * MIB
    with serving(lanes=lanes, max_decompressed_bytes=MIB) as (channel, _):
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=name)
        check = stub.Check.future(request, timeout=PATIENCE_S, compression=compression)
        assert check.exception(PATIENCE_S).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as watch:
            next(stub.Watch(request, timeout=PATIENCE_S, compression=compression))
        assert watch.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        question = reflection_pb2.ServerReflectionRequest(list_services=name)
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        with pytest.raises(grpc.RpcError) as stream:
            next(reflection.ServerReflectionInfo(iter([question]), timeout=PATIENCE_S, compression=compression))
        assert stream.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("message", [b"\xff", b"\x1f\x8b", gzip.compress(b"\xff", mtime=0)])
def test_a_health_check_that_does_not_parse_is_answered_as_grpcio_does(lanes, message):
    with serving(lanes=lanes) as (channel, _):
        error = channel.unary_unary("/grpc.health.v1.Health/Check").future(message).exception(PATIENCE_S)
        assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, "Exception deserializing request!")


@pytest.mark.behaviour("11.2", "ours: replies are not compressed")
def test_a_reply_to_a_compressed_call_is_not_compressed(lanes):
    # A client whose core leaves compressed messages as they are sees what was sent.
    with serving(lanes=lanes, arguments={"grpc.per_message_decompression": 0}) as (channel, _):
        answer = channel.unary_unary(UNARY)(bytes(MIB), timeout=PATIENCE_S, compression=grpc.Compression.Gzip)
        assert answer == bytes(MIB)
