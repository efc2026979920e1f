"""The committed demo model is small, portable and right, and the demo client can ask for its answers."""

import json
import runpy
import socket
from concurrent import futures
from pathlib import Path

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from servable import wire

REPOSITORY = Path(__file__).parents[2]
DIGITS_DIR = REPOSITORY / "examples" / "digits"
MODEL_DIR = DIGITS_DIR / "model" / "1"
SAMPLES = json.loads((DIGITS_DIR / "digits.json").read_text())
FACTS = json.loads((DIGITS_DIR / "model_card.json").read_text())
TRACES = [str(REPOSITORY), "/home/", "/root/", "/Users/", "/tmp/", "-packages/", ".py"]
MODEL_FILES = [file for file in MODEL_DIR.rglob("*") if file.is_file()]


@pytest.fixture(scope="module")
def model():
    return tf.saved_model.load(str(MODEL_DIR))


@pytest.fixture(scope="module")
def signature_defs():
    saved_model = saved_model_pb2.SavedModel.FromString((MODEL_DIR / "saved_model.pb").read_bytes())
    (meta_graph,) = saved_model.meta_graphs
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    return meta_graph.signature_def


def shapes(tensors):
    return {key: (info.dtype, [dim.size for dim in info.tensor_shape.dim]) for key, info in tensors.items()}


def images():
    return tf.constant([sample["image"] for sample in SAMPLES], tf.float32)


def examples():
    return tf.constant([example(np.ravel(sample["image"])) for sample in SAMPLES])


def example(pixels):
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=pixels))
    return tf.train.Example(features=tf.train.Features(feature={"image": feature})).SerializeToString()


SIGNATURES = {
    "serving_default": (
        "tensorflow/serving/predict",
        {"image": (tf.float32, [-1, 8, 8])},
        {"digit": (tf.int64, [-1]), "probabilities": (tf.float32, [-1, 10])},
    ),
    "classify": (
        "tensorflow/serving/classify",
        {"inputs": (tf.string, [-1])},
        {"classes": (tf.string, [-1, 10]), "scores": (tf.float32, [-1, 10])},
    ),
    "regress": (
        "tensorflow/serving/regress",
        {"inputs": (tf.string, [-1])},
        {"outputs": (tf.float32, [-1])},
    ),
}


def test_the_model_has_no_other_signatures(model):
    assert set(model.signatures) == set(SIGNATURES)


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_has_the_keys_types_and_shapes_its_method_needs(signature_defs, name):
    method_name, inputs, outputs = SIGNATURES[name]
    signature = signature_defs[name]
    assert signature.method_name == method_name
    assert shapes(signature.inputs) == inputs
    assert shapes(signature.outputs) == outputs


def test_the_samples_are_one_of_each_digit_in_order():
    assert [sample["digit"] for sample in SAMPLES] == list(range(10))
    pixels = np.array([sample["image"] for sample in SAMPLES])
    assert pixels.shape == (10, 8, 8)
    assert (pixels.min(), pixels.max()) == (0, 16)


def test_predict_names_every_sample_digit(model):
    answer = model.signatures["serving_default"](image=images())
    probabilities = answer["probabilities"].numpy()
    assert answer["digit"].numpy().tolist() == list(range(10))
    assert probabilities.argmax(axis=1).tolist() == list(range(10))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-5)


def test_classify_puts_the_likeliest_label_first(model):
    answer = model.signatures["classify"](inputs=examples())
    classes, scores = answer["classes"].numpy(), answer["scores"].numpy()
    assert classes[:, 0].tolist() == [b"%d" % digit for digit in range(10)]
    assert all(sorted(row) == [b"%d" % digit for digit in range(10)] for row in classes)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_classify_gives_each_label_the_probability_that_predict_gives_it(model):
    probabilities = model.signatures["serving_default"](image=images())["probabilities"].numpy()
    answer = model.signatures["classify"](inputs=examples())
    expected = np.take_along_axis(probabilities, answer["classes"].numpy().astype(int), axis=1)
    np.testing.assert_allclose(answer["scores"].numpy(), expected, rtol=1e-5)


def test_regress_gives_the_confidence(model):
    probabilities = model.signatures["serving_default"](image=images())["probabilities"].numpy()
    confidence = model.signatures["regress"](inputs=examples())["outputs"].numpy()
    np.testing.assert_allclose(confidence, probabilities.max(axis=1), rtol=1e-5)


def test_an_example_with_too_few_pixels_is_refused(model):
    with pytest.raises(tf.errors.InvalidArgumentError, match="image"):
        model.signatures["classify"](inputs=tf.constant([example([1.0, 2.0])]))


def test_the_model_card_says_what_the_training_set_out_to_reach():
    assert FACTS["held_out_accuracy"] >= 0.97
    assert FACTS["training_digits"] + FACTS["held_out_digits"] == 1797


def test_the_model_card_counts_the_bytes_of_the_committed_model():
    size_bytes = sum(file.stat().st_size for file in MODEL_FILES)
    assert size_bytes == FACTS["model_bytes"]
    assert size_bytes < 100_000


def test_the_readme_gives_the_accuracy_of_the_model_card():
    assert f"{FACTS['held_out_accuracy']:.2%}" in (DIGITS_DIR / "README.md").read_text()


@pytest.mark.parametrize("trace", TRACES)
def test_the_model_contains_nothing_about_the_machine_that_made_it(trace):
    assert not [file.name for file in MODEL_FILES if trace.encode() in file.read_bytes()]


@pytest.fixture(scope="module")
def ask():
    return runpy.run_path(str(DIGITS_DIR / "predict.py"))["main"]


@pytest.fixture
def serve():
    """Start a PredictionService whose Predict is the function given, and return its address."""
    server = grpc.server(futures.ThreadPoolExecutor(1))

    def start(predict):
        handler = grpc.unary_unary_rpc_method_handler(
            predict, wire.PredictRequest.FromString, wire.PredictResponse.SerializeToString
        )
        service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {"Predict": handler})
        server.add_generic_rpc_handlers([service])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return f"127.0.0.1:{port}"

    yield start
    server.stop(None).wait(10)


def test_the_client_draws_the_digit_and_prints_the_answer_of_the_model(ask, serve, model, capsys):
    def predict(request, context):
        tensor = request.inputs["image"]
        shape = [dim.size for dim in tensor.tensor_shape.dim]
        image = tf.constant(tensor.float_val, tf.float32, shape)
        answer = model.signatures["serving_default"](image=image)
        response = wire.PredictResponse()
        response.outputs["digit"].int64_val.extend(answer["digit"].numpy())
        response.outputs["probabilities"].float_val.extend(answer["probabilities"].numpy().ravel())
        return response

    ask(["--address", serve(predict), "--digit", "7"])
    *drawing, answer = capsys.readouterr().out.splitlines()
    assert answer == "This is a 7 (100.0 %)."
    assert [len(line) for line in drawing] == [16] * 8
    assert drawing[0] == "    ..OO@@@@OO  "


def test_the_client_prints_what_the_server_refused(ask, serve):
    def refuse(request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model_spec.name}")

    with pytest.raises(SystemExit, match="NOT_FOUND: no model numbers"):
        ask(["--address", serve(refuse), "--model", "numbers"])


def test_the_client_says_where_it_found_no_server(ask):
    with socket.socket() as silent:
        # Bound and not listening: nobody else can take the port, and a connection is refused at once.
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(SystemExit, match=f"No answer from {address}: UNAVAILABLE"):
            ask(["--address", address])
