"""Almost valid requests: each ends with a reply or a meant refusal, and none takes more memory than it brought."""

import json
import tracemalloc

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from servable import wire
from servable.errors import Code, ServingError
from servable.open_inference.grpc_api import GrpcInfer
from tests.open_inference.asking import (
    LENGTH_HEADER,
    ask,
    echo,
    echo_models,
    grpc_request,
    json_input,
    make_api,
    to_bytes,
)
from tests.properties.mutations import BLIND, mutated

MODELS = echo_models()
API = make_api(MODELS)
FLOATS, TEXTS = np.array([[1.5, -2.0]], np.float32), np.array([b"ab", b""], object)
MEANT = {Code.OK, Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED}
# A reply, its message, and what hypothesis itself takes.
FEW_BYTES = 2 << 20


def named(key):
    return {"signature_name": wire.InferParameter(string_param=key)}


MESSAGES = [
    grpc_request({"x": FLOATS}, id="1", model_version="1").SerializeToString(),
    grpc_request({"x": FLOATS}, raw=False).SerializeToString(),
    grpc_request({"x": TEXTS}).SerializeToString(),
    grpc_request({"x": TEXTS, "y": FLOATS}, raw=False, parameters=named("two")).SerializeToString(),
    grpc_request({}, parameters=named("none")).SerializeToString(),
]


def body(inputs, contents=b"", **fields):
    return json.dumps({"inputs": inputs, **fields}).encode(), contents


def binary_input(name, array):
    return json_input(name, array, parameters={"binary_data_size": len(to_bytes(array))})


BODIES = [
    body([json_input("x", FLOATS, data=FLOATS.tolist())], id="1"),
    body([json_input("x", TEXTS, data=["ab", ""])], outputs=[{"name": "x_out", "parameters": {"binary_data": True}}]),
    body([binary_input("x", TEXTS)], to_bytes(TEXTS), parameters={"binary_data_output": True}),
    body(
        [binary_input("x", FLOATS), binary_input("y", TEXTS)],
        to_bytes(FLOATS) + to_bytes(TEXTS),
        parameters={"signature_name": "two"},
    ),
]
# What JSON has and random bytes seldom are.
JSON_PARTS = st.sampled_from(
    [b"null", b"-1", b"1e999", b"[[", b"]]", b"{}", b"NaN", b'"\\ud800"', b"true", b"9" * 30, b'"x"', b",", b"0.5"]
)


@st.composite
def mutated_bodies(draw):
    """A body that is up to four times changed, and its header, which may lie."""
    text, contents = draw(st.sampled_from(BODIES))
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.booleans()):
            text = draw(st.sampled_from(BLIND))(draw, text, [text])
        else:
            start = draw(st.integers(0, len(text)))
            end = draw(st.integers(start, min(start + 12, len(text))))
            text = text[:start] + draw(JSON_PARTS) + text[end:]
    if draw(st.booleans()):
        contents = draw(st.sampled_from(BLIND))(draw, contents, [contents])
    length = draw(st.just(len(text)) | st.just(len(text)) | st.integers(0, 2 * len(text)))
    headers = [(LENGTH_HEADER, b"%d" % length)] if contents or draw(st.booleans()) else []
    return text + contents, headers


def outcome(message):
    """The code and text of the status."""
    try:
        request = GrpcInfer(MODELS).begin(message)
        wire.ModelInferResponse.FromString(request.finish(echo(request)))
    except ServingError as error:
        return error.code, error.message
    return Code.OK, ""


@settings(max_examples=2_500)
@given(mutated(MESSAGES))
def test_a_mutated_message_is_answered_or_refused(message):
    code, text = outcome(message)
    event(code.name)
    # INTERNAL without a text is what bytes that do not parse are answered with.
    assert code in MEANT or (code, text) == (Code.INTERNAL, "")


@settings(max_examples=2_500)
@given(mutated_bodies())
def test_a_mutated_body_is_answered_or_refused(mutant):
    content, headers = mutant
    reply = ask(API, "POST", "/v2/models/m/infer", content, headers)
    event(str(reply.status))
    assert reply.status in {200, 400, 404, 501}
    if reply.status != 200:
        assert json.loads(reply.body)["error"]


@settings(max_examples=200)
@given(st.text(max_size=30), st.binary(max_size=30))
def test_no_path_is_a_fault_of_ours(text, code):
    for part in (text.encode(), code):
        for target in (b"/v2/models/" + part, b"/v2/models/m/versions/" + part + b"/ready", b"/v2" + part):
            assert ask(API, "GET", target.decode("latin-1")).status in {200, 400, 404}


def test_a_shape_that_claims_all_memory_takes_none():
    shapes = [(1 << 40,), (1 << 20, 1 << 20), (1 << 62,), (1 << 31, 0), (1,) * 33]
    tracemalloc.start()
    try:
        for shape in shapes:
            for datatype in ("FP32", "BYTES", "BOOL"):
                document = {"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": [1]}]}
                assert ask(API, "POST", "/v2/models/m/infer", json.dumps(document).encode()).status == 400
        assert tracemalloc.get_traced_memory()[1] < FEW_BYTES
    finally:
        tracemalloc.stop()
