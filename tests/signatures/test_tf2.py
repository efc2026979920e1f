"""Models of tf.functions, as tf.saved_model.save writes them, called over a socket."""

import grpc
import numpy as np
import pytest

from tests.signatures.client import assert_same, floats, refusal

BATCHES = [0, 1, 2, 33]


@pytest.mark.parametrize("batch", BATCHES)
def test_one_function_passed_as_signatures(serve, tensorflow_says, batch):
    model = serve("single_function")
    assert model.inputs() == {"x": "float32[?]"}
    inputs = {"x": floats(batch)}
    answer = model.predict(inputs)
    assert_same(answer, tensorflow_says(model.name, inputs))
    assert_same(answer, {"y": np.float32(6) * inputs["x"]})


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("signature", "factor"), [("predict_two", 2), ("predict_three", 3)])
def test_two_signatures_in_one_model(serve, tensorflow_says, signature, factor, batch):
    model = serve("two_signatures")
    assert model.inputs(signature) == {"x": "float32[?]"}
    inputs = {"x": floats(batch)}
    answer = model.predict(inputs, signature)
    assert_same(answer, tensorflow_says(model.name, inputs, signature))
    assert_same(answer, {"output_0": np.float32(factor) * inputs["x"]})


@pytest.mark.parametrize(("asked", "meant"), [("", None), ("predict_tree", "predict_three")])
def test_a_signature_that_is_not_there_is_refused_with_those_that_are(serve, asked, meant):
    code, text, hints = refusal(serve("two_signatures").predict, {"x": floats(1)}, asked)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert text == f'Serving signature key "{asked or "serving_default"}" not found.'
    assert {"predict_two", "predict_three"} <= set(hints["known_signatures"].split(", "))
    assert hints.get("did_you_mean") == meant


@pytest.mark.parametrize("batch", BATCHES)
def test_a_predict_signature_named_classify_over_an_image_and_a_text(serve, tensorflow_says, batch):
    model = serve("image_and_text")
    assert model.inputs("classify") == {"image": "float32[?,28,28,1]", "text": "string[?]"}
    images = floats(batch, 28, 28, 1)
    texts = np.array([f"Nummer {index} Ä".encode() for index in range(batch)], object)
    inputs = {"image": images, "text": texts}
    answer = model.predict(inputs, "classify")
    assert_same(answer, tensorflow_says(model.name, inputs, "classify"))
    assert answer["label"].tolist() == [text.replace(b"N", b"n") for text in texts]
    assert answer["scores"][:, 1].tolist() == [len(text) for text in texts]


@pytest.mark.parametrize(("lengths", "steps"), [([1], 1), ([2, 5, 3], 5), ([4, 1], 9)])
def test_sequences_of_variable_length_with_their_lengths(serve, tensorflow_says, lengths, steps):
    model = serve("variable_length")
    assert model.inputs() == {"lengths": "int32[?]", "sequences": "float32[?,?,100]"}
    sequences = floats(len(lengths), steps, 100)
    inputs = {"sequences": sequences, "lengths": np.array(lengths, np.int32)}
    answer = model.predict(inputs)
    assert_same(answer, tensorflow_says(model.name, inputs))
    means = np.stack([rows[:length].mean(axis=0) for rows, length in zip(sequences, lengths, strict=True)])
    np.testing.assert_allclose(answer["mean"], means, rtol=1e-4, atol=1e-6)


def test_a_length_for_another_batch_fails_in_the_graph_and_says_where(serve):
    inputs = {"sequences": floats(2, 3, 100), "lengths": np.array([1, 2, 3], np.int32)}
    code, text, _ = refusal(serve("variable_length").predict, inputs)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "Incompatible shapes" in text
    assert {"[2,3,100]", "[3,3,1]"} <= set(text.split())
    assert "{{node" in text


@pytest.mark.parametrize(
    "texts",
    [
        [b"plain"],
        [b"", "größer".encode(), b"\xff\xfe not UTF-8", b"\x00"],
        [b"long" * 10_000, b"short"],
        [],
    ],
)
def test_strings_in_and_out(serve, tensorflow_says, texts):
    model = serve("strings")
    assert model.inputs() == {"text": "string[?]"}
    inputs = {"text": np.array(texts, object).reshape(len(texts))}
    answer = model.predict(inputs)
    assert answer["loud"].tolist() == [text + b"!" for text in texts]
    assert answer["bytes"].tolist() == [len(text) for text in texts]
    assert answer["joined"].item() == b",".join(texts)
    if texts:
        assert_same(answer, tensorflow_says(model.name, inputs))


@pytest.mark.parametrize("batch", BATCHES)
def test_outputs_without_a_batch_dimension(serve, tensorflow_says, batch):
    model = serve("no_batch_output")
    assert model.inputs() == {"x": "float32[?]"}
    assert model.outputs() == {"constant": "float32[3]", "doubled": "float32[?]", "total": "float32[]"}
    inputs = {"x": floats(batch)}
    answer = model.predict(inputs)
    assert_same(answer, tensorflow_says(model.name, inputs))
    assert answer["constant"].tolist() == [1, 2, 3]


def test_one_output_without_a_batch_dimension_alone(serve):
    answer = serve("no_batch_output").predict({"x": np.array([1, 2, 4], np.float32)}, outputs=["total"])
    assert_same(answer, {"total": np.array(7, np.float32)})
