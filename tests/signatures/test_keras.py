"""Models as Keras exports them, called over a socket."""

import grpc
import numpy as np
import pytest

from tests.signatures.client import Model, assert_same, floats, refusal

BATCHES = [1, 2, 33]


@pytest.mark.parametrize("batch", BATCHES)
def test_a_regression_saved_under_serving_default(serve, tensorflow_says, batch):
    model = serve("keras_regression_saved")
    assert model.inputs() == {"inputs": "float32[?,3]"}
    inputs = {"inputs": floats(batch, 3)}
    answer = model.predict(inputs)
    assert_same(answer, tensorflow_says(model.name, inputs))
    assert_same(answer, {"output_0": inputs["inputs"].sum(axis=1, keepdims=True)})


@pytest.mark.parametrize("signature", ["serve", "serving_default"])
def test_an_export_serves_the_same_under_serve_and_serving_default(serve, tensorflow_says, signature):
    model = serve("keras_regression")
    assert model.inputs(signature) == {"features": "float32[?,3]"}
    inputs = {"features": floats(5, 3)}
    assert_same(model.predict(inputs, signature), tensorflow_says(model.name, inputs, signature))


@pytest.mark.parametrize("batch", BATCHES)
def test_two_named_inputs(serve, tensorflow_says, batch):
    model = serve("keras_two_inputs")
    assert model.inputs() == {"left": "float32[?,2]", "right": "float32[?,3]"}
    inputs = {"left": floats(batch, 2), "right": 10 * floats(batch, 3)}
    answer = model.predict(inputs)
    assert_same(answer, tensorflow_says(model.name, inputs))
    assert_same(answer, {"total": (inputs["left"].sum(axis=1) + inputs["right"].sum(axis=1))[:, np.newaxis]})


def test_one_of_two_named_inputs_alone_is_refused_by_its_name(serve):
    model = serve("keras_two_inputs")
    code, text, _ = refusal(model.predict, {"left": floats(1, 2)})
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.endswith("Sent extra: {}. Missing but required: {right}.")


@pytest.mark.parametrize("batch", [1, 3])
def test_mobilenet_v2_over_images(servers, tensorflow_says, batch):
    model = Model(servers("mobilenet_v2"), "mobilenet_v2")
    assert model.inputs() == {"image": "float32[?,224,224,3]"}
    inputs = {"image": floats(batch, 224, 224, 3)}
    answer = model.predict(inputs)
    assert answer["output_0"].shape == (batch, 1000)
    assert_same(answer, tensorflow_says(model.name, inputs))


@pytest.mark.parametrize("name", ["keras_no_signatures", "no_signatures"])
def test_a_model_saved_without_signatures_says_which_there_are(serve, name):
    model = serve(name)
    code, text, hints = refusal(model.predict, {"inputs": floats(1, 3)})
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert text == 'Serving signature key "serving_default" not found.'
    assert hints["known_signatures"] == "__saved_model_init_op"


def test_a_model_saved_without_signatures_is_available_and_has_metadata(serve):
    model = serve("keras_no_signatures")
    assert model.state() == "AVAILABLE"
    assert set(model.signatures()) == {"__saved_model_init_op"}


def test_a_subclassed_model_traced_with_a_batch_of_one_takes_other_batches(serve):
    """TensorFlow Serving never compares a fed shape with the stored one; a signature called in Python does."""
    model = serve("keras_subclassed")
    assert model.inputs() == {"inputs": "float32[1,3]"}
    features = floats(4, 3)
    assert_same(
        model.predict({"inputs": features}), {"output_0": np.repeat(features.sum(axis=1, keepdims=True), 2, axis=1)}
    )


@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (1, 9), (4, 3)])
def test_an_lstm_with_an_open_time_axis(serve, tensorflow_says, batch, steps):
    model = serve("keras_lstm")
    assert model.inputs() == {"sequence": "float32[?,?,8]"}
    inputs = {"sequence": floats(batch, steps, 8)}
    answer = model.predict(inputs)
    assert answer["output_0"].shape == (batch, 4)
    assert_same(answer, tensorflow_says(model.name, inputs))


@pytest.mark.parametrize("batch", BATCHES)
def test_a_sigmoid_classifier(serve, tensorflow_says, batch):
    model = serve("keras_sigmoid")
    assert model.inputs() == {"features": "float32[?,4]"}
    inputs = {"features": floats(batch, 4)}
    answer = model.predict(inputs)
    assert_same(answer, tensorflow_says(model.name, inputs))
    assert_same(answer, {"output_0": 1 / (1 + np.exp(-inputs["features"].sum(axis=1, keepdims=True)))})


@pytest.mark.parametrize("batch", BATCHES)
def test_a_softmax_classifier(serve, tensorflow_says, batch):
    model = serve("keras_softmax")
    assert model.inputs() == {"features": "float32[?,3]"}
    inputs = {"features": floats(batch, 3)}
    answer = model.predict(inputs)
    assert_same(answer, tensorflow_says(model.name, inputs))
    exponents = np.exp(inputs["features"])
    assert_same(answer, {"output_0": exponents / exponents.sum(axis=1, keepdims=True)})


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("keras_regression", {"features": floats(0, 3)}),
        ("keras_two_inputs", {"left": floats(0, 2), "right": floats(0, 3)}),
        ("keras_softmax", {"features": floats(0, 3)}),
    ],
)
def test_an_empty_batch_is_answered_with_an_empty_batch(serve, tensorflow_says, name, inputs):
    assert_same(serve(name).predict(inputs), tensorflow_says(name, inputs))
