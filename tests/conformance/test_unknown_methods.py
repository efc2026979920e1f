"""Unknown methods, and bytes that do not parse as a message: a code and no text, as gRPC C++ answers."""

import itertools
import threading

import grpc
import pytest

from tests.conformance.calls import (
    INTERNAL,
    INVALID_ARGUMENT,
    MODEL_SERVICE,
    PREDICTION_SERVICE,
    TIMEOUT_S,
    UNIMPLEMENTED,
    predict_request,
    refusal,
    refused,
)

UNKNOWN = [
    PREDICTION_SERVICE + "PredictStreamed",
    PREDICTION_SERVICE + "Nope",
    PREDICTION_SERVICE + "predict",
    PREDICTION_SERVICE,
    MODEL_SERVICE + "GetModelMetadata",
    "/tensorflow.serving.SessionService/SessionRun",
    "/tensorflow.serving.Nope/Predict",
    "/grpc.health.v1.Health/Nope",
    "/grpc.reflection.v1alpha.ServerReflection/Nope",
    "/nope",
]
SHAPES = ["unary_unary", "unary_stream", "stream_unary", "stream_stream"]
METHODS = [
    PREDICTION_SERVICE + "Predict",
    PREDICTION_SERVICE + "Classify",
    PREDICTION_SERVICE + "Regress",
    PREDICTION_SERVICE + "MultiInference",
    PREDICTION_SERVICE + "GetModelMetadata",
    MODEL_SERVICE + "GetModelStatus",
    MODEL_SERVICE + "HandleReloadConfigRequest",
]
# Each is wrong for every request message: field 1 is a message, or the list of one, in all of them.
UNPARSABLE = {
    "no_tag": b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    "truncated": b"\x0a\x7fabc",
    "bad_inside": b"\x0a\x02\x0a\x7f",
    "bad_wire_type": b"\x0f",
    "field_zero": b"\x02\x00",
    "end_of_a_group": b"\x0c",
}


@pytest.fixture
def running(servers):
    return servers("half_plus_two")


def call_of(running, shape, path):
    """A multi-callable, and what to send with it."""
    multi_callable = getattr(running.channel, shape)(path)
    return multi_callable, iter([b"", b""]) if shape.startswith("stream") else b""


@pytest.mark.behaviour(
    "1.1",
    "PredictStreamed, SessionService and every other unknown method are UNIMPLEMENTED without a text, in "
    "any shape of call",
)
@pytest.mark.behaviour("12", "SessionRun, PredictStreamed, unknown method")
@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("shape", SHAPES)
def test_an_unknown_method_is_unimplemented_without_a_text(running, shape, path):
    assert refused(*call_of(running, shape, path)) == (UNIMPLEMENTED, "")


@pytest.mark.behaviour(
    "1.1",
    "PredictStreamed, SessionService and every other unknown method are UNIMPLEMENTED without a text, in "
    "any shape of call",
)
def test_an_unknown_method_comes_with_no_hints(running):
    assert refusal(*call_of(running, "unary_unary", PREDICTION_SERVICE + "Nope")).hints == {}


@pytest.mark.behaviour(
    "1.1",
    "PredictStreamed, SessionService and every other unknown method are UNIMPLEMENTED without a text, in "
    "any shape of call",
)
@pytest.mark.parametrize("shape", ["stream_unary", "stream_stream"])
def test_an_unknown_stream_is_refused_while_its_caller_still_sends(running, shape):
    ended = threading.Event()

    def send():
        yield b""
        ended.wait(TIMEOUT_S)

    call = getattr(running.channel, shape)(PREDICTION_SERVICE + "PredictStreamed")
    try:
        assert refused(call, send()) == (UNIMPLEMENTED, "")
    finally:
        ended.set()


@pytest.mark.behaviour("1.1", "unknown methods hold no thread")
def test_unknown_methods_take_no_thread_away(running):
    for path in itertools.islice(itertools.cycle(UNKNOWN), 100):
        refused(*call_of(running, "stream_stream", path))
    assert running.prediction.Predict(predict_request("half_plus_two", {"x": [[2.0]]}), timeout=TIMEOUT_S).outputs


@pytest.mark.behaviour("1.1", "request bytes that do not parse are INTERNAL without a text")
@pytest.mark.behaviour("12", "Predict: undecodable request")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", UNPARSABLE)
def test_bytes_that_do_not_parse_are_internal_without_a_text(running, method, name):
    assert refused(running.channel.unary_unary(method), UNPARSABLE[name]) == (INTERNAL, "")


@pytest.mark.behaviour("1.1", "strings that are no UTF-8 do not parse")
@pytest.mark.parametrize("method", ["Predict", "Classify", "Regress", "GetModelMetadata"])
def test_a_name_that_is_no_text_does_not_parse(running, method):
    """Strings of proto3 are UTF-8; here model_spec.name is not."""
    request = b"\x0a\x04\x0a\x02\xff\xfe"
    assert refused(running.channel.unary_unary(PREDICTION_SERVICE + method), request) == (INTERNAL, "")


@pytest.mark.behaviour("1.1", "strings that are no UTF-8 do not parse")
def test_an_input_s_alias_that_is_no_text_does_not_parse(running):
    request = predict_request("half_plus_two").SerializeToString() + b"\x12\x03\x0a\x01\xff"
    assert refused(running.channel.unary_unary(PREDICTION_SERVICE + "Predict"), request) == (INTERNAL, "")


@pytest.mark.behaviour("1.1", "no bytes are an empty message, unknown fields are ignored")
@pytest.mark.parametrize("method", ["Predict", "Classify", "Regress", "GetModelMetadata"])
def test_no_bytes_are_an_empty_message(running, method):
    reported = refused(running.channel.unary_unary(PREDICTION_SERVICE + method), b"")
    assert reported == (INVALID_ARGUMENT, "Missing ModelSpec")


@pytest.mark.behaviour("1.1", "no bytes are an empty message, unknown fields are ignored")
def test_unknown_fields_are_ignored(running):
    request = predict_request("half_plus_two", {"x": [[2.0]]}).SerializeToString() + b"\xfa\x01\x03new"
    assert running.call(PREDICTION_SERVICE + "Predict", request)


@pytest.mark.behaviour("1.1", "the methods of PredictionService and ModelService are there")
@pytest.mark.parametrize("method", METHODS)
def test_every_method_of_the_two_services_is_there(running, method):
    """The first byte is no tag, so that a method which is there says INTERNAL before all else."""
    code, _ = refused(running.channel.unary_unary(method), b"\xff")
    assert code is not grpc.StatusCode.UNIMPLEMENTED
