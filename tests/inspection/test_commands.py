"""The commands that a report prints are tried: each is answered by a server that serves the model."""

import json
import shlex

import grpc
import pytest
from google.protobuf import json_format
from tensorflow_serving.apis import classification_pb2, predict_pb2, regression_pb2

from servable.inspection.commands import make_commands
from servable_client import cli
from tests.inspection.making import look

REQUESTS = {
    "Predict": predict_pb2.PredictRequest,
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
}
NAMES = ("half_plus_two", "half_plus_three", "dtypes")


def find_commands(models):
    """The words of each command for some models, beside the name of its program."""
    for name in NAMES:
        for signature in look(models.base_path(name)).signatures:
            for command in make_commands(name, signature):
                yield shlex.split(command)


@pytest.fixture
def running(servers):
    return servers(*NAMES)


def test_each_grpcurl_command_is_answered(models, running):
    commands = [words for words in find_commands(models) if words[0] == "grpcurl"]
    for _, plaintext, _, data, address, path in commands:
        assert (plaintext, address) == ("-plaintext", "127.0.0.1:8500")
        message = json_format.ParseDict(json.loads(data), REQUESTS[path.rpartition("/")[2]]())
        # An Example without features is all that can be made up without the graph.
        refusal = refuse(running, f"/{path}", message)
        assert refusal == "" or "Feature: x (data type: float) is required" in refusal, data
    assert len(commands) > len(NAMES)


def refuse(running, path, message):
    """What a caller is told; empty if the call is answered."""
    try:
        running.call(path, message.SerializeToString())
    except grpc.RpcError as error:
        return error.details()
    return ""


def test_each_client_command_is_answered(models, running, capsys):
    commands = [words for words in find_commands(models) if words[0] == "servable-client"]
    for _, *words in commands:
        status = cli.main([*words, "-a", running.address])
        error = capsys.readouterr().err
        # It says itself what zeros cannot stand for.
        assert status == 0 or "has no known rank" in error, (words, error)
    assert len(commands) > len(NAMES)
