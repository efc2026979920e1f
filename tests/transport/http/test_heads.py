"""Heads: which are refused and how, which are taken, and what the handler is told."""

import pytest

from tests.transport.http.serving import Client, ask, get, post, serving

PAGE = "<HTML><HEAD>\n<TITLE>{0} {1}</TITLE>\n</HEAD><BODY>\n<H1>{1}</H1>\n</BODY></HTML>\n"


def is_page(answer, status, phrase):
    """Whether it is libevent's page, after which the connection is closed."""
    return (answer.status, answer.body.decode(), answer["content-type"], answer["connection"]) == (
        status, PAGE.format(status, phrase), "text/html", "close",
    )  # fmt: skip


@pytest.mark.behaviour("9.1", "methods outside the seven are 501 with a page, and the connection is closed")
@pytest.mark.parametrize("verb", ["TRACE", "CONNECT", "LINK", "get", "FOO", "PROPFIND", "GETX", "P"])
def test_a_method_outside_the_seven_is_not_implemented(port, verb):
    with Client(port) as client:
        assert is_page(client.ask(get(verb=verb)), 501, "Not Implemented")
        assert client.is_closed()


@pytest.mark.behaviour("9.1", "a malformed request line, URI or length is 400 with a page, before any handler")
@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/models/m\r\n\r\n",
        b"GET /v1/models/m HTTP/0.9\r\n\r\n",
        b"GET /v1/models/m HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /v1/a b HTTP/1.1\r\n\r\n",
        b"GET /v1/\xc3\xa4 HTTP/1.1\r\n\r\n",
        b"GET /v1/a|b HTTP/1.1\r\n\r\n",
        b"GET /v1/a^b HTTP/1.1\r\n\r\n",
        b"GET /v1/{a HTTP/1.1\r\n\r\n",
        b"GET /v1/a} HTTP/1.1\r\n\r\n",
        b"GET /v1/%zz HTTP/1.1\r\n\r\n",
        b"GET /v1/%4 HTTP/1.1\r\n\r\n",
        b"GET /v1/% HTTP/1.1\r\n\r\n",
        b"GET /v1/?a|b HTTP/1.1\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
    ],
)
def test_a_malformed_head_is_a_bad_request(port, head):
    with Client(port) as client:
        assert is_page(client.ask(head), 400, "Bad Request")
        assert client.is_closed()


@pytest.mark.behaviour("9.1", "an expectation other than 100-continue is 417")
def test_an_unknown_expectation_fails(port):
    with Client(port) as client:
        assert is_page(client.ask(post(b"abc", "Expect: a miracle")), 417, "Expectation Failed")
        assert client.is_closed()


@pytest.mark.behaviour("9.1", "no Host, large headers and many of them are taken")
@pytest.mark.parametrize(
    "headers", [[], ["X-Large: " + "x" * 100_000], [f"X-{number}: y" for number in range(5000)]], ids=len
)
def test_headers_are_taken(port, headers):
    assert ask(port, get("/v1/a", *headers)).json["target"] == "/v1/a"


@pytest.mark.behaviour("9.2", "path, query and fragment are told as sent")
@pytest.mark.parametrize(
    "target",
    [
        "/v1/models/m:predict?", "/v1/models/m?x=1", "/v1/models/m#f", "/v1/models/m?a?b#c", "//v1/models/m",
        "/%761/models/m", "/v1/models/a%2Fb%20c", "/V1/Models", "/", "/v1/models/m:predict?#", "/v1/[a]",
        "/v1/~a-b_c.d!$&'()*+,;=:@",
    ],
)  # fmt: skip
def test_a_target_is_told_as_it_was_sent(port, target):
    assert ask(port, get(target)).json["target"] == target


@pytest.mark.behaviour("9.1", "an absolute URI is taken, and the connection closed after the reply")
@pytest.mark.parametrize("target", ["/v1/models/m?x#y", "/v1"])
def test_of_an_absolute_uri_the_path_counts(port, target):
    with Client(port) as client:
        answer = client.ask(get(f"http://host:80{target}"))
        assert (answer.json["target"], answer["connection"]) == (target, "close")
        assert client.is_closed()


@pytest.mark.parametrize("verb", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_the_seven_methods_reach_the_handler(port, verb):
    assert ask(port, get(verb=verb)).json["verb"] == verb


@pytest.mark.behaviour("9.1", "ours: HEAD is answered with the length and no body")
def test_head_has_the_length_and_no_body(port):
    with Client(port) as client:
        answer = client.ask(get(verb="HEAD"), verb="HEAD")
        assert (answer.status, int(answer["content-length"]) > 0) == (200, True)
        assert client.ask(get()).status == 200


@pytest.mark.behaviour("9.1", "the headers of a reply come in the original's order, and none names the server")
def test_headers_have_an_order(port):
    assert [name for name, _ in ask(port, get()).headers] == ["content-type", "date", "content-length"]


@pytest.mark.behaviour("9.1", "Connection: close closes and is echoed")
def test_a_client_can_ask_for_the_end_of_the_connection(port):
    with Client(port) as client:
        assert client.ask(get("/v1", "Connection: close"))["connection"] == "close"
        assert client.is_closed()


@pytest.mark.behaviour("9.1", "HTTP/1.0 is closed after the reply")
def test_http_1_0_is_answered_and_closed(port):
    with Client(port) as client:
        assert client.ask(get(version="HTTP/1.0")).json["verb"] == "GET"
        assert client.is_closed()


def test_a_connection_serves_many_requests(port):
    with Client(port) as client:
        for number in range(20):
            assert client.ask(post(b"%d" % number)).json["body"] == str(number)


@pytest.mark.behaviour("9.1", "pipelined requests are answered in order")
def test_pipelined_requests_are_answered_in_order(port):
    with Client(port) as client:
        client.send(b"".join(post(b"%d" % number) for number in range(100)))
        assert [client.read().json["body"] for _ in range(100)] == [str(number) for number in range(100)]


def test_what_follows_a_good_request_and_is_none_does_not_spoil_its_answer(port):
    with Client(port) as client:
        assert client.ask(post(b"good") + b"no request\r\n\r\n").json["body"] == "good"
        assert client.is_closed()


@pytest.mark.behaviour("9.1", "Upgrade: h2c is ignored")
@pytest.mark.parametrize("name", ["Upgrade", "upgrade", "UPGRADE"])
def test_an_offer_of_http_2_is_ignored(port, name):
    with Client(port) as client:
        offer = ["Connection: Upgrade, HTTP2-Settings", f"{name}: h2c", "HTTP2-Settings: AAMAAABkAAQAAP"]
        client.send(post(b"\r\nUpgrade: a body", *offer) + get("/v1/next"))
        assert client.read().json["body"] == "\r\nUpgrade: a body"
        assert client.read().json["target"] == "/v1/next"


def test_a_head_that_comes_byte_by_byte_is_taken(port):
    with Client(port) as client:
        for byte in post(b"slow"):
            client.send(bytes([byte]))
        assert client.read().json["body"] == "slow"


@pytest.mark.parametrize(
    "head",
    [
        get("/" + "a" * 3000),
        get("/", "X-Large: " + "x" * 3000),
        get("/", *["A:"] * 300),
        b"GET / HTTP/1.1\r\nX-Endless: " + b"x" * 500_000,
        b"GET /" + b"x" * 500_000,
        b"GET / HTTP/1.1\r\n" + b"A:\r\n" * 100_000,
    ],
    ids=["uri", "header", "headers", "endless header", "endless uri", "endless headers"],
)
def test_a_head_that_is_too_large_is_refused(head):
    with serving(head_bytes=2048, headers=200) as port:
        with Client(port) as client:
            try:
                client.send(head)
                assert client.read().status == 431
            except ConnectionError:
                # What is still sent to a connection that is closed resets it.
                assert len(head) > 100_000
        assert ask(port, get()).status == 200


def test_bytes_of_unfinished_heads_are_bounded_in_sum():
    with serving(pending_bytes=4000) as port, Client(port) as first, Client(port) as second:
        first.send(b"GET /" + b"a" * 3000)
        assert second.ask(b"GET /" + b"a" * 3000).status == 503
        assert first.ask(b" HTTP/1.1\r\n\r\n").status == 200
