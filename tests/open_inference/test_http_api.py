"""The protocol over HTTP without a socket: paths, JSON, the binary extension, and what is refused with which status."""

import asyncio
import json
import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable import wire
from servable.errors import DeadlineExceeded, Unavailable
from servable.http_exchange import HttpRequest
from servable.open_inference import datatypes
from tests.open_inference.asking import (
    any_arrays,
    ask,
    assert_equal,
    datatype_of,
    echo,
    echo_models,
    from_bytes,
    get,
    infer,
    json_input,
    make_api,
    to_bytes,
)

X = np.array([[1.5, -2.0]], np.float32)
INPUT = json_input("x", X, data=[1.5, -2.0])
BINARY_INPUT = json_input("x", X, parameters={"binary_data_size": 8})


def test_the_server_describes_itself():
    status, document = get("/v2")
    assert status == 200
    assert document["name"] == "servable"
    assert document["extensions"] == ["binary_tensor_data"]


def test_a_server_is_live_and_as_ready_as_it_says():
    assert get("/v2/health/live") == (200, {"live": True})
    assert get("/v2/health/ready") == (200, {"ready": True})
    assert get("/v2/health/ready", make_api(is_ready=False)) == (400, {"ready": False})


@pytest.mark.parametrize(
    ("path", "status"),
    [("m", 200), ("m/versions/1", 200), ("m/versions/old", 200), ("m/versions/3", 400), ("n", 400), ("%6d", 200)],
)
def test_a_model_is_ready_if_it_would_answer(path, status):
    got, document = get(f"/v2/models/{path}/ready")
    assert got == status
    assert document["ready"] is (status == 200)


def test_metadata_is_that_of_grpc_as_json():
    status, document = get("/v2/models/m", make_api(echo_models(3, 12, shape=(-1, 4))))
    assert status == 200
    assert document == {
        "name": "m",
        "versions": ["3", "12"],
        "platform": "tensorflow_savedmodel",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "x_out", "datatype": "FP32", "shape": [-1, 4]}],
    }


def test_a_query_names_the_signature_of_metadata():
    _, document = get("/v2/models/m/versions/1?signature_name=two")
    assert [each["name"] for each in document["inputs"]] == ["x", "y"]
    assert get("/v2/models/m?signature_name=no")[0] == 400


def test_metadata_of_an_unknown_model_is_not_found():
    status, document = get("/v2/models/n")
    assert status == 404
    assert document["error"].startswith("Servable not found for request: Latest(n)")


@pytest.mark.parametrize("target", ["/v2/", "/v2/health/ready/?a=b", "/v2/models/m/ready#there"])
def test_a_slash_a_query_or_a_fragment_at_the_end_changes_nothing(target):
    assert get(target)[0] == 200


@pytest.mark.parametrize(
    "target",
    ["/v2/models", "/v2/health", "/v2/models/m/versions", "/v2/models/m/config", "/v2/models/m/ready/x", "/v3"],
)
def test_an_unknown_path_is_not_found(target):
    status, document = get(target)
    assert status == 404
    assert "not part of the Open Inference Protocol" in document["error"]


def test_a_path_that_is_no_utf_8_is_refused():
    assert get("/v2/models/%ff/ready") == (400, {"error": "the path is no UTF-8"})


@pytest.mark.parametrize(
    ("verb", "target", "allowed"),
    [("POST", "/v2", b"GET"), ("PUT", "/v2/models/m", b"GET"), ("GET", "/v2/models/m/infer", b"POST")],
)
def test_another_verb_is_refused_with_the_one_to_use(verb, target, allowed):
    reply = ask(make_api(), verb, target)
    assert reply.status == 405
    assert list(reply.headers) == [(b"Allow", allowed)]
    assert json.loads(reply.body) == {"error": f"use {allowed.decode()}"}


def test_json_is_answered_in_json():
    status, document, rest = infer({"id": "7", "inputs": [INPUT]})
    assert (status, rest) == (200, b"")
    assert document == {
        "model_name": "m",
        "model_version": "2",
        "id": "7",
        "outputs": [{"name": "x_out", "datatype": "FP32", "shape": [1, 2], "data": [1.5, -2.0]}],
    }


def test_without_an_id_the_reply_has_none():
    assert "id" not in infer({"inputs": [INPUT]})[1]


def test_the_path_names_the_version():
    assert infer({"inputs": [INPUT]}, target="/v2/models/m/versions/1/infer")[1]["model_version"] == "1"
    assert infer({"inputs": [INPUT]}, target="/v2/models/m/versions/old/infer")[1]["model_version"] == "1"


@given(any_arrays(), st.booleans(), st.booleans())
def test_values_in_bytes_come_back_as_they_went(array, by_output, binary_out):
    if not binary_out and array.dtype == object:
        array = np.array([b"text"], object)
    flag = {"binary_data": binary_out} if by_output else {}
    document = {
        "inputs": [json_input("x", array, parameters={"binary_data_size": len(to_bytes(array))})],
        "outputs": [{"name": "x_out", "parameters": flag}],
        "parameters": {"binary_data_output": binary_out if not by_output else not binary_out},
    }
    status, reply, rest = infer(document, to_bytes(array), json_bytes=len(json.dumps(document)))
    (output,) = reply["outputs"]
    assert status == 200
    assert output["shape"] == list(array.shape)
    if binary_out:
        assert output["parameters"] == {"binary_data_size": len(rest)}
        assert_equal(from_bytes(rest, datatype_of(array), array.shape), array)
    else:
        assert rest == b""
        data = [text.encode() for text in output["data"]] if array.dtype == object else output["data"]
        got = np.empty(array.size, array.dtype)
        got[:] = data
        assert_equal(got.reshape(array.shape), array)


def test_inputs_in_bytes_and_in_json_may_stand_side_by_side():
    y = np.array([[3]], np.int64)
    document = {
        "parameters": {"signature_name": "two"},
        "inputs": [json_input("y", y, data=[[3]]), BINARY_INPUT],
        "outputs": [{"name": "y_out"}, {"name": "x_out", "parameters": {"binary_data": True}}],
    }
    status, reply, rest = infer(document, X.tobytes())
    assert status == 200
    assert [output["name"] for output in reply["outputs"]] == ["y_out", "x_out"]
    assert reply["outputs"][0]["data"] == [3]
    assert rest == X.tobytes()


def test_two_binary_outputs_follow_each_other_in_the_order_of_the_reply():
    document = {
        "parameters": {"signature_name": "two", "binary_data_output": True},
        "inputs": [INPUT, json_input("y", np.array([5], np.int8), data=[5])],
    }
    _, reply, rest = infer(document)
    assert [output["parameters"]["binary_data_size"] for output in reply["outputs"]] == [8, 1]
    assert rest == X.tobytes() + b"\5"


REFUSED = {
    "no JSON": (b"{", 400, "JSON Parse error"),
    "bytes that are no text": (b"\xff\xfe\xfd", 400, "JSON Parse error"),
    "nothing": (b"", 400, "JSON Parse error"),
    "lists without an end": (b"[" * 200_000, 400, "nested too deeply"),
    "a number that no double holds": (b'{"inputs": [1e400]}', 400, "a number is too large"),
    "a number of 400 digits": (b'{"inputs": [' + b"9" * 400 + b".0]}", 400, "a number is too large"),
    "an integer of 5,000 digits": (b'{"inputs": [' + b"9" * 5000 + b"]}", 400, "a number is too large"),
    "more values than there is memory for": (
        b'{"a": [' + b"[]," * 4_000_001 + b"[]]}",
        400,
        "more than 4000000 values",
    ),
    "a number of many digits": (b'{"id":' + b"1" * 100_000 + b"}", 400, ""),
    "no object": (b"[]", 400, "the request is no JSON object"),
    "inputs that are no list": ({"inputs": {}}, 400, '"inputs" must be a list'),
    "an input that is no object": ({"inputs": [1]}, 400, '"inputs" must hold objects'),
    "an output that is no object": ({"inputs": [INPUT], "outputs": ["x"]}, 400, '"outputs" must hold objects'),
    "an input without a name": ({"inputs": [{**INPUT, "name": None}]}, 400, '"name" must be a string'),
    "a datatype that is no string": ({"inputs": [{**INPUT, "datatype": 1}]}, 400, 'datatype" must be a string'),
    "no shape": ({"inputs": [{**INPUT, "shape": None}]}, 400, '"shape" must be a list'),
    "a shape of fractions": ({"inputs": [{**INPUT, "shape": [1.0, 2]}]}, 400, "must hold integers"),
    "a shape of booleans": ({"inputs": [{**INPUT, "shape": [True, 2]}]}, 400, "must hold integers"),
    "no data": ({"inputs": [{**INPUT, "data": None}]}, 400, 'input "x": "data" is no list'),
    "an id that is no string": ({"id": 1, "inputs": [INPUT]}, 400, '"id" must be a string'),
    "parameters that are no object": ({"parameters": [], "inputs": [INPUT]}, 400, '"parameters" must be an object'),
    "no inputs": ({}, 400, "input size does not match signature: 0!=1"),
    "an unknown signature": (
        {"parameters": {"signature_name": "\ud800"}, "inputs": [INPUT]},
        400,
        "Serving signature key",
    ),
    "an unknown output": ({"inputs": [INPUT], "outputs": [{"name": "z"}]}, 400, "output tensor alias not found"),
    "a classification": (
        {"inputs": [INPUT], "outputs": [{"name": "x_out", "parameters": {"classification": 3}}]},
        501,
        "classification is not supported",
    ),
}


@pytest.mark.parametrize("mistake", REFUSED)
def test_a_mistake_is_refused_with_a_reason_and_the_next_request_answered(mistake):
    document, status, words = REFUSED[mistake]
    api = make_api()
    got, reply, _ = infer(document, api=api)
    assert got == status
    assert words in reply["error"]
    assert infer({"inputs": [INPUT]}, api=api)[0] == 200


@pytest.mark.parametrize(
    ("size", "contents", "words"),
    [
        (9, X.tobytes(), "binary_data_size is 9; 8 bytes are left"),
        (-1, X.tobytes(), "binary_data_size is -1"),
        (1 << 70, X.tobytes(), "binary_data_size is"),
        (7, X.tobytes(), "1 bytes behind the JSON belong to no input"),
        (True, X.tobytes(), '"binary_data_size" must be an integer'),
        (4, X.tobytes()[:4], "4 bytes were sent; 2 values of FP32 take 8"),
    ],
)
def test_a_binary_size_that_lies_is_refused(size, contents, words):
    status, reply, _ = infer({"inputs": [json_input("x", X, parameters={"binary_data_size": size})]}, contents)
    assert status == 400
    assert words in reply["error"]


def test_data_beside_bytes_is_refused():
    status, reply, _ = infer({"inputs": [{**BINARY_INPUT, "data": [1.5, -2.0]}]}, X.tobytes())
    assert (status, reply["error"]) == (400, 'input "x": "data" must not stand beside binary_data_size')


@pytest.mark.parametrize("length", [0, 5, 10_000, 10**17])
def test_a_json_length_that_lies_is_refused(length):
    status, reply, _ = infer({"inputs": [BINARY_INPUT]}, X.tobytes(), json_bytes=length)
    assert status == 400
    assert "JSON Parse error" in reply["error"] or "Inference-Header-Content-Length is" in reply["error"]


@pytest.mark.parametrize("length", [b"-1", b"", b"1e3", b"\xff", b"9" * 5000])
def test_a_json_length_that_is_no_number_is_refused(length):
    reply = ask(make_api(), "POST", "/v2/models/m/infer", b"{}", [(b"inference-header-content-length", length)])
    assert reply.status == 400
    assert json.loads(reply.body)["error"] == "Inference-Header-Content-Length is no number"


def test_an_output_that_json_cannot_hold_says_what_to_ask_for():
    text = np.array([b"\xff"], object)
    document = {"inputs": [json_input("x", text, parameters={"binary_data_size": 5})]}
    status, reply, _ = infer(document, to_bytes(text))
    assert status == 400
    assert reply["error"] == 'output "x_out": JSON cannot hold bytes that are no UTF-8; ask for binary_data'


def test_numbers_that_json_lacks_are_written_as_python_and_tritons_client_read_them():
    array = np.array([np.nan, np.inf, -np.inf], np.float32)
    _, reply, _ = infer({"inputs": [json_input("x", array, data=array.tolist())]})
    np.testing.assert_array_equal(np.array(reply["outputs"][0]["data"]), array)


@pytest.mark.parametrize(("error", "status"), [(DeadlineExceeded("late"), 504), (Unavailable("full"), 503)])
def test_an_error_of_a_run_has_the_status_of_its_code(error, status):
    def fetch(_request):
        raise error

    got, reply, _ = infer({"inputs": [INPUT]}, api=make_api(fetch=fetch))
    assert (got, reply) == (status, {"error": error.message})


def test_a_fault_of_ours_is_logged_and_told_without_details(caplog):
    def fetch(_request):
        raise RuntimeError("secret")

    with caplog.at_level(logging.ERROR):
        got, reply, _ = infer({"inputs": [INPUT]}, api=make_api(fetch=fetch))
    assert (got, reply) == (500, {"error": "Internal error"})
    assert "secret" in caplog.text


def test_a_dtype_that_the_protocol_lacks_is_refused():
    api = make_api(fetch=lambda request: echo(request, [wire.DT_QINT8]))
    status, reply, _ = infer({"inputs": [INPUT]}, api=api)
    assert status == 400
    assert 'output "x_out" is of DT_QINT8' in reply["error"]


def test_an_answer_of_another_thread_is_awaited():
    api, threads = make_api(), []

    async def answer_later():
        loop = asyncio.get_running_loop()
        inner = api.infer

        def infer_elsewhere(message, time_left_s, reply):
            threads.append(loop.run_in_executor(None, inner, message, time_left_s, reply))

        later = type(api)(infer_elsewhere, api.router, api.is_server_ready)
        return await later.handle(HttpRequest("POST", "/v2/models/m/infer", json.dumps({"inputs": [INPUT]}).encode()))

    assert asyncio.run(answer_later()).status == 200
    assert threads


@pytest.mark.parametrize("name", datatypes.BY_NAME)
def test_no_elements_are_a_tensor_too(name):
    document = {"inputs": [{"name": "x", "datatype": name, "shape": [0, 3], "data": []}]}
    status, reply, _ = infer(document)
    assert status == 200
    assert reply["outputs"][0] == {"name": "x_out", "datatype": name, "shape": [0, 3], "data": []}
