"""Warm-up files made from real models, read back by the real loader, and loads of damaged files."""

import shutil

import pytest
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from servable import cli, process, wire
from servable.errors import DataLoss, FailedPrecondition, Internal, InvalidArgument, Unimplemented
from servable.execution import tf_records
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import best_runs
from servable.inference.predict import Predict
from servable.options import ServerOptions
from servable.routing import Router, Routes
from servable.servables import Handle
from servable.warmup.records import MAX_RECORDS, WARMUP_FILE
from servable.warmup.replay import WarmLoader
from tests.execution.running import run
from tests.models.exporting import tf
from tests.warmup.making import classify_log, multi_inference_log, predict_log, regress_log

# Where one request for each signature stands for all models of a kind.
MODELS = (
    "half_plus_two", "half_plus_two_tf2", "half_plus_two_text", "dnn_classifier", "example_heads", "keras_two_inputs",
    "keras_lstm", "default_values", "dtypes", "image_and_text", "strings", "scalar_beside_vector", "matmul",
    "vocabulary",
)  # fmt: skip
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture
def copy(models, tmp_path):
    """Copies a model, and gives its version directory."""

    def copy_one(name):
        return shutil.copytree(models.version_path(name), tmp_path / name / "1")

    return copy_one


def load(directory, **flags):
    return process.make_loader(ServerOptions(model_base_path="/unused", **flags))(directory)


def read(path):
    return [wire.PredictionLog.FromString(record) for record in tf_records.read(path)]


def write(directory, *records):
    path = directory / WARMUP_FILE
    path.parent.mkdir()
    with tf_records.writing(path) as append:
        for record in records:
            append(record if isinstance(record, bytes) else record.SerializeToString())
    return path


def prepared(servable):
    """The runners that are ready."""
    return set(servable._runners)


def ask_half_plus_two(signature, log):
    """A log that half_plus_two takes."""
    request = getattr(log, log.WhichOneof("log_type")).request
    if log.HasField("predict_log"):
        for size in (1, 1):
            request.inputs["x"].tensor_shape.dim.add(size=size)
        return log
    request.model_spec.signature_name = signature
    example = wire.Example(features=wire.Features(feature={"x": wire.Feature(float_list=wire.FloatList(value=[2.0]))}))
    request.input.example_list.examples[0].CopyFrom(example)
    return log


@pytest.mark.behaviour(
    "7.4", "ours: `servable warmup` writes the file from signatures, and what it writes warms up every signature"
)
@pytest.mark.parametrize("name", MODELS)
def test_a_file_made_from_signatures_alone_warms_up_all_of_them(copy, name):
    directory = copy(name)
    assert cli.main(["warmup", str(directory)]) == 0
    logs = read(directory / WARMUP_FILE)
    requests = [getattr(log, log.WhichOneof("log_type")).request for log in logs]
    model = load(directory)
    signatures = sorted(model.signatures.keys() - {"__saved_model_init_op"})
    assert [request.model_spec.signature_name for request in requests] == signatures
    asked = {(frozenset(each.inputs.values()), frozenset(each.outputs.values())) for each in of(model, signatures)}
    assert {(frozenset(feeds), frozenset(fetches)) for feeds, fetches in prepared(model)} >= asked
    model.close()


def of(model, keys):
    return [model.signatures[key] for key in keys]


@pytest.mark.behaviour(
    "7.4", "ours: `servable warmup` writes the file from signatures, and what it writes warms up every signature"
)
def test_heads_get_requests_of_their_own_rpc_where_they_can_answer_one(copy, capsys):
    directory = copy("half_plus_two")
    assert cli.main(["warmup", str(directory), "--batch_sizes=1,8"]) == 0
    logs = read(directory / WARMUP_FILE)
    kinds = [(log.WhichOneof("log_type"), getattr(log, log.WhichOneof("log_type")).request) for log in logs]
    assert [(kind, request.model_spec.signature_name) for kind, request in kinds[::2]] == [
        # Heads that are fed floats: no Classify reaches them.
        ("predict_log", "classify_x2_to_y3"),
        ("classify_log", "classify_x_to_y"),
        ("predict_log", "regress_x2_to_y3"),
        ("regress_log", "regress_x_to_y"),
        ("regress_log", "regress_x_to_y2"),
        ("predict_log", "serving_default"),
    ]
    examples = kinds[3][1].input.example_list.examples
    assert len(examples) == 8
    assert sorted(examples[0].features.feature) == ["x", "x2"]
    assert capsys.readouterr().out == f"{directory / WARMUP_FILE}: 12 requests written, 0 skipped\n"


def test_a_file_that_was_written_on_the_stock_messages_warms_up(copy):
    directory = copy("half_plus_two")
    path = directory / "assets.extra" / "tf_serving_warmup_requests"
    path.parent.mkdir()
    request = predict_pb2.PredictRequest(inputs={"x": tf.make_tensor_proto([[1.0], [2.0]])})
    request.model_spec.name, request.model_spec.version.value = "half_plus_two", 123
    log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log.SerializeToString())
    model = load(directory)
    assert prepared(model) == {(("x:0",), ("y:0",))}
    model.close()


class CountingRuns:
    """Runs graphs as ever, and counts what was prepared."""

    def __init__(self):
        self._runs = best_runs()
        self.checks_shapes = self._runs.checks_shapes
        self.prepared = 0

    def prepare(self, *arguments):
        self.prepared += 1
        return self._runs.prepare(*arguments)

    def prepare_timed(self, *arguments):
        self.prepared += 1
        return self._runs.prepare_timed(*arguments)


@pytest.mark.behaviour("7.4", "warm-up runs inside the load, before the version becomes available")
@pytest.mark.parametrize("time_left_s", [None, 60.0], ids=["without a deadline", "with a deadline"])
@pytest.mark.parametrize("name", ["half_plus_two", "slow"])
def test_the_first_call_after_a_warm_up_meets_no_unprepared_runner(copy, name, time_left_s):
    directory, runs = copy(name), CountingRuns()
    assert cli.main(["warmup", str(directory)]) == 0
    model = WarmLoader(SavedModelLoader(runs=runs), tf_records.read)(directory)
    prepared_by_warm_up = runs.prepared
    predict = Predict(Router(Routes([Handle("mine", 1, model)])))
    (request,) = [
        log.predict_log.request
        for log in read(directory / WARMUP_FILE)
        if log.predict_log.request.model_spec.signature_name == "serving_default"
    ]
    request.model_spec.name = "mine"
    assert predict(request.SerializeToString(), time_left_s)
    assert runs.prepared == prepared_by_warm_up > 0
    model.close()


@pytest.mark.behaviour("7.4", "predict, classify, regress and multi_inference logs are executed")
def test_each_kind_of_log_runs_what_its_rpc_runs(copy):
    directory = copy("half_plus_two")
    logs = [
        ask_half_plus_two("serving_default", predict_log()),
        ask_half_plus_two("classify_x_to_y", classify_log()),
        ask_half_plus_two("regress_x_to_y", regress_log()),
    ]
    multi = multi_inference_log("half_plus_two", "half_plus_two")
    for task, key in zip(multi.multi_inference_log.request.tasks, ("classify_x_to_y", "regress_x_to_y2"), strict=True):
        task.model_spec.signature_name = key
    multi.multi_inference_log.request.input.CopyFrom(logs[1].classify_log.request.input)
    write(directory, *logs, multi)
    model = load(directory)
    assert prepared(model) == {
        (("x:0",), ("y:0",)),
        (("tf_example:0",), ("y:0",)),
        (("tf_example:0",), ("y2:0", "y:0")),
    }
    model.close()


@pytest.mark.behaviour("5", "--num_request_iterations_for_warmup")
@pytest.mark.behaviour("13.13", "219 MixedWarmupData")
@pytest.mark.parametrize(("flag", "times"), [(0, 1), (-1, 1), (1, 1), (3, 3)])
def test_the_flag_says_how_often_each_log_is_executed(copy, flag, times):
    directory, log = copy("counter"), wire.PredictionLog()
    log.predict_log.request.model_spec.signature_name = "incr_counter"
    write(directory, log, log)
    model = load(directory, num_request_iterations_for_warmup=flag)
    assert run(model, "get_counter")["output"] == 2.0 * times
    model.close()


@pytest.mark.behaviour("7.4", "any error fails the load, and frees what was loaded")
@pytest.mark.behaviour("7.4", "session_run and predict_streamed logs are UNIMPLEMENTED")
@pytest.mark.parametrize(
    ("record", "error", "text"),
    [
        (b"\xff no log", InvalidArgument, "Failed to parse warmup record: \ufffd no log from "),
        (predict_log("nobody"), FailedPrecondition, 'Serving signature key "nobody" not found.'),
        (classify_log("nobody"), InvalidArgument, "No signature was found with the name: nobody"),
        (predict_log(alias="z"), InvalidArgument, "Signature input alias: x(feed name: x:0) not found"),
        (predict_log(), InvalidArgument, ""),
        (wire.PredictionLog(session_run_log=wire.SessionRunLog()), Unimplemented, "Unsupported log_type for warmup: 5"),
        (
            wire.PredictionLog(predict_streamed_log=wire.PredictStreamedLog()),
            Unimplemented,
            "Unsupported log_type for warmup: 7",
        ),
    ],
    ids=["garbage record", "signature", "head", "input", "graph", "SessionRun", "PredictStreamed"],
)
def test_a_bad_record_fails_the_load(copy, record, error, text):
    directory = copy("keras_regression" if record == predict_log() else "half_plus_two")
    write(directory, record)
    with pytest.raises(error) as caught:
        load(directory)
    assert caught.value.message.startswith(text)


@pytest.mark.behaviour("7.4", "a file that is no TFRecord file is DATA_LOSS with a hint")
@pytest.mark.behaviour("13.13", "225 UnsupportedFileFormat")
@pytest.mark.parametrize("content", [b"this is no TFRecord file", b"\0" * 100])
def test_a_file_of_something_else_fails_the_load(copy, content):
    directory = copy("half_plus_two")
    write(directory).write_bytes(content)
    with pytest.raises(DataLoss) as caught:
        load(directory)
    assert caught.value.message.endswith(". Please verify your warmup data is in TFRecord format.")


@pytest.mark.behaviour("7.4", "a file that is no TFRecord file is DATA_LOSS with a hint")
def test_a_cut_file_fails_the_load(copy):
    directory = copy("half_plus_two")
    path = write(directory, ask_half_plus_two("", predict_log()))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataLoss, match=r"truncated record.*\. Please verify your warmup data"):
        load(directory)


@pytest.mark.behaviour("7.4", "the 1001st record is executed, then refused")
@pytest.mark.behaviour("13.13", "226 TooManyWarmupRecords")
def test_too_many_records_fail_the_load(copy):
    directory = copy("half_plus_two")
    write(directory, *[wire.PredictionLog()] * (MAX_RECORDS + 1))
    with pytest.raises(InvalidArgument) as caught:
        load(directory)
    assert caught.value.message == (f"Number of warmup records exceeds the maximum (1000) at {directory / WARMUP_FILE}")


@pytest.mark.behaviour("7.4", "an empty file is no error")
@pytest.mark.behaviour("13.13", "224 WarmupDataFileEmpty")
def test_an_empty_file_is_no_error(copy):
    directory = copy("half_plus_two")
    write(directory).write_bytes(b"")
    load(directory).close()


@pytest.mark.behaviour("5", "--enable_model_warmup")
def test_no_file_is_read_where_the_flag_is_off(copy):
    directory = copy("half_plus_two")
    write(directory).write_bytes(b"this is no TFRecord file")
    load(directory, enable_model_warmup=False).close()


@pytest.mark.behaviour("7.4", "the signature's name is honoured, with the validation and the errors of the RPC")
def test_method_names_are_checked_as_for_rpcs(copy):
    directory = copy("custom_method")
    assert cli.main(["warmup", str(directory)]) == 0
    load(directory).close()
    with pytest.raises(Internal, match="Expected prediction signature method_name to be one of"):
        load(directory, enable_signature_method_name_check=True)
