"""The console over the real HTTP server: what it answers, to whom, and that it ends with the server."""

import json
import threading

import pytest

from servable.console.events import MOST_LISTENERS, Events
from servable.console.handler import ConsoleHandler
from servable.console.models import Models
from servable.http_plane import HttpPlane
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import ServableId, State, VersionState
from servable.routing import Router
from servable.servables import Handle
from tests.console.test_models import DIGIT, IMAGE, Loaded, definition
from tests.transport.http.serving import Client, ask, get, post, serving_server

ODD_NAMES = ["a/b", "<script>alert(1)</script>", "größe ☃", "", "..", 'a"b&c=d', "\udcff"]


class Console:
    """A console of some models on a port of its own."""

    def __init__(self, bind_address="127.0.0.1", pause_s=0.01):
        self.monitor, self.router, self.taken = StateMonitor(), Router(), 0
        self.was_taken = threading.Event()
        models = Models(self.router, self.monitor, lambda _version: None)
        self.events = Events(self._take, pause_s)
        handler = ConsoleHandler(models, self.events, bind_address, 8500)
        self.plane = HttpPlane(is_ready=lambda: True, is_model_ready=lambda _name: None, console=handler.handle)

    def load(self, name):
        self.router.add(Handle(name, 1, Loaded(serving_default=definition(IMAGE, DIGIT))))
        self.monitor.publish(ServableId(name, 1), VersionState(State.AVAILABLE))

    def _take(self):
        self.taken += 1
        self.was_taken.set()
        return {"number": self.taken, "filler": "x" * 40_000}


@pytest.fixture
def console():
    return Console()


@pytest.fixture
def server(console):
    with serving_server(console.plane.handle) as (server, port):
        server.port = port
        yield server


@pytest.fixture
def port(server):
    return server.port


def fetch(port, target, *headers, verb="GET"):
    return ask(port, get(target, "Host: localhost", *headers, verb=verb), verb)


def test_the_page_is_at_the_root(port):
    page = fetch(port, "/")
    assert (page.status, page["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<title>servable</title>" in page.body


@pytest.mark.parametrize(("path", "location"), [("/console", "./"), ("/console/", "../")])
def test_the_folder_leads_to_the_root(port, path, location):
    reply = fetch(port, path)
    assert (reply.status, reply["location"]) == (302, location)


@pytest.mark.parametrize(
    "target",
    ["/", "/console/main.js", "/console/models", "/console/none", "/console", "/console/signatures"],
)
def test_each_reply_has_the_policy(port, target):
    reply = fetch(port, target)
    assert reply["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert (reply["x-content-type-options"], reply["x-frame-options"]) == ("nosniff", "DENY")
    assert reply["access-control-allow-origin"] is None


def test_a_file_that_the_browser_has_is_not_sent_again(port):
    tag = fetch(port, "/console/main.js")["etag"]
    with Client(port) as client:
        again = client.ask(get("/console/main.js", "Host: localhost", f"If-None-Match: {tag}"))
        assert (again.status, again.body) == (304, b"")
        # The connection goes on.
        assert client.ask(get("/console/main.js", "Host: localhost")).status == 200


@pytest.mark.parametrize("target", ["/", "/console/models", "/console/events"])
def test_it_can_only_be_read(port, target):
    reply = ask(port, post(b"{}", target=target))
    assert (reply.status, reply["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("target", ["/", "/console/main.js", "/console/models", "/console/events"])
def test_a_head_has_no_body(port, target):
    assert fetch(port, target, verb="HEAD").status == 200


@pytest.mark.parametrize("target", ["/", "/console/main.js", "/console/models", "/console/events"])
def test_a_name_that_may_belong_to_an_attacker_is_refused(port, target):
    reply = ask(port, get(target, "Host: evil.example:8501"))
    assert reply.status == 403
    assert "localhost" in reply.json["error"]


@pytest.mark.parametrize("target", ["/console/models", "/console/events", "/console/signatures?model=m&version=1"])
def test_pages_of_other_sites_are_told_nothing(port, target):
    assert fetch(port, target, "Sec-Fetch-Site: cross-site").status == 403


def test_a_link_from_another_site_leads_to_the_page(port):
    assert fetch(port, "/", "Sec-Fetch-Site: cross-site").status == 200


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_model_of_any_name_is_told_with_its_signatures(console, port, name):
    console.load(name)
    reply = fetch(port, "/console/models")
    assert reply["cache-control"] == "no-store"
    (model,) = reply.json["models"]
    assert model["name"] == name
    signatures = fetch(port, f"/console/signatures?model={model['id']}&version=1").json["signatures"]
    assert [signature["key"] for signature in signatures] == ["serving_default"]


@pytest.mark.parametrize("query", ["model=other&version=1", "model=m&version=2", "model=m", "", "model=m&version=-1"])
def test_signatures_of_what_is_not_loaded_are_not_found(console, port, query):
    console.load("m")
    assert fetch(port, f"/console/signatures?{query}").status == 404


def read_event(client):
    """The bytes of the next chunk of a stream whose head has been read."""
    return client._read_chunk()


def open_stream(port):
    client = Client(port)
    client.send(get("/console/events", "Host: localhost"))
    head = [client._file.readline() for _ in range(1)]
    while head[-1] != b"\r\n":
        head.append(client._file.readline())
    return client, b"".join(head)


def test_events_are_a_stream_that_nobody_stores(port):
    client, head = open_stream(port)
    with client:
        assert head.startswith(b"HTTP/1.1 200")
        assert b"content-type: text/event-stream" in head
        assert b"cache-control: no-store" in head
        numbers = [json.loads(read_event(client).removeprefix(b"data: "))["number"] for _ in range(3)]
        assert numbers == [1, 2, 3]


def test_a_listener_too_many_is_refused_and_taken_once_another_has_left(console, port):
    clients = [open_stream(port)[0] for _ in range(MOST_LISTENERS)]
    refused = fetch(port, "/console/events")
    assert (refused.status, refused["retry-after"]) == (503, "5")
    # Other pages are answered all the same.
    assert fetch(port, "/console/models").status == 200
    clients.pop().close()
    assert _until(lambda: fetch(port, "/console/events", verb="HEAD").status == 200 and _is_taken(port))
    for client in clients:
        client.close()
    assert _until(lambda: not console.events.is_ticking)


def _is_taken(port):
    client, head = open_stream(port)
    client.close()
    return head.startswith(b"HTTP/1.1 200")


def _until(condition, most=5000):
    """Whether a condition comes true. Each try asks the server, or gives it the time of a tick."""
    waiting = threading.Event()
    return any(condition() or waiting.wait(0.002) for _ in range(most))


def test_a_client_that_never_reads_holds_up_nobody(port):
    asleep, _ = open_stream(port)
    awake, _ = open_stream(port)
    with asleep, awake:
        # More than the buffers of sockets hold.
        assert sum(len(read_event(awake)) for _ in range(300)) > 10e6


def test_a_drain_ends_the_streams(server, port):
    client, _ = open_stream(port)
    with client:
        read_event(client)
        drained = server.begin_drain(30)
        while client._file.readline():
            pass
        drained.result(30)


def test_on_all_addresses_any_name_may_ask():
    with serving_server(Console("0.0.0.0").plane.handle) as (_, port):
        assert ask(port, get("/", "Host: models.example")).status == 200


def test_without_a_console_the_root_is_not_found():
    plane = HttpPlane(is_ready=lambda: True, is_model_ready=lambda _name: None)
    with serving_server(plane.handle) as (_, port):
        assert fetch(port, "/").status == 404


def test_what_is_long_runs_on_another_thread(console):
    """The event loop is free while models are described."""
    console.load("m")
    entered, leave = threading.Event(), threading.Event()

    def describe():
        entered.set()
        assert leave.wait(30)
        return {"models": [], "not_shown": 0}

    models = Models(console.router, console.monitor, lambda _version: None)
    models.describe = describe
    handler = ConsoleHandler(models, console.events, "127.0.0.1", None)
    plane = HttpPlane(is_ready=lambda: True, is_model_ready=lambda _name: None, console=handler.handle)
    with serving_server(plane.handle) as (_, port), Client(port) as client:
        client.send(get("/console/models", "Host: localhost"))
        assert entered.wait(30)
        assert fetch(port, "/").status == 200
        leave.set()
        assert client.read().status == 200
