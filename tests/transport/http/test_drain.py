"""A drain loses no request: each is answered, or its connection was refused after the port had closed."""

import asyncio
import concurrent.futures
import http.client
import threading

import pytest

from servable.http_exchange import HttpReply
from tests.transport.http.serving import PATIENCE_S, Client, echo, get, post, serving_server


class Gate:
    """A handler that answers once it is opened."""

    def __init__(self):
        self.called, self._opened = threading.Event(), threading.Event()

    async def __call__(self, request):
        self.called.set()
        await asyncio.to_thread(self._opened.wait)
        return await echo(request)

    def open(self):
        self._opened.set()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


def is_refused(port):
    try:
        Client(port).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # In the handshake when the port closed.
        return False
    return False


def wait_until_refused(port):
    while not is_refused(port):
        pass


@pytest.mark.behaviour("9.1", "ours: a drain answers requests in flight")
def test_a_request_in_flight_is_answered_and_its_connection_closed(gate):
    with serving_server(gate) as (server, port), Client(port) as client:
        client.send(post(b"abc"))
        assert gate.called.wait(PATIENCE_S)
        drained = server.begin_drain(PATIENCE_S)
        wait_until_refused(port)
        assert not drained.done()
        gate.open()
        answer = client.read()
        assert (answer.json["body"], answer["connection"]) == ("abc", "close")
        assert client.is_closed()
        drained.result(PATIENCE_S)


def test_a_request_whose_body_still_comes_is_answered():
    with serving_server() as (server, port), Client(port) as client:
        client.send(post(b"abc")[:-1])
        drained = server.begin_drain(PATIENCE_S)
        wait_until_refused(port)
        client.send(b"c")
        assert client.read().json["body"] == "abc"
        drained.result(PATIENCE_S)


def test_a_request_on_an_idle_connection_is_answered_and_told_to_close():
    with serving_server(drain_idle_s=PATIENCE_S) as (server, port), Client(port) as client:
        assert client.ask(get())["connection"] is None
        drained = server.begin_drain(PATIENCE_S)
        wait_until_refused(port)
        assert client.ask(get())["connection"] == "close"
        drained.result(PATIENCE_S)


def test_idle_connections_are_closed_after_a_moment():
    with serving_server(drain_idle_s=0.1) as (server, port), Client(port) as client, Client(port):
        client.ask(get())
        server.drain(PATIENCE_S)
        assert client.is_closed()


def test_a_drain_without_connections_is_over_at_once():
    with serving_server(drain_idle_s=PATIENCE_S) as (server, port):
        server.drain(PATIENCE_S)
        assert is_refused(port)


def test_what_takes_longer_than_the_grace_is_cut_off(gate):
    with serving_server(gate) as (server, port), Client(port) as client:
        client.send(get())
        assert gate.called.wait(PATIENCE_S)
        server.drain(0.1)
        assert client.is_closed()


def test_a_stream_ends_properly_in_a_drain():
    async def parts():
        yield b"first"
        await asyncio.Event().wait()

    async def answer(_request):
        return HttpReply(200, parts())

    with serving_server(answer) as (server, port), Client(port) as client:
        client.send(get())
        while b"first" not in (received := client.socket.recv(1000)):
            pass
        server.begin_drain(PATIENCE_S).result(PATIENCE_S)
        received += client.socket.makefile("rb").read()
        assert received.endswith(b"first\r\n0\r\n\r\n")


@pytest.mark.behaviour("9.1", "ours: a drain answers requests in flight")
@pytest.mark.parametrize("keeps_alive", [True, False])
def test_no_request_of_many_clients_is_lost_in_a_drain(keeps_alive):
    answered = threading.Semaphore(0)

    def call_until_refused(port):
        """What was sent and never answered; a connection that is refused was sent nothing."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            while True:
                try:
                    connection.connect()
                except (ConnectionRefusedError, ConnectionResetError):
                    return 0
                while connection.sock is not None:
                    headers = {} if keeps_alive else {"Connection": "close"}
                    connection.request("POST", "/v1/models/m:predict", b"abc", headers)
                    if connection.getresponse().read() == b"":
                        return 1
                    answered.release()
        except (OSError, http.client.HTTPException) as error:
            return error
        finally:
            connection.close()

    with serving_server() as (server, port), concurrent.futures.ThreadPoolExecutor(16) as pool:
        calls = [pool.submit(call_until_refused, port) for _ in range(16)]
        for _ in range(500):
            assert answered.acquire(timeout=PATIENCE_S)
        server.drain(PATIENCE_S)
        assert [call.result(PATIENCE_S) for call in calls] == [0] * 16


def test_a_server_that_never_started_can_be_stopped():
    with serving_server() as (server, _):
        server.stop()
        server.stop()
        server.begin_drain(1).result(PATIENCE_S)
