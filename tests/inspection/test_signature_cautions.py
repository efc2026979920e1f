"""What is warned of in a signature."""

import pytest

from tests.inspection.making import CLASSIFY, PREDICT, REGRESS, codes, find, look, meta_graph, node, signature, write

X, Y = {"x": "float32[?]"}, {"y": "float32[?]"}


def look_at(tmp_path, definition, key="serving_default", nodes=None):
    others = {} if key == "serving_default" else {"serving_default": signature(X, Y)}
    return look(write(tmp_path / "1", meta_graph({key: definition} | others, nodes)))


def test_a_well_made_signature_is_not_warned_of(tmp_path):
    assert codes(look_at(tmp_path, signature(X, Y))) == []


@pytest.mark.parametrize(
    ("key", "method", "code"),
    [
        ("classify", PREDICT, "classify_unusable"),
        ("my_Classification", PREDICT, "classify_unusable"),
        ("head", CLASSIFY, "classify_unusable"),
        ("regression", PREDICT, "regress_unusable"),
        ("head", REGRESS, "regress_unusable"),
    ],
)
def test_a_signature_named_or_marked_for_an_rpc_that_cannot_call_it_is_warned_of(tmp_path, key, method, code):
    report = look_at(tmp_path, signature(X, Y, method), key)
    (warning,) = find(report, code)
    assert codes(report) == [code]
    assert warning.signature == key
    assert '"inputs" as its only input (has "x")' in warning.text
    assert "or call it by Predict" in warning.remedy


def test_a_classifier_that_classify_can_call_is_not_warned_of(tmp_path):
    classifier = signature({"inputs": "string[?]"}, {"scores": "float32[?,2]"}, CLASSIFY)
    assert codes(look_at(tmp_path, classifier, "classify")) == []


def test_a_signature_that_nothing_can_call_is_not_recommended_for_predict(tmp_path):
    report = look_at(tmp_path, signature(X, {}, CLASSIFY))
    assert codes(report) == ["predict_unusable", "classify_unusable"]
    assert "Predict" not in find(report, "classify_unusable")[0].remedy


@pytest.mark.parametrize(
    "name",
    ["output_0", "input_1", "args_0", "arg_2", "keras_tensor_12", "inputs_1", "dense", "dense_3", "conv2d_input",
     "lstm_1_input", "global_average_pooling2d", "input_layer_4", "sequential_1"],
)  # fmt: skip
def test_a_name_that_an_exporter_made_up_is_told(tmp_path, name):
    report = look_at(tmp_path, signature({name: "float32[?]"}, Y))
    assert codes(report) == ["generic_names"]
    assert f'"{name}"' in find(report, "generic_names")[0].text


@pytest.mark.parametrize("name", ["x", "image", "inputs", "input", "dense_vector", "x_1", "user_dense", "output_image"])
def test_a_name_that_somebody_chose_is_left_alone(tmp_path, name):
    assert codes(look_at(tmp_path, signature({name: "float32[?]"}, Y))) == []


def test_inputs_is_a_poor_name_beside_others(tmp_path):
    report = look_at(tmp_path, signature({"inputs": "float32[?]", "mask": "float32[?]"}, Y))
    (warning,) = find(report, "generic_names")
    assert '"inputs"' in warning.text
    assert '"mask"' not in warning.text


@pytest.mark.parametrize(
    ("inputs", "outputs", "text"),
    [
        ({"x": "float32[1,3]"}, {"y": "float32[1,2]"}, 'a batch of fixed size: "x" [1, 3].'),
        ({"x": "float32[4]", "scale": "float32[]"}, Y, 'a batch of fixed size: "x" [4].'),
        ({"x": "float32[?]", "weights": "float32[10]"}, Y, 'fixed size in "weights" [10] and is open in others'),
        (X, {"y": "float32[?]", "constant": "float32[3]"}, 'fixed size in "constant" [3] and is open in others'),
    ],
)
def test_a_first_axis_of_fixed_size_is_told(tmp_path, inputs, outputs, text):
    report = look_at(tmp_path, signature(inputs, outputs))
    assert codes(report) == ["fixed_batch"]
    assert text in find(report, "fixed_batch")[0].text


@pytest.mark.parametrize(
    ("inputs", "outputs"),
    [
        ({"x": "float32[?,3]"}, {"y": "float32[]"}),
        ({}, {"y": "float32[2]"}),
        ({"x": "float32[]"}, {"y": "float32[2]"}),
    ],
)
def test_where_no_batch_goes_in_none_is_missed(tmp_path, inputs, outputs):
    assert codes(look_at(tmp_path, signature(inputs, outputs))) == []


def test_an_input_without_a_shape_is_told(tmp_path):
    report = look_at(tmp_path, signature({"x": "float32[...]", "y": "float32[?]"}, {"z": "float32[...]"}))
    assert codes(report) == ["unknown_shape"]
    assert '"x"' in find(report, "unknown_shape")[0].text
    assert '"z"' not in find(report, "unknown_shape")[0].text


@pytest.mark.parametrize("outputs", [{"scores": "float32[?,2]"}, {"outputs": "float32[?]"}])
def test_examples_need_no_shape(tmp_path, outputs):
    assert codes(look_at(tmp_path, signature({"inputs": "string[...]"}, outputs))) == []


def test_a_placeholder_that_nobody_feeds_is_warned_of(tmp_path):
    nodes = [node("x", "Placeholder"), node("training", "Placeholder"), node("y", "Select", "training", "x")]
    (warning,) = find(look_at(tmp_path, signature(X, Y), nodes=nodes), "predict_unusable")
    assert '"training"' in warning.text
