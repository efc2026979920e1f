"""Connections that are replaced when they are old: under load no call is lost, over gRPC and HTTP."""

import asyncio
import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from servable.http_exchange import HttpReply
from servable.transport.server import GrpcServer, HotMethods, ServerSettings
from tests.process.transport import PATIENCE_S, UNARY, connect
from tests.transport.http.serving import Client, serving

AGE_S = 0.5
# A call that crosses the server's goodbye was not taken by the server. gRPC's clients send it again by themselves, as
# long as nobody has switched that off.
AS_BY_DEFAULT = {"grpc.enable_retries": 1}
# So many connections must be seen, one after the other.
CONNECTIONS = 4


class Peers:
    """The addresses that calls came from; a method of both kinds."""

    def __init__(self):
        self.seen = set()
        self.are_enough = threading.Event()

    def note(self, peer):
        self.seen.add(peer)
        if len(self.seen) >= CONNECTIONS:
            self.are_enough.set()

    def answer(self, request, _time_left_s, context):
        self.note(context.peer())
        return request

    def answer_on_lane(self, request, _time_left_s, reply):
        self.note(reply.context.peer())
        reply.send(request)


@pytest.fixture
def peers():
    return Peers()


@pytest.fixture(params=[0, 1], ids=["public", "lanes"])
def address(request, peers):
    settings = ServerSettings(["127.0.0.1:0"], lanes=request.param, max_connection_age_s=AGE_S)
    hot = HotMethods({UNARY: peers.answer_on_lane})
    server = GrpcServer({UNARY: peers.answer}, settings, hot_methods=hot)
    (port,) = server.start()
    yield f"127.0.0.1:{port}"
    server.stop()


def test_no_call_of_a_blocking_client_is_lost(address, peers):
    def call(channel):
        method = channel.unary_unary(UNARY)
        while not peers.are_enough.is_set():
            method(b"x", timeout=PATIENCE_S)

    with connect(address, **AS_BY_DEFAULT) as channel, ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(call, channel) for _ in range(3)]
        # Raises what a call has raised.
        assert [each.result(PATIENCE_S) for each in calls] == [None] * 3


def test_no_call_of_an_asyncio_client_is_lost(address, peers):
    async def call(channel):
        method = channel.unary_unary(UNARY)
        while not peers.are_enough.is_set():
            await method(b"x", timeout=PATIENCE_S)

    async def run():
        options = [("grpc.use_local_subchannel_pool", 1), *AS_BY_DEFAULT.items()]
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            await asyncio.wait_for(asyncio.gather(*[call(channel) for _ in range(8)]), PATIENCE_S)

    asyncio.run(run())
    assert peers.are_enough.is_set()


def test_a_call_may_take_longer_than_its_connection_may(peers):
    entered = threading.Event()

    def wait(request, _time_left_s, context):
        if request == b"long":
            entered.set()
            assert peers.are_enough.wait(PATIENCE_S)
        return peers.answer(request, _time_left_s, context)

    server = GrpcServer({UNARY: wait}, ServerSettings(["127.0.0.1:0"], max_connection_age_s=AGE_S))
    (port,) = server.start()
    try:
        with connect(f"127.0.0.1:{port}", **AS_BY_DEFAULT) as channel:
            method = channel.unary_unary(UNARY)
            long = method.future(b"long", timeout=PATIENCE_S)
            assert entered.wait(PATIENCE_S)
            while not peers.are_enough.is_set():
                method(b"short", timeout=PATIENCE_S)
            assert long.result(PATIENCE_S) == b"long"
    finally:
        server.stop()


def test_a_channel_argument_overrules_the_age():
    age = "grpc.max_connection_age_ms"
    assert dict(ServerSettings([], max_connection_age_s=1.5).arguments)[age] == 1500
    assert dict(ServerSettings([], max_connection_age_s=1.5, channel_arguments=[(age, 7)]).arguments)[age] == 7
    assert age not in dict(ServerSettings([]).arguments)
    assert dict(ServerSettings([], max_connection_age_s=1e300).arguments)[age] == 2147483647


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.behaviour("9.2", "ours: a reply on an old connection says that it will be closed, and it is")
def test_an_old_connection_is_closed_after_a_reply_that_says_so():
    with serving(age_s=0.1) as port, Client(port) as client:
        assert client.ask(GET)["connection"] is None
        while client.ask(GET)["connection"] is None:
            pass
        assert client.is_closed()


def test_without_an_age_no_reply_closes_its_connection():
    with serving(age_s=0.0) as port, Client(port) as client:
        for _ in range(100):
            assert client.ask(GET)["connection"] is None


def test_no_request_over_http_is_lost():
    peers = Peers()

    async def answer(request):
        peers.note(request.peer)
        return HttpReply(200, json.dumps({"body": len(request.body)}).encode())

    def ask(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        while not peers.are_enough.is_set():
            connection.request("POST", "/", b"x" * 1000)
            assert connection.getresponse().read() == b'{"body": 1000}'
        connection.close()

    with serving(answer, age_s=AGE_S) as port, ThreadPoolExecutor(2) as threads:
        clients = [threads.submit(ask, port) for _ in range(2)]
        assert [each.result(PATIENCE_S) for each in clients] == [None] * 2
