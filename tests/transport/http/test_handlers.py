"""What the transport makes of its handler: replies of all kinds, faults, streams, and clients that do not wait."""

import asyncio
import logging
import threading

import pytest

from servable.http_exchange import HttpReply
from tests.transport.http.serving import PATIENCE_S, Client, ask, get, post, serving, serving_server


@pytest.mark.parametrize("status", [200, 400, 429, 499, 504])
def test_a_reply_has_its_status_headers_and_body(status):
    async def answer(_request):
        return HttpReply(status, b"body", "text/plain", [(b"access-control-allow-origin", b"*")])

    with serving(answer) as port:
        answer = ask(port, get())
        assert (answer.status, answer.body) == (status, b"body")
        names = [name for name, _ in answer.headers]
        assert names == ["content-type", "access-control-allow-origin", "date", "content-length"]


def test_a_reply_may_have_no_content_type():
    async def answer(_request):
        return HttpReply(200, content_type=None)

    with serving(answer) as port:
        assert ask(port, get())["content-type"] is None


def test_a_fault_of_the_handler_is_500_without_details_and_logged(caplog):
    async def answer(request):
        raise RuntimeError("secret")

    with caplog.at_level(logging.ERROR), serving(answer) as port, Client(port) as client:
        answer = client.ask(get())
        assert (answer.status, answer.json) == (500, {"error": "Internal error"})
        assert client.ask(get()).status == 500
    assert "RuntimeError: secret" in caplog.text


def test_the_handler_is_told_the_headers_in_lower_case():
    async def answer(request):
        return HttpReply(200, repr(request.header(b"x-name")).encode())

    with serving(answer) as port:
        assert ask(port, get("/", "X-Name: Value")).body == b"b'Value'"


class Waiting:
    """A handler that says when it was called, and when it was cancelled."""

    def __init__(self):
        self.called, self.cancelled = threading.Event(), threading.Event()

    async def __call__(self, request):
        self.called.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest.mark.parametrize("request_", [get(), post(b"abc")], ids=["GET", "POST"])
def test_the_handler_is_cancelled_when_its_client_goes_away(request_, caplog):
    handler = Waiting()
    with serving(handler) as port:
        with Client(port) as client:
            client.send(request_)
            assert handler.called.wait(PATIENCE_S)
        assert handler.cancelled.wait(PATIENCE_S)
    assert caplog.text == ""


def values_of(server):
    return [family.values[("REST",)] for family in server.families()]


def test_requests_in_flight_and_those_whose_client_left_are_counted():
    handler = Waiting()
    with serving_server(handler) as (server, port):
        assert values_of(server) == [0, 0]
        with Client(port) as client:
            client.send(get())
            assert handler.called.wait(PATIENCE_S)
            assert values_of(server) == [1, 0]
        assert handler.cancelled.wait(PATIENCE_S)
        # The handler's end is one step of the loop before the count; the answer to another request is steps after.
        handler.called.clear()
        with Client(port) as client:
            client.send(get())
            assert handler.called.wait(PATIENCE_S)
            assert values_of(server) == [1, 1]


def test_a_client_that_leaves_before_its_pipelined_requests_are_answered_is_no_fault(caplog):
    with serving() as port:
        for _ in range(20):
            with Client(port) as client:
                client.send(get() * 50)
                client.read()
        assert ask(port, get()).status == 200
    assert caplog.text == ""


def test_the_handler_is_cancelled_when_the_server_stops():
    handler = Waiting()
    with serving(handler) as port, Client(port) as client:
        client.send(get())
        assert handler.called.wait(PATIENCE_S)
    assert handler.cancelled.wait(PATIENCE_S)


def test_a_stream_comes_in_parts_as_they_are_made():
    first_was_read = threading.Event()

    async def parts():
        yield b"first"
        await asyncio.to_thread(first_was_read.wait)
        yield b"second"

    async def answer(_request):
        return HttpReply(200, parts(), "text/event-stream")

    with serving(answer) as port, Client(port) as client:
        client.send(get())
        received = b""
        while b"first" not in received:
            received += client.socket.recv(1000)
        assert b"second" not in received
        first_was_read.set()
        while not received.endswith(b"0\r\n\r\n"):
            received += client.socket.recv(1000)
        assert client.ask(get()).body == b"firstsecond"


def test_a_stream_ends_when_its_client_goes_away():
    ended = threading.Event()

    async def parts():
        try:
            while True:
                yield b"a" * 1000
                await asyncio.sleep(0)
        finally:
            ended.set()

    async def answer(_request):
        return HttpReply(200, parts())

    with serving(answer) as port:
        with Client(port) as client:
            client.send(get())
            client.socket.recv(10)
        assert ended.wait(PATIENCE_S)
