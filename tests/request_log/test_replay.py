"""Logs of this server replayed by the client's command against a real server."""

import json

import pytest

from servable import wire
from servable_client.cli import main
from tests.request_log.calling import config, make_caller, make_log, predict_request
from tests.request_log.test_records import heads_request


@pytest.fixture(params=["tfrecord", "jsonl"])
def log_folder(request, models, tmp_path):
    """A log of half_plus_two in each form: over gRPC and REST, of Predict and of heads."""
    log = make_log()
    log.apply([config("half_plus_two", tmp_path / "logs" / "requests", request.param)])
    caller = make_caller(log, models.version_path("half_plus_two"), "half_plus_two")
    caller.grpc("Predict", predict_request("half_plus_two", x=[[2.0], [0.1], [float("nan")]]))
    caller.rest("Predict", '{"instances": [[1.5], [1e-30]]}')
    caller.grpc("Classify", heads_request(wire.ClassificationRequest, "classify_x_to_y"))
    caller.grpc("Regress", heads_request(wire.RegressionRequest, "regress_x_to_y"))
    caller.grpc("MultiInference", heads_request(wire.MultiInferenceRequest, "regress_x_to_y"))
    log.stop()
    return tmp_path / "logs"


def test_the_same_model_answers_a_log_as_recorded(log_folder, servers, capsys):
    address = servers("half_plus_two").address
    status = main(["replay", str(log_folder), address, "--json", "--concurrency=2", "--rtol=0", "--atol=0"])
    report = json.loads(capsys.readouterr().out)
    assert report["differences"] == []
    assert (status, report["sent"], report["compared"]) == (0, 5, 5)


def test_a_warm_up_file_that_is_made_of_a_log_has_its_forms(log_folder, tmp_path, capsys):
    assert main(["replay", str(log_folder), f"--warmup-file={tmp_path / 'warm'}"]) == 0
    assert "5 requests written" in capsys.readouterr().out
