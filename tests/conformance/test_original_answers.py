"""Requests that the original's own code was asked, and what it answered: code, text and message.

`original/answers.jsonl.gz` has a request a line, with what tensorflow/serving 9d981c5 on TensorFlow 2.21 answered when
it served `original/zoo`. What differs stands in `original/differences.toml`, with the reason. An entry there that
differs in nothing fails, so the list is no longer than it must be.
"""

import base64
import gzip
import json
import sys
from pathlib import Path

import grpc
import pytest

from servable import wire
from tests import serving
from tests.codec.wire_bytes import sized
from tests.conformance.calls import PREDICTION_SERVICE, RUNS
from tests.conformance.example_calls import CLASSIFY_METHOD, classification, example, multi_inference, plain, task

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = Path(__file__).parent / "original"
REPLIES = {
    "Predict": wire.PredictResponse,
    "Classify": wire.ClassificationResponse,
    "Regress": wire.RegressionResponse,
    "MultiInference": wire.MultiInferenceResponse,
    "GetModelMetadata": wire.GetModelMetadataResponse,
    "GetModelStatus": wire.GetModelStatusResponse,
}


def read_answers():
    with gzip.open(DATA / "answers.jsonl.gz") as lines:
        return [json.loads(line) for line in lines]


def read_differences():
    """The reason for each tag whose answer differs."""
    kinds = tomllib.loads((DATA / "differences.toml").read_text())
    return {tag: kind["reason"] for kind in kinds.values() for tag in kind["tags"]}


ANSWERS = read_answers()
DIFFERENCES = read_differences()


class _Original:
    def base_path(self, name):
        return DATA / name


@pytest.fixture(scope="module", params=RUNS)
def zoo(request):
    running = serving.start(_Original(), "zoo", runs=request.param)
    yield running
    running.close()


def ask(running, answer):
    """Code, text in bytes and message, as the original's answers have them."""
    try:
        reply = running.call(answer["method"], base64.b64decode(answer["request"]))
    except grpc.RpcError as error:
        return error.code().value[0], error.details().encode(), None
    return 0, b"", read_message(answer, reply)


def expected(answer):
    reply = read_message(answer, base64.b64decode(answer["reply"])) if answer["code"] == 0 else None
    return answer["code"], base64.b64decode(answer["message"]), reply


def read_message(answer, data):
    """A response that equals another in whatever order maps have been written."""
    message = REPLIES[answer["method"].rpartition("/")[2]].FromString(data)
    if not isinstance(message, wire.GetModelMetadataResponse):
        return message
    signatures = wire.SignatureDefMap()
    assert message.metadata["signature_def"].Unpack(signatures)
    return message.model_spec, signatures


@pytest.mark.behaviour("1.1", "recorded requests get the original's code, text and message")
def test_there_are_as_many_as_the_original_was_asked():
    assert len(ANSWERS) == 1691
    assert DIFFERENCES.keys() <= {answer["tag"] for answer in ANSWERS}


@pytest.mark.behaviour("1.1", "recorded requests get the original's code, text and message")
@pytest.mark.parametrize("answer", ANSWERS, ids=[answer["tag"] for answer in ANSWERS])
def test_the_answer_is_the_original_s(zoo, answer):
    given = ask(zoo, answer)
    if answer["tag"] in DIFFERENCES:
        assert given != expected(answer), f"it is equal now, so it need not be listed: {DIFFERENCES[answer['tag']]}"
    else:
        assert given == expected(answer)


NO_TEXT = b"\xff\x00\x80"


@pytest.mark.behaviour("2.3", "Classify: a label that is no UTF-8 is sent as it is")
@pytest.mark.parametrize(
    ("api", "request_for"),
    [
        ("Classify", lambda given: classification("zoo", "c_classes", given)),
        ("MultiInference", lambda given: multi_inference(task("zoo", "c_classes", CLASSIFY_METHOD), given=given)),
    ],
    ids=["Classify", "MultiInference"],
)
def test_a_label_that_is_no_text_reaches_the_caller(zoo, api, request_for):
    """The labels of c_classes are made of the feature `s`."""
    given = plain(example(s=NO_TEXT, n=1, x=[1.0, 2.0]))
    assert sized(1, NO_TEXT) in zoo.call(PREDICTION_SERVICE + api, request_for(given).SerializeToString())


# What the original says of a request or its results that it cannot batch (TensorFlow Serving, batching_session.cc).
ONLY_WITH_BATCHING = (
    "Batching Run() input tensors must have at least one dimension",
    "Batching Run() input tensors must have equal 0th-dimension size",
    "Batched output tensor has 0 dimensions",
    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors",
)


@pytest.mark.behaviour("8.4", "what can be batched is answered as without batching, and refused in the same words")
@pytest.mark.parametrize("runs", RUNS)
def test_batching_changes_only_what_cannot_be_batched(runs):
    batching = serving.start(_Original(), "zoo", runs=runs, enable_batching=True)
    try:
        answers = [answer for answer in ANSWERS if answer["tag"] not in DIFFERENCES]
        differing = [
            (answer["tag"], given) for answer in answers if (given := ask(batching, answer)) != expected(answer)
        ]
    finally:
        batching.close()
    assert differing
    assert [(tag, given) for tag, given in differing if given[1].decode() not in ONLY_WITH_BATCHING] == []
