"""The status of a refused call: a message cut at 1024 bytes, and hints beside it that change nothing in it."""

import grpc
import pytest
from tensorflow_serving.apis import get_model_status_pb2

from servable import wire
from servable.routing import Router, Routes
from servable.servables import Handle
from tests.conformance.calls import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    TIMEOUT_S,
    model_spec,
    predict_request,
    refusal,
    refused_predict,
)
from tests.conformance.fakes import FakeServable, define
from tests.conformance.served import serve_router

# `Serving signature key "` and `" not found.` take 23 and 12 bytes.
AROUND_A_KEY = 35
KEY_OF_1024 = "s" * (1024 - AROUND_A_KEY)


@pytest.fixture
def running(servers):
    return servers("half_plus_two", "half_plus_three")


def predict_refusal(running, name, inputs=(), key="", **options):
    return refusal(running.prediction.Predict, predict_request(name, inputs, key, **options))


def rpc_error(running, request):
    with pytest.raises(grpc.RpcError) as error:
        running.prediction.Predict(request, timeout=TIMEOUT_S)
    return error.value


def details_of(error):
    """The bytes of grpc-status-details-bin, of which a call has one."""
    (details,) = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
    return details


@pytest.mark.behaviour("1.1", "a message is cut after 1024 bytes and ...TRUNCATED follows")
def test_a_message_of_1024_bytes_is_whole(running):
    reported = refused_predict(running, "half_plus_two", signature=KEY_OF_1024)
    assert reported == (FAILED_PRECONDITION, f'Serving signature key "{KEY_OF_1024}" not found.')


@pytest.mark.behaviour("1.1", "a message is cut after 1024 bytes and ...TRUNCATED follows")
@pytest.mark.parametrize(
    ("key", "text"),
    [
        (KEY_OF_1024 + "s", f'Serving signature key "{KEY_OF_1024}s" not found...TRUNCATED'),
        ("s" * 5000, 'Serving signature key "' + "s" * 1001 + "...TRUNCATED"),
    ],
)
def test_a_longer_message_is_cut_after_1024_bytes_and_says_so(running, key, text):
    assert refused_predict(running, "half_plus_two", signature=key) == (FAILED_PRECONDITION, text)
    assert len(text) == 1024 + len("...TRUNCATED")


@pytest.mark.behaviour("1.1", "a message is cut after 1024 bytes and ...TRUNCATED follows")
def test_bytes_are_counted_not_characters(running):
    reported = refused_predict(running, "half_plus_two", signature="é" * 500 + "s")
    assert reported == (FAILED_PRECONDITION, 'Serving signature key "' + "é" * 500 + "s...TRUNCATED")


@pytest.mark.behaviour("1.1", "a message is cut after 1024 bytes and ...TRUNCATED follows")
def test_a_character_may_be_cut_in_two(running):
    """The 1024th byte is the first of two. Bytes that are no UTF-8 are to gRPC's Python client one character each."""
    code, text = refused_predict(running, "half_plus_two", signature="é" * 600)
    assert code is FAILED_PRECONDITION
    assert text.encode("latin-1") == b'Serving signature key "' + b"\xc3\xa9" * 500 + b"\xc3...TRUNCATED"


@pytest.mark.behaviour("1.1", "the cut is made for every RPC")
def test_a_message_of_other_apis_is_cut_too(running):
    error = refusal(running.model.GetModelStatus, status_request("m" * 2000))
    assert error.code_and_text == (NOT_FOUND, "Could not find any versions of model " + "m" * 987 + "...TRUNCATED")


def status_request(name):
    return get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(name))


@pytest.mark.behaviour(
    "1.1", "ours: names that are loaded or known, and a suggestion, are sent beside the unchanged message"
)
def test_an_unknown_model_comes_with_those_that_are_loaded(running):
    error = predict_refusal(running, "half_plus_too")
    assert error.code_and_text == (NOT_FOUND, "Servable not found for request: Latest(half_plus_too)")
    assert error.hints == {"loaded_models": "half_plus_three, half_plus_two", "did_you_mean": "half_plus_two"}


@pytest.mark.behaviour(
    "1.1", "ours: names that are loaded or known, and a suggestion, are sent beside the unchanged message"
)
def test_a_name_unlike_any_other_has_no_suggestion(running):
    error = predict_refusal(running, "zzz")
    assert error.code_and_text == (NOT_FOUND, "Servable not found for request: Latest(zzz)")
    assert error.hints == {"loaded_models": "half_plus_three, half_plus_two"}


@pytest.mark.behaviour(
    "1.1", "ours: names that are loaded or known, and a suggestion, are sent beside the unchanged message"
)
def test_a_version_of_an_unknown_model_comes_with_models(running):
    error = predict_refusal(running, "half_plus_too", version=1)
    assert error.code_and_text == (NOT_FOUND, "Servable not found for request: Specific(half_plus_too, 1)")
    assert error.hints["did_you_mean"] == "half_plus_two"


@pytest.mark.behaviour(
    "1.1", "ours: names that are loaded or known, and a suggestion, are sent beside the unchanged message"
)
def test_an_unknown_version_comes_with_those_that_are_loaded(running):
    error = predict_refusal(running, "half_plus_two", version=9)
    assert error.code_and_text == (NOT_FOUND, "Servable not found for request: Specific(half_plus_two, 9)")
    assert error.hints == {"loaded_versions": "1"}


@pytest.mark.behaviour(
    "1.1", "ours: names that are loaded or known, and a suggestion, are sent beside the unchanged message"
)
def test_an_unknown_label_comes_with_those_that_are_known(running):
    error = predict_refusal(running, "half_plus_two", label="canary")
    assert error.code_and_text == (INVALID_ARGUMENT, "Unrecognized servable version label: canary")
    assert error.hints.keys() == {"known_labels"}


@pytest.mark.behaviour(
    "1.1", "ours: names that are loaded or known, and a suggestion, are sent beside the unchanged message"
)
def test_an_unknown_signature_comes_with_those_that_are_known(running):
    error = predict_refusal(running, "half_plus_two", {"x": [[2.0]]}, "regress_x_to_z")
    assert error.code_and_text == (FAILED_PRECONDITION, 'Serving signature key "regress_x_to_z" not found.')
    assert error.hints == {
        "known_signatures": (
            "classify_x2_to_y3, classify_x_to_y, regress_x2_to_y3, regress_x_to_y, regress_x_to_y2, serving_default"
        ),
        "did_you_mean": "regress_x_to_y",
    }


@pytest.mark.behaviour("1.1", "ours: no hints, no details")
@pytest.mark.parametrize("request_of", [{"name": ""}, {"name": "half_plus_two", "outputs": ["y", "y"]}])
def test_what_needs_no_hint_comes_without_details(running, request_of):
    error = rpc_error(running, predict_request(inputs={"x": [[2.0]]}, **request_of))
    assert not [key for key, _ in error.trailing_metadata() if key == "grpc-status-details-bin"]


@pytest.mark.behaviour("1.1", "ours: --grpc_error_details=false leaves the hints out, on lanes and past them")
@pytest.mark.parametrize("runs", ["private", "public"])
def test_a_flag_leaves_the_details_out_and_changes_nothing_else(servers, runs):
    running = servers("half_plus_two", runs=runs, grpc_error_details=False)
    error = rpc_error(running, predict_request("half_plus_too"))
    assert (error.code(), error.details()) == (NOT_FOUND, "Servable not found for request: Latest(half_plus_too)")
    assert not [key for key, _ in error.trailing_metadata() if key == "grpc-status-details-bin"]


@pytest.mark.behaviour("1.1", "ours: --grpc_error_details=false leaves the hints out, on lanes and past them")
@pytest.mark.parametrize("runs", ["private", "public"])
def test_without_that_flag_the_same_call_has_details(servers, runs):
    error = rpc_error(servers("half_plus_two", runs=runs), predict_request("half_plus_too"))
    assert wire.Status.FromString(details_of(error)).code == NOT_FOUND.value[0]


def field(number, payload):
    """A length-delimited protobuf field of fewer than 128 bytes."""
    assert len(payload) < 128
    return bytes([number << 3 | 2, len(payload)]) + payload


@pytest.mark.behaviour("1.1", "ours: hints are a google.rpc.Status with an ErrorInfo, as Google's readers take it")
def test_hints_are_a_google_rpc_status_with_one_error_info(running):
    """Byte for byte, as googleapis numbers its fields: code 5, message, details; then reason, domain, metadata."""
    hint = field(1, b"loaded_versions") + field(2, b"1")
    info = field(1, b"NOT_FOUND") + field(2, b"servable") + field(3, hint)
    packed = field(1, b"type.googleapis.com/google.rpc.ErrorInfo") + field(2, info)
    message = b"Servable not found for request: Specific(half_plus_two, 9)"
    error = rpc_error(running, predict_request("half_plus_two", version=9))
    assert details_of(error) == b"\x08\x05" + field(2, message) + field(3, packed)


@pytest.mark.behaviour("1.1", "ours: hints are a google.rpc.Status with an ErrorInfo, as Google's readers take it")
@pytest.mark.parametrize("key", ["nope", "s" * 5000, "é" * 500 + "s" * 500])
def test_code_and_message_of_the_status_are_the_call_s(running, key):
    """Google's reader of these details, grpc_status.rpc_status.from_call, raises where they differ."""
    error = rpc_error(running, predict_request("half_plus_two", signature=key))
    status = wire.Status.FromString(details_of(error))
    assert status.code == FAILED_PRECONDITION.value[0]
    assert status.message == error.details()


@pytest.mark.behaviour("1.1", "ours: hints are cut so that they fit into headers")
def test_hints_of_any_length_fit_beside_the_longest_message():
    """Headers of more than 8 KiB would be refused by gRPC itself, and the caller would not get the error."""
    names = [f"{number:04}" + "模" * 400 for number in range(30)]
    servable = FakeServable(define("ab" + "签" * 500, {}, {}))
    with serve_router(Router(Routes([Handle(name, 1, servable) for name in names], {}))) as running:
        unknown_model = predict_refusal(running, names[0][:-1])
        unknown_signature = predict_refusal(running, names[0], key="ab" + "签" * 501)
    assert unknown_model.code is NOT_FOUND
    assert unknown_model.details.startswith("Servable not found for request: Latest(0000模模")
    assert unknown_model.hints["loaded_models"].startswith("0000模模")
    assert unknown_signature.code is FAILED_PRECONDITION
    assert unknown_signature.details.endswith("签...TRUNCATED")
    assert unknown_signature.hints["known_signatures"].startswith("ab签签")


@pytest.mark.behaviour("1.1", "ours: hints are cut so that they fit into headers")
def test_a_hint_ends_after_a_whole_character():
    servable = FakeServable(define("ab" + "签" * 500, {}, {}))
    with serve_router(Router(Routes([Handle("model", 1, servable)], {}))) as running:
        hints = predict_refusal(running, "model", key="nope").hints
    assert hints["known_signatures"] == "ab" + "签" * 170


@pytest.mark.behaviour("1.1", "ours: hints are cut so that they fit into headers")
def test_of_a_thousand_models_the_first_are_named():
    servable = FakeServable()
    routes = Routes([Handle(f"model_{number:04}", 1, servable) for number in range(1000)], {})
    with serve_router(Router(routes)) as running:
        hints = predict_refusal(running, "zzz").hints
    assert hints["loaded_models"].startswith("model_0000, model_0001, model_0002")
    assert len(hints["loaded_models"].encode()) <= 512
