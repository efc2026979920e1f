"""When a refused call may be tried again: what is sent, and that stock clients heed it."""

import copy
import json
import pickle
import time

import grpc
import pytest

from servable import wire
from servable.errors import NotFound, ResourceExhausted, Unavailable
from servable.http_exchange import error_headers
from servable.methods import Gate
from servable.transport import status
from tests.process.transport import PATIENCE_S, UNARY
from tests.transport.serving import inline, serve, serve_methods, serve_publicly

RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "30s",
                "maxBackoff": "60s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["RESOURCE_EXHAUSTED"],
            },
        }
    ]
}


def late(error, retry_after_s):
    """The error, which may be tried again after so long."""
    error.retry_after_s = retry_after_s
    return error


def details_of(trailers):
    message = wire.Status.FromString(dict(trailers)[status.DETAILS_KEY])
    return message, [any_.type_url.rpartition(".")[2] for any_ in message.details]


def test_an_error_says_when_to_try_again_in_a_trailer_and_in_its_details():
    error = late(ResourceExhausted("full"), 0.25)
    trailers = status.trailing_metadata(error)
    message, kinds = details_of(trailers)
    retry = wire.RetryInfo()
    assert (message.code, message.message, kinds) == (8, "full", ["RetryInfo"])
    assert message.details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 250
    assert dict(trailers)[status.PUSHBACK_KEY] == "250"


def test_hints_and_when_to_try_again_go_together():
    trailers = status.trailing_metadata(late(Unavailable("full", {"key": "hint"}), 1.0))
    assert details_of(trailers)[1] == ["ErrorInfo", "RetryInfo"]
    assert dict(trailers)[status.PUSHBACK_KEY] == "1000"


def test_without_details_there_is_the_trailer_alone():
    assert status.push_back(late(Unavailable("full", {"key": "hint"}), 1.5)) == ((status.PUSHBACK_KEY, "1500"),)
    assert status.push_back(NotFound("no", {"key": "hint"})) == ()


@pytest.mark.parametrize(("seconds", "sent"), [(-1.0, "0"), (0.0001, "1"), (1e12, str(2**31 - 1))])
def test_no_time_asks_never_to_try_again(seconds, sent):
    assert dict(status.push_back(late(Unavailable(""), seconds)))[status.PUSHBACK_KEY] == sent


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copy_of_an_error_says_the_same(copied):
    error = copied(late(Unavailable("full", {"key": "hint"}), 1.5))
    assert (type(error), error.message, error.hints, error.retry_after_s) == (Unavailable, "full", {"key": "hint"}, 1.5)
    assert copied(Unavailable("full")).retry_after_s is None


def test_http_is_told_in_whole_seconds():
    assert dict(error_headers(late(ResourceExhausted("full"), 0.2))) == {b"retry-after": b"1"}
    assert dict(error_headers(late(ResourceExhausted("full"), 2.1))) == {b"retry-after": b"3"}
    assert dict(error_headers(ResourceExhausted("full"))) == {}


def refuse_first(retry_after_s, times=1):
    """A method that refuses so many calls, and notes when each came."""
    came_s = []

    def run(message, time_left_s):
        came_s.append(time.monotonic())
        if len(came_s) <= times:
            raise late(ResourceExhausted("full"), retry_after_s)
        return b"answer"

    return run, came_s


def retrying(address):
    return grpc.insecure_channel(address, [("grpc.service_config", json.dumps(RETRIES)), ("grpc.enable_retries", 1)])


def test_a_client_that_retries_waits_as_long_as_it_is_told_and_no_longer():
    run, came_s = refuse_first(0.2)
    with serve(inline(run)) as server, retrying(server.address) as channel:
        # Its own pause would be 30 s.
        assert channel.unary_unary(UNARY)(b"", timeout=PATIENCE_S) == b"answer"
    assert 0.19 <= came_s[1] - came_s[0] < 5


def test_a_client_that_is_refused_at_the_gate_waits_too():
    came_s = []

    def refuse(path, context, calls_in_flight):
        came_s.append(time.monotonic())
        return late(ResourceExhausted("full"), 0.2) if len(came_s) == 1 else None

    methods = {UNARY: inline(lambda message, time_left_s: b"answer")}
    with serve_methods(methods, gate=Gate(0, refuse)) as server, retrying(server.address) as channel:
        assert channel.unary_unary(UNARY)(b"", timeout=PATIENCE_S) == b"answer"
    assert 0.19 <= came_s[1] - came_s[0] < 5


def test_grpcios_own_server_sends_the_same():
    def refuse(message, time_left_s):
        raise late(ResourceExhausted("full"), 0.25)

    with serve_publicly(refuse) as channel:
        public = channel.unary_unary(UNARY).future(b"", timeout=PATIENCE_S).exception(PATIENCE_S)
    with serve(inline(refuse)) as server:
        on_lane = server.error_of(b"")
    # grpc's core keeps the push-back for itself; only clients that retry see it.
    assert sorted(on_lane.trailing_metadata()) == sorted(public.trailing_metadata())
    assert details_of(on_lane.trailing_metadata())[1] == ["RetryInfo"]
