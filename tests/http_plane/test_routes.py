"""Which handler answers which path, and what load balancers are told."""

import asyncio
import json

import pytest

from servable.http_exchange import HttpReply, HttpRequest
from servable.http_plane import HttpPlane

PAGE = b"<HTML><HEAD>\n<TITLE>404 Not Found</TITLE>\n</HEAD><BODY>\n<H1>Not Found</H1>\n</BODY></HTML>\n"


def named(name):
    async def answer(_request):
        return HttpReply(200, name.encode())

    return answer


def make_plane(**changes):
    handlers = {name: named(name) for name in ("rest", "open_inference", "open_api", "console")}
    usual = {
        "is_ready": lambda: True,
        "is_model_ready": {"serves": True, "fails": False, "a/b": True}.get,
        "metrics": {"/metrics": named("metrics")},
        **handlers,
    }
    return HttpPlane(**{**usual, **changes})


def ask(plane, target, verb="GET"):
    return asyncio.run(plane.handle(HttpRequest(verb, target)))


@pytest.mark.behaviour("9.1", "paths are matched as sent: metrics exactly, then /v1/ in any case, else 404 with a page")
@pytest.mark.parametrize(
    ("target", "handler"),
    [
        ("/v1/", "rest"),
        ("/v1/models/m:predict", "rest"),
        ("/V1/anything?x#y", "rest"),
        ("/v2", "open_inference"),
        ("/v2/health/ready", "open_inference"),
        ("/openapi.json", "open_api"),
        ("/", "console"),
        ("/?x", "console"),
        ("/console", "console"),
        ("/console/app.js", "console"),
        ("/metrics", "metrics"),
        ("/metrics?x=1", "metrics"),
    ],
)
def test_a_path_has_its_handler(target, handler):
    assert ask(make_plane(), target).body == handler.encode()


@pytest.mark.behaviour("9.1", "paths are matched as sent: metrics exactly, then /v1/ in any case, else 404 with a page")
@pytest.mark.parametrize(
    "target", ["/v1", "/v1?x", "//v1/models/m", "/%761/models/m", "/v3", "/v20", "/consoles", "/Metrics", "*", "", "x"]
)
def test_any_other_path_is_not_found_and_the_connection_closed(target):
    reply = ask(make_plane(), target)
    assert (reply.status, reply.body, reply.content_type) == (404, PAGE, "text/html")
    assert (b"connection", b"close") in reply.headers


@pytest.mark.parametrize("target", ["/v1/models/m", "/v2", "/openapi.json", "/", "/console", "/metrics"])
def test_without_its_handler_a_path_is_not_found(target):
    plane = HttpPlane(is_ready=lambda: True, is_model_ready=lambda _name: None)
    assert ask(plane, target).body == PAGE


def test_metrics_win_over_the_rest_api():
    plane = make_plane(metrics={"/v1/metrics": named("metrics")})
    assert ask(plane, "/v1/metrics").body == b"metrics"


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_live_server_is_healthy(is_ready):
    assert ask(make_plane(is_ready=lambda: is_ready), "/healthz").status == 200


@pytest.mark.parametrize(("is_ready", "status"), [(True, 200), (False, 503)])
def test_a_server_that_should_get_no_requests_is_not_ready(is_ready, status):
    reply = ask(make_plane(is_ready=lambda: is_ready), "/readyz")
    assert (reply.status, json.loads(reply.body)) == (status, {"ready": is_ready})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("verb", ["POST", "DELETE"])
def test_health_can_only_be_asked(path, verb):
    assert ask(make_plane(), path, verb).status == 404


@pytest.mark.behaviour("9.2", "ours: GET /v1/models/NAME/ready says whether a version serves")
@pytest.mark.parametrize(
    ("name", "status"), [("serves", 200), ("fails", 503), ("unknown", 404), ("a%2Fb", 200), ("serve%73", 200)]
)
@pytest.mark.parametrize("verb", ["GET", "HEAD"])
def test_a_model_is_ready_if_a_version_serves(name, status, verb):
    assert ask(make_plane(), f"/v1/models/{name}/ready", verb).status == status


@pytest.mark.parametrize(
    ("verb", "target"),
    [
        ("POST", "/v1/models/serves/ready"),
        ("GET", "/v1/models/serves/ready?x"),
        ("GET", "/v1/models/serves/READY"),
        ("GET", "/v1/models/serves/versions/1/ready"),
        ("GET", "/v1/models//ready"),
    ],
)
def test_what_only_looks_like_that_is_for_the_rest_api(verb, target):
    assert ask(make_plane(), target, verb).body == b"rest"
