"""Exceptions that escape a method: callers see no details, the log has all, and only that one call fails."""

import logging

import grpc
import pytest

from servable.errors import InvalidArgument
from tests.process.transport import PATIENCE_S, serve

SECRET = "password=hunter2"
INTERNAL = grpc.StatusCode.INTERNAL


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("not even its text")


def fail(request, time_left_s):
    match request:
        case b"plain":
            raise ZeroDivisionError(SECRET)
        case b"unprintable":
            raise Unprintable
        case b"deep":
            return fail(request, time_left_s)
        case b"memory":
            raise MemoryError(SECRET)
        case b"ours":
            raise InvalidArgument("ours")
    return request


@pytest.mark.behaviour("1.1", "an unexpected exception is INTERNAL without details, logged, and ends only its call")
@pytest.mark.parametrize("request_", [b"plain", b"unprintable", b"deep", b"memory"])
def test_an_unforeseen_exception_is_internal_without_details(request_, caplog):
    with serve(fail, worker_threads=1) as transport:
        error = transport.begin(request_).exception(PATIENCE_S)
        assert (error.code(), error.details()) == (INTERNAL, "Internal error")
        assert error.trailing_metadata() == ()
        assert transport.call(b"the next") == b"the next"
    (record,) = [record for record in caplog.records if record.name == "servable.transport.handlers"]
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "/test.Service/Call failed in an unforeseen way"
    assert record.exc_info[2] is not None


@pytest.mark.behaviour("1.1", "an unexpected exception is INTERNAL without details, logged, and ends only its call")
def test_a_serving_error_is_sent_and_not_logged(caplog):
    with serve(fail) as transport:
        error = transport.begin(b"ours").exception(PATIENCE_S)
        assert (error.code(), error.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "ours")
    assert caplog.records == []


@pytest.mark.behaviour(
    "1.1",
    "PredictStreamed, SessionService and every other unknown method are UNIMPLEMENTED without a text, in "
    "any shape of call",
)
@pytest.mark.parametrize("path", ["/test.Service/Nobody", "/no.Service/Call", "/", "//", "/test.Service/", "no slash"])
def test_an_unknown_method_is_unimplemented_without_a_text(path):
    with serve() as transport:
        error = transport.begin(path=path).exception(PATIENCE_S)
        assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, "")


def test_a_stream_to_a_unary_method_is_refused_and_the_server_goes_on():
    with serve(worker_threads=1) as transport:
        stream = transport.channel.stream_stream("/test.Service/Call")(iter([]), timeout=PATIENCE_S)
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert transport.call(b"the next") == b"the next"
