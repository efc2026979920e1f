"""Bodies: how they come, what gzip may do, and how many bytes a client and all clients may send."""

import asyncio
import gzip
import threading

import pytest

from servable.http_exchange import HttpReply
from tests.transport.http.serving import PATIENCE_S, Client, ask, echo, get, post, serving

CHUNKED = b"POST /v1/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


@pytest.mark.behaviour("9.1", "a body has a length or comes in chunks")
def test_a_body_may_come_in_chunks(port):
    assert ask(port, CHUNKED + chunks(b"abc", b"de")).json["body"] == "abcde"


@pytest.mark.behaviour("9.1", "POST without length or chunks has an empty body")
def test_a_post_without_a_length_has_an_empty_body(port):
    assert ask(port, get(verb="POST")).json["body"] == ""


def test_a_large_body_comes_whole():
    async def answer(request):
        return HttpReply(200, request.body)

    body = bytes(range(256)) * 20_000
    with serving(answer) as port:
        assert ask(port, post(body)).body == body


@pytest.mark.behaviour("9.1", "Expect: 100-continue is answered 100 Continue")
def test_who_expects_to_continue_is_told_to(port):
    head, body = post(b"abc", "Expect: 100-continue")[:-3], b"abc"
    with Client(port) as client:
        assert client.ask(head).status == 100
        assert client.ask(body).json["body"] == "abc"


def test_who_sends_the_body_at_once_is_not_told_to_continue(port):
    assert ask(port, post(b"abc", "Expect: 100-continue")).json["body"] == "abc"


def test_who_expects_to_continue_with_too_much_is_refused_before_that():
    with serving(body_bytes=1000) as port, Client(port) as client:
        answer = client.ask(post(b"a" * 1001, "Expect: 100-continue")[:-1001])
        assert (answer.status, answer["connection"]) == (413, "close")


@pytest.mark.parametrize(
    "request_", [post(b"a" * 1001), CHUNKED + chunks(*[b"a" * 100] * 11)], ids=["length", "chunks"]
)
def test_a_body_that_is_too_large_is_refused_with_json(request_):
    with serving(body_bytes=1000) as port, Client(port) as client:
        answer = client.ask(request_)
        assert (answer.status, answer["content-type"], answer["connection"]) == (413, "application/json", "close")
        assert answer.json == {"error": "The body of the request is larger than 1000 bytes (--rest_api_max_body_mb)"}
        assert client.is_closed()


def test_who_goes_on_sending_a_refused_body_still_gets_to_read_why():
    with serving(body_bytes=1000, linger_s=PATIENCE_S) as port, Client(port) as client:
        client.send(post(b"a" * 5_000_000))
        assert client.read().status == 413
        assert client.is_closed()


def test_a_body_of_the_largest_size_is_taken():
    with serving(body_bytes=1000) as port:
        assert ask(port, post(b"a" * 1000)).json["body"] == "a" * 1000


class Holding:
    """A handler that answers when it is told to, and says when it was called."""

    def __init__(self):
        self.called = threading.Event()
        self._loop = self._go_on = None

    async def __call__(self, request):
        self._loop, self._go_on = asyncio.get_running_loop(), asyncio.Event()
        self.called.set()
        await self._go_on.wait()
        return await echo(request)

    def end(self):
        self._loop.call_soon_threadsafe(self._go_on.set)


def test_the_bytes_of_all_requests_are_bounded_until_they_are_answered():
    handler = Holding()
    with serving(handler, pending_bytes=3000) as port, Client(port) as first:
        first.send(post(b"a" * 2000))
        assert handler.called.wait(PATIENCE_S)
        refused = ask(port, post(b"a" * 2000))
        assert (refused.status, refused["retry-after"], refused["connection"]) == (503, "1", "close")
        assert "--rest_api_max_pending_mb" in refused.json["error"]
        handler.end()
        assert first.read().status == 200
        handler.called.clear()
        with Client(port) as third:
            third.send(post(b"a" * 2000))
            assert handler.called.wait(PATIENCE_S)
            handler.end()
            assert third.read().status == 200


def test_pieces_of_one_byte_are_not_free():
    with serving(pending_bytes=10_000) as port:
        assert ask(port, CHUNKED + chunks(*[b"a"] * 1000)).status == 503
        assert ask(port, post(b"a" * 1000)).status == 200


def test_requests_that_were_given_up_hold_nothing():
    with serving(pending_bytes=5000) as port:
        for _ in range(5):
            with Client(port) as client:
                client.send(post(b"a" * 4000)[:-1])
            with Client(port) as client:
                # The second request has no task yet when its client leaves.
                client.send(post(b"a") + post(b"b" * 4000)[:-1])
                client.read()
        with Client(port) as client:
            while client.ask(post(b"a" * 4000)).status == 503:
                client.close()
                client.__init__(port)


@pytest.mark.behaviour("9.2", "a body is decompressed if Content-Encoding contains gzip in lower case")
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip, foo", "a gzip b"])
@pytest.mark.parametrize("body", ["{}", "x" * 1_000_000], ids=len)
def test_a_body_with_gzip_is_decompressed(port, encoding, body):
    request = post(gzip.compress(body.encode()), f"Content-Encoding: {encoding}")
    assert ask(port, request).json["body"] == body


@pytest.mark.behaviour("9.2", "a body is decompressed if Content-Encoding contains gzip in lower case")
@pytest.mark.parametrize("encoding", ["GZIP", "deflate", "identity", ""])
def test_a_body_of_another_encoding_is_left_as_it_is(port, encoding):
    zipped = gzip.compress(b"{}", mtime=0)
    assert ask(port, post(zipped, f"Content-Encoding: {encoding}")).json["body"] == zipped.decode("latin-1")


BIG = gzip.compress(b"x" * 600_000, mtime=0)
SMALL = gzip.compress(b"{}", mtime=0)


@pytest.mark.behaviour("9.2", "a body that is no gzip, cut off, longer than its end or damaged is empty")
@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", gzip.compress(b"", mtime=0), SMALL[:-1], SMALL + b"x", SMALL + SMALL, SMALL[:-8] + bytes(8),
        SMALL[:12], BIG[:-1], BIG + b"x",
    ],
)  # fmt: skip
def test_a_body_that_is_not_exactly_one_gzip_member_is_empty(port, body):
    assert ask(port, post(body, "Content-Encoding: gzip")).json["body"] == ""


@pytest.mark.parametrize(("size", "length"), [(300_000, 300_000), (300_001, 0)])
def test_what_gzip_expands_to_is_bounded(size, length):
    with serving(unzipped_bytes=300_000) as port:
        request = post(gzip.compress(b"x" * size, mtime=0), "Content-Encoding: gzip")
        assert len(ask(port, request).json["body"]) == length


def test_what_gzip_expands_to_counts_for_the_bytes_of_all_requests():
    with serving(pending_bytes=100_000) as port:
        assert ask(port, post(gzip.compress(b"x" * 200_000, mtime=0), "Content-Encoding: gzip")).status == 503
        assert ask(port, post(gzip.compress(b"x" * 50_000, mtime=0), "Content-Encoding: gzip")).status == 200
