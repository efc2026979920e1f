"""model.tflite on a server, over sockets."""

import dataclasses
import random
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)

from servable import app, process
from servable.config.models import All, ModelConfig
from servable.options import ServerOptions
from tests.conformance.calls import (
    INTERNAL,
    INVALID_ARGUMENT,
    TIMEOUT_S,
    predict,
    predict_request,
    refused_predict,
)
from tests.models import tflite_files
from tests.serving import connect

X, Y = "serving_default_x", "PartitionedCall"


@pytest.fixture(scope="module")
def halves():
    return tflite_files.half_plus_two()


@pytest.fixture
def serve(tmp_path):
    """Serves models: bytes by name, or by name and version. A list of folders gets them."""
    started = []

    def start(models, **flags):
        for name, versions in models.items():
            for version, data in (versions if isinstance(versions, dict) else {1: versions}).items():
                folder = tmp_path / name / str(version)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "model.tflite").write_bytes(data)
        options = ServerOptions(
            prefer_tflite_model=True, max_num_load_retries=0, model_base_path=str(tmp_path), port=8500, **flags
        )
        configuration = app.configure(options)
        configs = [ModelConfig(name, str(tmp_path / name), All()) for name in models]
        settings = dataclasses.replace(configuration.settings, addresses=["127.0.0.1:0"])
        configuration = dataclasses.replace(configuration, models=configs, settings=settings)
        server = app.Server(configuration, process.make_loader(options, configuration.batching))
        (port,) = server.start()
        started.append(connect(server, f"127.0.0.1:{port}"))
        return started[-1]

    yield start
    for running in started:
        running.close()


def y_of(response, alias=Y):
    return tf.make_ndarray(response.outputs[alias]).tolist()


@pytest.mark.behaviour("5", "--prefer_tflite_model")
@pytest.mark.behaviour("13.1", "23 testPredictOnTfLite")
@pytest.mark.parametrize("lanes", [0, 1])
def test_a_model_without_signature_definitions_predicts_by_the_names_of_its_tensors(serve, halves, lanes):
    running = serve({"m": tflite_files.rename(halves, {f"{X}:0": "x", f"{Y}:0": "y"})}, grpc_lanes=lanes)
    # As the original's test does, a vector for an input that is stored as a matrix of one value.
    for _ in range(20):
        assert y_of(predict(running, "m", {"x": np.float32([2])}), "y") == [3.0]
    assert y_of(predict(running, "m", {"x": np.float32([[2], [4]])}), "y") == [[3.0], [4.0]]


@pytest.mark.behaviour("13.1", "24 testPredictWithSignatureDefOnTfLite")
def test_a_model_with_signature_definitions_predicts_by_their_names(serve, halves):
    definition = tflite_files.definition({"x": "tflite_input:0"}, {"y": "y:0"})
    renamed = tflite_files.rename(halves, {f"{X}:0": "tflite_input", f"{Y}:0": "y"})
    running = serve({"m": tflite_files.with_definitions(renamed, {"serving_default": definition})})
    assert y_of(predict(running, "m", {"x": np.float32([2])}), "y") == [3.0]
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "m"
    metadata = running.prediction.GetModelMetadata(request, timeout=TIMEOUT_S)
    stored = get_model_metadata_pb2.SignatureDefMap.FromString(metadata.metadata["signature_def"].value)
    assert stored.signature_def["serving_default"].inputs["x"].name == "tflite_input"


@pytest.mark.behaviour("7.5", "--enable_batching batches a TensorFlow Lite model like any other")
def test_requests_are_batched(serve, halves):
    running = serve({"m": halves}, enable_batching=True)
    calls = [
        running.prediction.Predict.future(predict_request("m", {X: np.float32([[n], [n + 1]])}), timeout=TIMEOUT_S)
        for n in range(50)
    ]
    assert [y_of(call.result(TIMEOUT_S)) for call in calls] == [[[n / 2 + 2], [n / 2 + 2.5]] for n in range(50)]


@pytest.mark.behaviour("5", "--num_tflite_pools")
@pytest.mark.behaviour("5", "--num_tflite_interpreters_per_pool")
@pytest.mark.behaviour("7.5", "more than one interpreter in a pool turns on batches inside the session")
def test_a_pool_of_several_interpreters_splits_requests(serve, halves):
    running = serve({"m": halves}, num_tflite_interpreters_per_pool=4, num_tflite_pools=2)
    rows = np.arange(499, dtype=np.float32).reshape(-1, 1)
    assert y_of(predict(running, "m", {X: rows})) == (rows / 2 + 2).tolist()


@pytest.mark.behaviour("7.5", "ours: another dtype than the input's is refused")
@pytest.mark.parametrize("values", [[[1]], [[True]], [[b"a"]], [[1 + 2j]]])
def test_another_dtype_is_refused_and_the_next_request_answered(serve, halves, values):
    running = serve({"m": halves})
    code, text = refused_predict(running, "m", {X: np.array(values)})
    assert code is INVALID_ARGUMENT
    assert text.startswith("Expects arg[0] to be float but ")
    assert y_of(predict(running, "m", {X: np.float32([[2]])})) == [[3.0]]


SHAPES = [(), (1,) * 3, (1,) * 11, (0, 1), (1, 0), (2**16, 0)]


@pytest.mark.behaviour("7.5", "ours: a scalar, a rank above the model's, and no values are refused")
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_could_end_the_process_are_refused(serve, halves, shape):
    running = serve({"m": halves})
    code, text = refused_predict(running, "m", {X: np.zeros(shape, np.float32)})
    assert code is INVALID_ARGUMENT
    assert text.startswith(f"Input {X}:0 has the shape {list(shape)}")
    assert y_of(predict(running, "m", {X: np.float32([[2]])})) == [[3.0]]


def test_a_shape_that_the_model_cannot_take_fails_and_the_next_request_is_answered(serve):
    weights = tf.ones([3, 2])
    data = tflite_files.convert(lambda x: {"y": x @ weights}, tf.TensorSpec([None, 3], tf.float32, name="x"))
    running = serve({"m": data}, num_tflite_pools=1)
    code, text = refused_predict(running, "m", {X: np.zeros((2, 4), np.float32)})
    assert (code, text.split("\n")[0]) == (INTERNAL, "Failed to allocate tensors")
    for rows in (1, 1000, 2):
        response = predict(running, "m", {X: np.ones((rows, 3), np.float32)})
        (values,) = response.outputs.values()
        assert tf.make_ndarray(values).tolist() == [[3.0, 3.0]] * rows


def test_strings_of_any_shape_are_passed_as_they_are(serve):
    data = tflite_files.convert(lambda s: {"t": tf.expand_dims(s, 1)}, tf.TensorSpec([None], tf.string, name="s"))
    running = serve({"m": data})
    given = np.array([b"a", b"", b"\0\xff\0"], object)
    response = predict(running, "m", {"serving_default_s": given})
    assert tf.make_ndarray(response.outputs[Y]).tolist() == [[b"a"], [b""], [b"\0\xff\0"]]


def test_own_signatures_of_other_subgraphs_are_run(serve, tmp_path):
    running = serve({"m": tflite_files.two_functions(tmp_path / "saved")}, num_tflite_pools=1)
    for _ in range(3):
        looked_up = predict(running, "m", {"row": np.int32([1, 0])}, "lookup")
        assert y_of(looked_up, "values") == [[3.0, 4.0], [1.0, 2.0]]
        assert y_of(predict(running, "m", {"x": np.float32([[4]])}, "double"), "y") == [[8.0]]
    code, text = refused_predict(running, "m", {"row": np.int32([7])}, "lookup")
    assert (code, text.split("\n")[0]) == (INTERNAL, "Failed to invoke TfLite interpreter")


@pytest.mark.behaviour("7.5", "Classify and Regress work through the same session")
def test_a_model_that_takes_examples_as_strings_classifies_and_regresses(serve):
    """No interpreter in Python parses tf.Examples, so this model scores them by nothing that is in them."""

    def scores(inputs):
        return {"scores": tf.fill([tf.size(inputs), 2], 0.5)}

    data = tflite_files.convert(scores, tf.TensorSpec([None], tf.string, name="inputs"))
    names = {"serving_default_inputs:0": "inputs", f"{Y}:0": "scores"}
    data = tflite_files.with_definitions(
        tflite_files.rename(data, names),
        {
            "classes": tflite_files.definition(
                {"inputs": "inputs"}, {"scores": "scores"}, "tensorflow/serving/classify"
            ),
        },
    )
    running = serve({"m": data})
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name, request.model_spec.signature_name = "m", "classes"
    request.input.example_list.examples.add()
    request.input.example_list.examples.add()
    result = running.prediction.Classify(request, timeout=TIMEOUT_S).result
    assert [[each.score for each in one.classes] for one in result.classifications] == [[0.5, 0.5]] * 2
    regression = regression_pb2.RegressionRequest()
    regression.model_spec.CopyFrom(request.model_spec)
    regression.input.CopyFrom(request.input)
    error = running.prediction.Regress.future(regression, timeout=TIMEOUT_S).exception(TIMEOUT_S)
    assert error.code() is INVALID_ARGUMENT


@pytest.mark.behaviour("7.5", "warm-up files are read")
@pytest.mark.parametrize(("value", "state"), [(np.float32([[1]]), 30), (np.int32([[1]]), 50)])
def test_warm_up_requests_are_answered_before_a_version_serves(serve, halves, tmp_path, value, state):
    extra = tmp_path / "m" / "1" / "assets.extra"
    extra.mkdir(parents=True)
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("m", {X: value}))
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        writer.write(log.SerializeToString())
    running = serve({"m": halves, "other": halves})
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "m"
    (version,) = running.model.GetModelStatus(request, timeout=TIMEOUT_S).model_version_status
    assert version.state == state


def test_two_versions_serve_side_by_side(serve, halves):
    running = serve({"m": {1: halves, 2: tflite_files.half_plus_two(offset=3.0)}})
    inputs, states = {X: np.float32([[2]])}, []
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "m"
    ends_at_s = time.monotonic() + TIMEOUT_S
    # The server starts as soon as one of them serves.
    while states != [30, 30] and time.monotonic() < ends_at_s:
        status = running.model.GetModelStatus(request, timeout=TIMEOUT_S)
        states = [version.state for version in status.model_version_status]
    answers = [
        running.prediction.Predict(predict_request("m", inputs, version=version), timeout=TIMEOUT_S)
        for version in (1, 2)
    ]
    assert [y_of(answer) for answer in answers] == [[[3.0]], [[4.0]]]


def test_mutated_requests_end_with_an_answer_or_an_error(serve):
    """Bytes of requests, shapes and dtypes at random: the server outlives them all, and answers as before."""
    data = tflite_files.convert(
        lambda im: {"p": tf.reduce_mean(tf.nn.max_pool2d(im, 2, 2, "VALID"), [1, 2])},
        tf.TensorSpec([None, 8, 8, 3], tf.float32, name="im"),
    )
    running, chance = serve({"m": data}, num_tflite_pools=2), random.Random(1)
    alias = "serving_default_im"
    good = predict_request("m", {alias: np.ones((2, 8, 8, 3), np.float32)})
    dtypes = [np.float32, np.float64, np.int32, np.int8, np.bool_, np.complex64, object]
    pending = []
    for _ in range(600):
        shape = [chance.choice([0, 1, 2, 3, 8, 8, 17]) for _ in range(chance.choice([0, 1, 3, 4, 4, 4, 5]))]
        dtype = chance.choice(dtypes if chance.random() < 0.3 else [np.float32])
        request = predict_request("m", {alias: np.full(shape, b"q" if dtype is object else 1, dtype)})
        message = bytearray(request.SerializeToString())
        if chance.random() < 0.5:
            message[chance.randrange(len(message))] = chance.randrange(256)
        method = running.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        pending.append(method.future(bytes(message), timeout=TIMEOUT_S))
    codes = {error.code().name for call in pending if (error := call.exception(TIMEOUT_S)) is not None}
    assert {"INVALID_ARGUMENT"} <= codes <= {"INVALID_ARGUMENT", "INTERNAL", "NOT_FOUND", "UNIMPLEMENTED"}
    response = running.prediction.Predict(good, timeout=TIMEOUT_S)
    assert isinstance(response, predict_pb2.PredictResponse)
