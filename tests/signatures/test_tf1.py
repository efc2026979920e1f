"""Models as TF1's SavedModel Builder writes them, with signatures built by hand, called over a socket."""

import math

import grpc
import numpy as np
import pytest

from tests.signatures.client import assert_same, example, floats, refusal

BATCHES = [1, 2, 33]


@pytest.mark.parametrize("batch", [0, *BATCHES])
def test_a_predict_signature(serve, tensorflow_says, batch):
    model = serve("tf1_predict")
    assert model.inputs("predict") == {"x": "float32[?,3]"}
    inputs = {"x": floats(batch, 3)}
    answer = model.predict(inputs, "predict")
    assert_same(answer, tensorflow_says(model.name, inputs, "predict"))
    assert_same(answer, {"product": inputs["x"] @ np.array([[1, 10], [2, 20], [3, 30]], np.float32)})


@pytest.mark.parametrize("count", [0, 1, 3, 5, -1])
def test_a_scalar_int32_beside_a_vector(serve, tensorflow_says, count):
    model = serve("scalar_beside_vector")
    assert model.inputs() == {"count": "int32[]", "values": "float32[?]"}
    inputs = {"values": floats(4), "count": np.int32(count)}
    answer = model.predict(inputs)
    assert_same(answer, tensorflow_says(model.name, inputs))
    head = inputs["values"][:count]
    assert_same(answer, {"head": head, "total": head.sum()})


def test_a_vector_where_the_signature_has_a_scalar_fails_in_the_graph(serve):
    inputs = {"values": floats(4), "count": np.array([1, 2], np.int32)}
    code, text, _ = refusal(serve("scalar_beside_vector").predict, inputs)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "{{node strided_slice" in text


@pytest.mark.parametrize("batch", BATCHES)
def test_the_custom_method_name_preprocess(serve, tensorflow_says, batch):
    model = serve("custom_method")
    assert model.signatures()["preprocess"].method_name == "preprocess"
    assert model.inputs("preprocess") == {"pixels": "uint8[?,?]"}
    pixels = (np.arange(batch * 10) * 7 % 256).astype(np.uint8).reshape(batch, 10)
    answer = model.predict({"pixels": pixels}, "preprocess")
    assert_same(answer, tensorflow_says(model.name, {"pixels": pixels}, "preprocess"))
    assert_same(answer, {"scaled": pixels.astype(np.float32) / 2})


@pytest.mark.parametrize("batch", BATCHES)
def test_a_classifier_over_examples(serve, batch):
    model = serve("example_heads")
    assert model.inputs() == {"inputs": "string[?]"}
    values = floats(batch)
    answer = model.classify([example(x=x) for x in values])
    assert [[label for label, _ in row] for row in answer] == [["low", "high"]] * batch
    scores = np.array([[score for _, score in row] for row in answer])
    np.testing.assert_allclose(scores, np.stack([1 - values, values], axis=1), rtol=1e-6)


@pytest.mark.parametrize("batch", BATCHES)
def test_a_regressor_over_examples(serve, batch):
    model = serve("example_heads")
    assert model.inputs("regression") == {"inputs": "string[?]"}
    values = floats(batch)
    answer = model.regress([example(x=x) for x in values], "regression")
    np.testing.assert_allclose(answer, 10 * values, rtol=1e-6)


def test_a_classifier_answers_predict_over_serialized_examples_as_well(serve, tensorflow_says):
    model = serve("example_heads")
    serialized = [example(x=x).SerializeToString() for x in (0.25, 0.5)]
    inputs = {"inputs": np.array(serialized, object)}
    assert_same(model.predict(inputs), tensorflow_says(model.name, inputs))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("signature", ["", "classification"])
def test_the_classification_keys_of_a_dnn_classifier(serve, tensorflow_says, signature, batch):
    model = serve("dnn_classifier")
    examples = [example(x=x) for x in floats(batch)]
    serialized = {"inputs": np.array([each.SerializeToString() for each in examples], object)}
    expected = tensorflow_says(model.name, serialized, signature or "serving_default")
    answer = model.classify(examples, signature)
    assert [[label.encode() for label, _ in row] for row in answer] == expected["classes"].tolist()
    np.testing.assert_allclose([[score for _, score in row] for row in answer], expected["scores"], rtol=1e-6)


def test_the_other_keys_of_a_dnn_classifier_run_the_same_graph(serve, tensorflow_says):
    model = serve("dnn_classifier")
    assert model.inputs("predict") == {"examples": "string[?]"}
    assert model.inputs("regression") == {"inputs": "string[?]"}
    examples = [example(x=x) for x in (0.0, 0.5, 1.0)]
    serialized = np.array([each.SerializeToString() for each in examples], object)
    predicted = model.predict({"examples": serialized}, "predict")
    assert_same(predicted, tensorflow_says(model.name, {"examples": serialized}, "predict"))
    np.testing.assert_allclose(
        model.regress(examples, "regression"), [1 / (1 + math.exp(-logit)) for logit in (-2, 0, 2)], rtol=1e-6
    )
    np.testing.assert_allclose(model.regress(examples, "regression"), predicted["logistic"][:, 0], rtol=1e-6)


def test_a_dnn_classifier_lists_all_its_keys(serve):
    assert set(serve("dnn_classifier").signatures()) == {"serving_default", "classification", "regression", "predict"}


def test_a_stateful_counter_counts_from_call_to_call(serve):
    model = serve("counter")
    assert model.inputs("incr_counter") == {}
    assert model.inputs("incr_counter_by") == {"delta": "float32[...]"}
    calls = [
        ("reset_counter", {}, 0),
        ("incr_counter", {}, 1),
        ("incr_counter", {}, 2),
        ("incr_counter_by", {"delta": np.float32(2.5)}, 4.5),
        ("get_counter", {}, 4.5),
        ("reset_counter", {}, 0),
        ("get_counter", {}, 0),
    ]
    for signature, inputs, expected in calls:
        assert_same(model.predict(inputs, signature), {"output": np.array(expected, np.float32)})
