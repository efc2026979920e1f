"""What is in the logs: of each API and of each way in, by real models; and logs as warm-up files."""

import json
import shutil

import numpy as np
import pytest
from tensorflow_serving.apis import prediction_log_pb2

from servable import wire
from servable.config.models import ModelConfig
from servable.execution import tf_records
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import best_runs
from servable.observability.metrics import Metrics
from servable.warmup.records import WARMUP_FILE
from servable.warmup.replay import WarmLoader
from tests.models.exporting import tf
from tests.request_log.calling import TRACE_ID, config, make_caller, make_log, predict_request


@pytest.fixture
def call(models, tmp_path):
    """Calls a model by a function, and gives the records (or lines) of the log."""

    def call_one(name, make_calls, kind="tfrecord"):
        log = make_log()
        log.apply([config(name, tmp_path / "log" / "requests", kind)])
        make_calls(make_caller(log, models.version_path(name), name))
        log.stop()
        (path,) = (tmp_path / "log").iterdir()
        if kind == "jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        return [prediction_log_pb2.PredictionLog.FromString(record) for record in tf_records.read(path)]

    return call_one


def heads_request(kind, signature):
    example = wire.Example(features=wire.Features(feature={"x": wire.Feature(float_list=wire.FloatList(value=[2.0]))}))
    request = kind(input=wire.Input(example_list=wire.ExampleList(examples=[example])))
    spec = wire.ModelSpec(name="half_plus_two", signature_name=signature)
    if kind is wire.MultiInferenceRequest:
        request.tasks.add(model_spec=spec, method_name="tensorflow/serving/regress")
    else:
        request.model_spec.CopyFrom(spec)
    return request


def test_a_predict_over_grpc_is_logged_with_its_reply_and_its_time(call):
    (log,) = call("half_plus_two", lambda caller: caller.grpc("Predict", predict_request("half_plus_two", x=[2.0])))
    assert tf.make_ndarray(log.predict_log.request.inputs["x"]).tolist() == [2.0]
    assert tf.make_ndarray(log.predict_log.response.outputs["y"]).tolist() == [3.0]
    metadata = log.log_metadata
    assert (metadata.model_spec.name, metadata.model_spec.version.value) == ("half_plus_two", 3)
    assert (metadata.timestamp_secs, metadata.saved_model_tags) == (1_700_000_000, ["serve"])
    assert metadata.sampling_config.sampling_rate == 1.0


@pytest.mark.parametrize(
    ("body", "values"),
    [
        ('{"instances": [1.5, 2.0]}', [[1.5, 2.0], [2.75, 3.0]]),
        ('{"inputs": [4.0]}', [[4.0], [4.0]]),
        ('{"inputs": {"x": [1e-40]}}', [[np.float32(1e-40)], [2.0]]),
    ],
)
def test_a_predict_over_rest_is_logged_as_one_over_grpc(call, body, values):
    (log,) = call("half_plus_two", lambda caller: caller.rest("Predict", body))
    found = tf.make_ndarray(log.predict_log.request.inputs["x"]), tf.make_ndarray(log.predict_log.response.outputs["y"])
    assert [array.tolist() for array in found] == values
    assert log.predict_log.request.model_spec.name == "half_plus_two"


def test_several_outputs_and_strings_over_rest_are_logged(call):
    (log,) = call("strings", lambda caller: caller.rest("Predict", '{"inputs": ["a", "\\u00e9"]}'))
    (array,) = [tf.make_ndarray(tensor) for tensor in log.predict_log.request.inputs.values()]
    assert array.tolist() == [b"a", "é".encode()]
    assert log.predict_log.HasField("response")


def test_an_inference_of_the_open_inference_protocol_is_logged_as_a_predict(call):
    request = wire.ModelInferRequest(model_name="half_plus_two")
    request.inputs.add(name="x", datatype="FP32", shape=[2])
    request.raw_input_contents.append(np.array([1, 2], np.float32).tobytes())
    (log,) = call("half_plus_two", lambda caller: caller.grpc("ModelInfer", request))
    assert tf.make_ndarray(log.predict_log.request.inputs["x"]).tolist() == [1.0, 2.0]
    assert not log.predict_log.HasField("response")


@pytest.mark.parametrize(
    ("api", "kind", "signature", "field"),
    [
        ("Classify", wire.ClassificationRequest, "classify_x_to_y", "classify_log"),
        ("Regress", wire.RegressionRequest, "regress_x_to_y", "regress_log"),
        ("MultiInference", wire.MultiInferenceRequest, "regress_x_to_y", "multi_inference_log"),
    ],
)
def test_heads_are_logged_with_their_replies(call, api, kind, signature, field):
    (log,) = call("half_plus_two", lambda caller: caller.grpc(api, heads_request(kind, signature)))
    assert log.WhichOneof("log_type") == field
    assert getattr(log, field).HasField("response")


def test_heads_over_rest_are_logged_as_those_over_grpc(call):
    body = '{"signature_name": "%s", "examples": [{"x": 2.0}]}'
    logs = call(
        "half_plus_two",
        lambda caller: (
            caller.rest("Classify", body % "classify_x_to_y"),
            caller.rest("Regress", body % "regress_x_to_y"),
        ),
    )
    classify, regress = logs[0].classify_log, logs[1].regress_log
    assert classify.request.input.example_list.examples[0].features.feature["x"].float_list.value == [2.0]
    assert [each.score for each in classify.response.result.classifications[0].classes] == [3.0]
    assert [each.value for each in regress.response.result.regressions] == [3.0]


def test_a_line_says_what_was_asked_and_answered(call):
    (line,) = call(
        "half_plus_two", lambda caller: caller.grpc("Predict", predict_request("half_plus_two", x=[2.0, 3.0])), "jsonl"
    )
    assert line.pop("seconds").keys() == {"total", "queue", "run"}
    assert line == {
        "time": "2023-11-14T22:13:20.250000Z",
        "model": "half_plus_two",
        "version": 3,
        "signature": "serving_default",
        "api": "Predict",
        "entrypoint": "GRPC",
        "code": "OK",
        "trace_id": TRACE_ID,
        "request": {
            "model_spec": {"name": "half_plus_two"},
            "inputs": {"x": {"dtype": "DT_FLOAT", "shape": [2], "values": [2.0, 3.0]}},
        },
        "reply": {"outputs": {"y": {"dtype": "DT_FLOAT", "shape": [2], "values": [3.0, 3.5]}}},
    }


def test_lines_of_strings_and_of_large_tensors_have_all_values(call):
    large = np.arange(30_000, dtype=np.float32).reshape(3, 5, 2000)
    wide = np.arange(5000, dtype=np.float32)
    lines = call(
        "half_plus_two",
        lambda caller: [caller.grpc("Predict", predict_request("half_plus_two", x=x)) for x in (large, wide)],
        "jsonl",
    )
    assert [line["request"]["inputs"]["x"]["values"] for line in lines] == [large.tolist(), wide.tolist()]


def test_a_line_has_text_as_text_and_other_bytes_as_base64(call):
    request = predict_request("strings", text=["é".encode(), b"\xff\n"])
    (line,) = call("strings", lambda caller: caller.grpc("Predict", request), "jsonl")
    assert line["request"]["inputs"]["text"]["values"] == ["é", {"b64": "/wo="}]


def test_a_line_of_a_call_that_failed_says_so(call):
    (line,) = call(
        "half_plus_two",
        lambda caller: caller.grpc("Predict", predict_request("half_plus_two", x=["no number"])),
        "jsonl",
    )
    assert (line["code"], "reply" in line) == ("INVALID_ARGUMENT", False)


def test_the_arrays_of_a_call_are_copied_before_its_run(models, tmp_path):
    log = make_log()
    log.apply([config("half_plus_two", tmp_path / "requests")])
    caller = make_caller(log, models.version_path("half_plus_two"), "half_plus_two")
    caller.rest("Predict", '{"instances": [1.0]}')
    assert log._chosen == {}
    log.apply([ModelConfig("half_plus_two", "/unused")])
    log.stop()


def test_a_log_in_the_place_of_the_warm_up_file_is_replayed(models, tmp_path):
    directory = shutil.copytree(models.version_path("half_plus_two"), tmp_path / "half_plus_two" / "1")
    log = make_log()
    log.apply([config("half_plus_two", tmp_path / "log" / "requests")])
    caller = make_caller(log, directory, "half_plus_two")
    caller.grpc("Predict", predict_request("half_plus_two", x=[2.0]))
    caller.rest("Predict", '{"instances": [1.0, 2.0]}')
    caller.grpc("Regress", heads_request(wire.RegressionRequest, "regress_x_to_y"))
    log.stop()
    (path,) = (tmp_path / "log").iterdir()
    (directory / WARMUP_FILE).parent.mkdir()
    shutil.copyfile(path, directory / WARMUP_FILE)
    metrics = Metrics()
    WarmLoader(SavedModelLoader(runs=best_runs()), tf_records.read, on_replay=metrics.note_warmup)(directory)
    assert metrics.read(["/tensorflow/serving/model_warmup_records_read"]) == {
        "/tensorflow/serving/model_warmup_records_read": 3
    }
