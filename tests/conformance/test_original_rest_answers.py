"""REST requests that the original's own server was asked, and what it answered: status and body.

`rest/requests.jsonl.gz` has a request a line, with what tensorflow/serving 9d981c5 on TensorFlow 2.21 answered. It
served `zoo`, and half_plus_two as `half` (version 123, label stable) and `two` (versions 123 and 124, labels stable and
canary); of its other models the statuses and texts are compared. What differs stands in `rest/differences.toml`, with
the reason. An entry there that differs in nothing fails, so the list is no longer than it must be.

All are put to the API itself, and then over a socket, where the transport answers some by itself (pages of 404).
"""

import base64
import gzip
import json
import re
import shutil
import sys
import zlib
from pathlib import Path

import pytest

from servable import wire
from servable.http_plane import HttpPlane
from servable.rest import urls
from tests.rest import served
from tests.transport.http.serving import Client, serving

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = Path(__file__).parent / "rest"
ZOO = Path(__file__).parent / "original" / "zoo" / "1"
# Models of which the tests have others with equal shapes, so that values may differ.
OTHER_MODELS = ("tf2", "three", "counter", "mlp")
# What the original says before any detail: up to the first dump of what was sent, or an offset in it.
DETAIL = re.compile(r"JSON Value: |\bat offset: |JSON object: ")


def read_requests():
    with gzip.open(DATA / "requests.jsonl.gz") as lines:
        return [json.loads(line) for line in lines]


def read_differences():
    """The reason for each request, by its index, whose answer differs."""
    kinds = tomllib.loads((DATA / "differences.toml").read_text())
    return {index: kind["reason"] for kind in kinds.values() for index in kind["requests"]}


REQUESTS = read_requests()
DIFFERENCES = read_differences()
OF_THE_API = [
    index for index, each in enumerate(REQUESTS) if urls.is_of_api(each["path"]) and each["http_method"] != "HEAD"
]


def without_signature(directory, key):
    path = directory / "saved_model.pb"
    model = wire.SavedModel.FromString(path.read_bytes())
    del model.meta_graphs[0].signature_def[key]
    path.write_bytes(model.SerializeToString())
    return directory


@pytest.fixture(scope="module")
def original(models, tmp_path_factory):
    half = Path(shutil.copytree(models.version_path("half_plus_two"), tmp_path_factory.mktemp("half") / "123"))
    two = models.version_path("half_plus_two")
    handles = served.load(
        [
            ("zoo", 1, ZOO),
            ("half", 123, without_signature(half, "classify_x2_to_y3")),
            ("two", 123, two),
            ("two", 124, two),
            ("tf2", 123, models.version_path("half_plus_two_tf2")),
            ("three", 123, models.version_path("half_plus_three")),
            ("counter", 123, models.version_path("counter")),
            ("mlp", 1, models.version_path("keras_softmax")),
        ]
    )
    labels = {name: {"stable": 123} for name in ("half", "tf2", "three", "counter")}
    running = served.serve(handles, {**labels, "two": {"stable": 123, "canary": 124}, "mlp": {"stable": 1}})
    yield running
    running.stop()


def ask(running, request):
    body = base64.b64decode(request["request"] or "")
    if "gzip" in request["request_headers"].get("Content-Encoding", ""):
        body = gunzip(body)
    reply = running.ask(request["http_method"], request["path"], body, request["request_headers"])
    return reply.status, reply.body, reply.content_type


def gunzip(body):
    """As the transport does; what does not decompress is an empty body."""
    try:
        return gzip.decompress(body)
    except (OSError, EOFError, zlib.error):
        return b""


def meaning(status, body):
    """What is compared of a body: a document with its floats as texts, or the first words of an error."""
    if not body:
        return body
    document = json.loads(body.decode("latin-1"), parse_float=str, parse_constant=str)
    if status == 200:
        return document
    # protobuf marks dumps of messages, so that nobody parses them.
    return DETAIL.split(document["error"].replace("goo.gle/debugstr  \n", ""))[0]


def expected(request):
    return request["status"], base64.b64decode(request["body"]), dict(request["headers"]).get("Content-Type")


def answers_with_values_of_its_own(request):
    model = urls.parse(request["http_method"], request["path"]).name if request["status"] == 200 else ""
    is_status = request["http_method"] == "GET" and not request["path"].endswith("/metadata")
    return model in OTHER_MODELS and not is_status


@pytest.mark.behaviour("9.2", "recorded requests get the original's status, reply, and first words of an error")
def test_there_are_as_many_requests_as_the_original_was_asked():
    assert len(REQUESTS) == 1068
    assert len(OF_THE_API) == 1044
    assert set(DIFFERENCES) <= set(OF_THE_API)


@pytest.mark.behaviour("9.2", "recorded requests get the original's status, reply, and first words of an error")
@pytest.mark.parametrize("index", OF_THE_API, ids=[f"{index} {REQUESTS[index]['tag']}" for index in OF_THE_API])
def test_the_answer_is_the_original_s(original, index):
    request = REQUESTS[index]
    status, body, content_type = ask(original, request)
    wanted_status, wanted_body, wanted_type = expected(request)
    given, wanted = (status, content_type), (wanted_status, wanted_type)
    if not answers_with_values_of_its_own(request):
        given, wanted = (*given, meaning(status, body)), (*wanted, meaning(wanted_status, wanted_body))
    if index in DIFFERENCES:
        assert given != wanted, f"it is equal now, so it need not be listed: {DIFFERENCES[index]}"
    else:
        assert given == wanted


@pytest.fixture(scope="module")
def client(original):
    plane = HttpPlane(is_ready=lambda: True, is_model_ready=lambda _name: None, rest=original.api.handle)
    with serving(plane.handle) as port, Client(port) as client:
        yield client, port


def over_http(request):
    """The bytes of a request."""
    body = base64.b64decode(request["request"] or "")
    headers = {"Host": "localhost", "Content-Length": str(len(body)), **request["request_headers"]}
    lines = [f"{request['http_method']} {request['path']} HTTP/1.1", *map(": ".join, headers.items()), "", ""]
    return "\r\n".join(lines).encode() + body


# Of these the original sends its metrics.
METRICS = "/monitoring/prometheus/metrics"
OVER_HTTP = [index for index, each in enumerate(REQUESTS) if each["path"] != METRICS and index not in DIFFERENCES]


@pytest.mark.behaviour("9.1", "recorded requests over a socket get the original's status, type and reply")
def test_the_answers_over_a_socket_are_the_original_s(client):
    client, port = client
    differing = []
    for index in OVER_HTTP:
        request, verb = REQUESTS[index], REQUESTS[index]["http_method"]
        wanted_status, wanted_body, wanted_type = expected(request)
        if dict(request["headers"]).get("Connection") == "close":
            with Client(port) as other:
                answer = other.ask(over_http(request), verb)
                assert answer["connection"] == "close"
        else:
            answer = client.ask(over_http(request), verb)
        given, wanted = [answer.status, answer["content-type"]], [wanted_status, wanted_type]
        if wanted_type == "text/html":
            given, wanted = [*given, answer.body], [*wanted, wanted_body]
        elif urls.is_of_api(request["path"]) and verb != "HEAD" and not answers_with_values_of_its_own(request):
            given.append(meaning(answer.status, answer.body))
            wanted.append(meaning(wanted_status, wanted_body))
        if given != wanted:
            differing.append((index, request["tag"], given, wanted))
    assert differing == []
