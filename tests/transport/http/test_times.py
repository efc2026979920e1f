"""Clients that take too long: for a head, a body, the next request, or to read a reply."""

import asyncio
import contextlib
import threading
import time

import pytest

from servable.http_exchange import HttpReply
from tests.transport.http.serving import PATIENCE_S, Client, ask, get, post, serving, serving_server

SHORT_S = 0.2


@pytest.mark.behaviour("9.1", "ours: silent, half-sent and idle connections end")
def test_a_new_connection_that_says_nothing_is_closed():
    with serving(head_s=SHORT_S) as port, Client(port) as client:
        assert client.is_closed()


@pytest.mark.behaviour("9.1", "ours: silent, half-sent and idle connections end")
@pytest.mark.parametrize("before", [b"", get()], ids=["first", "second"])
def test_a_head_that_does_not_end_is_told_so_and_closed(before):
    with serving(head_s=SHORT_S) as port, Client(port) as client:
        if before:
            client.ask(before)
        client.send(b"GET /v1 HTTP/1.1\r\nHost: a")
        assert client.read().status == 408
        assert client.is_closed()


@pytest.mark.parametrize("line", [b"A: b\r\n", b"\r\n"], ids=["headers", "empty lines"])
def test_a_head_has_no_more_time_if_a_line_comes_now_and_then(line):
    with serving(head_s=SHORT_S) as port, Client(port) as client:
        if line != b"\r\n":
            client.send(b"GET /v1 HTTP/1.1\r\n")
        assert is_cut_off(client, line)


def is_cut_off(client, line):
    """Send a line again and again, until the connection is closed."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            client.send(line)
        except OSError:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.behaviour("9.1", "ours: silent, half-sent and idle connections end")
def test_an_idle_connection_is_closed():
    with serving(idle_s=SHORT_S) as port, Client(port) as client:
        assert client.ask(get()).status == 200
        assert client.is_closed()


@pytest.mark.behaviour("9.1", "ours: silent, half-sent and idle connections end")
@pytest.mark.parametrize("sent", [0, 10])
def test_a_body_that_comes_too_slowly_is_told_so_and_closed(sent):
    with serving(grace_s=SHORT_S) as port, Client(port) as client:
        client.send(post(b"a" * 20)[: sent - 20])
        answer = client.read()
        assert (answer.status, answer.json["error"]) == (408, "The body of the request came too slowly")
        assert client.is_closed()


def test_a_body_that_keeps_its_rate_may_take_long():
    with serving(grace_s=0.05, bytes_per_s=100) as port, Client(port) as client:
        client.send(post(b"a" * 200)[:-200])
        for _ in range(20):
            client.send(b"a" * 10)
            time.sleep(0.02)
        assert client.read().json["body"] == "a" * 200


def test_a_request_that_is_answered_late_keeps_its_connection():
    go_on = threading.Event()

    async def answer(_request):
        await asyncio.to_thread(go_on.wait)
        return HttpReply(200)

    with serving(answer, head_s=SHORT_S, idle_s=SHORT_S, grace_s=SHORT_S) as port, Client(port) as client:
        client.send(get() + post(b"a")[:-1])
        time.sleep(3 * SHORT_S)
        go_on.set()
        assert client.read().status == 200
        client.send(b"a")
        assert client.read().status == 200


def test_who_does_not_read_a_reply_is_cut_off():
    size = 30_000_000

    async def answer(_request):
        return HttpReply(200, b"a" * size)

    with serving_server(answer, grace_s=SHORT_S) as (server, port), Client(port) as client:
        client.send(get() * 5)
        wait_until(lambda: server.pending_bytes() >= size)
        wait_until(lambda: server.pending_bytes() == 0)
        assert len(ask(port, get()).body) == size


def wait_until(condition):
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_who_reads_a_large_reply_slowly_gets_all_of_it():
    async def answer(_request):
        return HttpReply(200, b"a" * 30_000_000)

    with serving(answer, grace_s=0.1, bytes_per_s=1000) as port, Client(port) as client:
        client.send(get())
        received = 0
        while received < 30_000_000:
            received += len(client.socket.recv(2_000_000))
            time.sleep(0.02)


def test_connections_are_bounded():
    with serving(connections=20) as port, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(20)]
        for client in clients:
            assert client.ask(get()).status == 200
        with Client(port) as client:
            assert client.read().status == 503
        clients[0].close()
        wait_until(lambda: ask_anyway(port) == 200)


def ask_anyway(port):
    try:
        return ask(port, get()).status
    except ConnectionError:
        return None
