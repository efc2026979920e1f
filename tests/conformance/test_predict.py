"""What Predict answers, over a socket and with the stock stubs (TensorFlow Serving: predict_util.cc)."""

import functools

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2

from tests.conformance.calls import (
    INVALID_ARGUMENT,
    PREDICTION_SERVICE,
    RUNS,
    predict,
    predict_request,
    refused_predict,
    values,
)
from tests.conformance.example_calls import example
from tests.conformance.served import MADE, serve_graph
from tests.conformance.tensors import tensor
from tests.models.exporting import placeholder, signature, tf

X = np.array([[2.0], [4.0]], np.float32)


@pytest.fixture(params=RUNS)
def serve(servers, request):
    return functools.partial(servers, runs=request.param)


@pytest.fixture(params=RUNS)
def serve_made(tmp_path, request):
    return functools.partial(serve_graph, tmp_path, runs=request.param)


def answers(running, name, inputs=(), key="", **options):
    """The outputs of a Predict as nested lists by alias."""
    response = predict(running, name, inputs, key, **options)
    return {alias: values(output) for alias, output in response.outputs.items()}


@pytest.mark.behaviour("13.1", "9 testPredictSavedModel")
def test_half_plus_two_answers_as_the_original_does(serve):
    response = predict(serve("half_plus_two"), "half_plus_two", {"x": X})
    assert list(response.outputs["y"].float_val) == [3.0, 4.0]
    assert response.model_spec.version.value == 1
    assert response.model_spec.signature_name == "serving_default"


@pytest.mark.behaviour("13.2", "38 PredictionSuccess")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
def test_the_whole_response_is_the_original_s(serve):
    response = predict(serve("half_plus_two"), "half_plus_two", {"x": tensor("float", [], float_val=[2.0])})
    expected = """
        model_spec { name: "half_plus_two" version { value: 1 } signature_name: "serving_default" }
        outputs { key: "y" value { dtype: DT_FLOAT tensor_shape {} float_val: 3.0 } }
    """
    assert response == text_format.Parse(expected, predict_pb2.PredictResponse())


@pytest.mark.behaviour("13.1", "10 testGoodModelConfig")
@pytest.mark.behaviour("13.2", "35 OutputFiltersDontMatchModelSpecOutputs")
def test_two_models_on_one_server_answer_each_for_itself(serve):
    running = serve("half_plus_two", "half_plus_three")
    assert answers(running, "half_plus_two", {"x": X}) == {"y": [[3.0], [4.0]]}
    assert answers(running, "half_plus_three", {"x": X}, outputs=["y"]) == {"y": [[4.0], [5.0]]}


@pytest.mark.behaviour(
    "13.1",
    "25 test_tf_saved_model_save, 26 test_tf_saved_model_save_multiple_signatures, 27 "
    "test_sequential_keras_saved_model_save",
)
@pytest.mark.parametrize(
    ("name", "key", "inputs", "outputs"),
    [
        ("half_plus_two_tf2", "", {"x": X}, {"y": [[3.0], [4.0]]}),
        ("single_function", "", {"x": np.array([2.0], np.float32)}, {"y": [12.0]}),
        ("two_signatures", "predict_three", {"x": np.array([2.0], np.float32)}, {"output_0": [6.0]}),
        ("keras_regression", "", {"features": np.ones((2, 3), np.float32)}, {"output_0": [[3.0], [3.0]]}),
        ("keras_regression", "serve", {"features": np.ones((1, 3), np.float32)}, {"output_0": [[3.0]]}),
        ("custom_method", "preprocess", {"pixels": np.array([[3]], np.uint8)}, {"scaled": [[1.5]]}),
        ("vocabulary", "", {"words": [b"bird", b"fish"]}, {"ids": [2, -1]}),
    ],
)
def test_a_model_of_any_origin_answers(serve, name, key, inputs, outputs):
    assert answers(serve(name), name, inputs, key) == outputs


@pytest.mark.behaviour("1.4", "outputs may have any rank, there is no rule for a batch")
def test_several_inputs_are_distinguished_by_their_aliases(serve):
    inputs = {"values": np.array([1, 2, 3], np.float32), "count": np.int32(2)}
    assert answers(serve("scalar_beside_vector"), "scalar_beside_vector", inputs) == {"head": [1.0, 2.0], "total": 3.0}


@pytest.mark.behaviour("13.2", "39 PredictionWithNamedRegressionSignature")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
def test_a_regress_signature_answers_predict_with_its_aliases(serve):
    inputs = {"inputs": [example(x=2.0).SerializeToString(), example(x=4.0).SerializeToString()]}
    response = predict(serve("half_plus_two"), "half_plus_two", inputs, "regress_x_to_y")
    assert values(response.outputs["outputs"]) == [[3.0], [4.0]]
    assert response.model_spec.signature_name == "regress_x_to_y"


@pytest.mark.behaviour("13.2", "40 PredictionWithNamedClassificationSignature")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
def test_a_classify_signature_answers_predict_with_its_aliases(serve):
    inputs = {"inputs": [example(x=2.0).SerializeToString()]}
    response = predict(serve("half_plus_two"), "half_plus_two", inputs, "classify_x_to_y")
    assert values(response.outputs["scores"]) == [[3.0]]
    assert response.model_spec.signature_name == "classify_x_to_y"


@pytest.mark.behaviour("1.4", "signatures without inputs")
@pytest.mark.behaviour("13.2", "41 PredictionWithCustomizedSignatures")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
def test_state_lives_from_call_to_call(serve):
    """Signatures without inputs, and the order of TensorFlow Serving's own test."""
    running = serve("counter")
    predict(running, "counter", signature="reset_counter")
    calls = ["get_counter", "incr_counter", "reset_counter", "incr_counter"]
    assert [answers(running, "counter", key=key)["output"] for key in calls] == [0.0, 1.0, 0.0, 1.0]
    assert answers(running, "counter", {"delta": np.float32(3)}, "incr_counter_by") == {"output": 4.0}
    assert answers(running, "counter", key="get_counter") == {"output": 4.0}


@pytest.mark.behaviour("1.4", "signatures without inputs")
def test_a_signature_without_inputs_answers_with_a_constant(serve):
    assert answers(serve("odd_wiring"), "odd_wiring", key="nothing_in") == {"y": 7.0}


@pytest.mark.behaviour("1.4", "two outputs on one tensor")
def test_two_outputs_on_one_tensor_both_have_its_values(serve):
    inputs = {"x": np.array([2.0], np.float32)}
    assert answers(serve("odd_wiring"), "odd_wiring", inputs, "twice_fetched") == {"y": [4.0], "z": [4.0]}


@pytest.mark.behaviour("1.4", "an empty filter is all outputs, others are not given")
@pytest.mark.behaviour("1.4", "outputs may have any rank, there is no rule for a batch")
@pytest.mark.behaviour("13.1", "9 testPredictSavedModel")
@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ((), {"constant", "doubled", "total"}),
        (("total",), {"total"}),
        (("total", "doubled"), {"total", "doubled"}),
        (("doubled", "constant", "total"), {"constant", "doubled", "total"}),
    ],
)
def test_an_output_filter_chooses_outputs_and_an_empty_one_all(serve, wanted, given):
    inputs = {"x": np.array([1.0, 2.0], np.float32)}
    every = {"constant": [1.0, 2.0, 3.0], "doubled": [2.0, 4.0], "total": 3.0}
    found = answers(serve("no_batch_output"), "no_batch_output", inputs, outputs=wanted)
    assert found == {alias: every[alias] for alias in given}


def good_and_bad_branch():
    """Output `good` needs x alone; `bad` needs a placeholder that is never fed."""
    x = placeholder(tf.float32, [None], "x")
    bad = tf.add(x, placeholder(tf.float32, [None], "forgotten"))
    return {"serving_default": signature({"x": x}, {"good": x * 2.0, "bad": bad})}


@pytest.mark.behaviour("1.4", "only what is asked for is run")
def test_a_branch_that_is_not_asked_for_is_not_run(serve_made):
    inputs = {"x": np.array([2.0], np.float32)}
    with serve_made(good_and_bad_branch) as running:
        assert answers(running, MADE, inputs, outputs=["good"]) == {"good": [4.0]}
        code, text = refused_predict(running, MADE, inputs)
    assert code is INVALID_ARGUMENT
    assert text.startswith("You must feed a value for placeholder tensor 'forgotten' with dtype float")


@pytest.mark.behaviour("1.4", "static shapes are never compared")
@pytest.mark.parametrize("name", ["half_plus_two", "half_plus_two_tf2"])
@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.float32(2), 3.0),
        (np.array([2.0, 4.0], np.float32), [3.0, 4.0]),
        (np.array([[2.0, 4.0]], np.float32), [[3.0, 4.0]]),
        (np.array([[[2.0]]], np.float32), [[[3.0]]]),
        (np.zeros((0, 1), np.float32), []),
    ],
    ids=["scalar", "vector", "wide", "rank_3", "empty"],
)
def test_a_shape_is_not_compared_with_the_signature_s(serve, name, x, y):
    """The signature says [?,1]; what the ops take is taken."""
    assert answers(serve(name), name, {"x": x}) == {"y": y}


@pytest.mark.behaviour("1.4", "static shapes are never compared")
def test_a_batch_may_be_larger_than_a_fixed_shape_says(serve):
    """The signature says [1,3], a model that Keras saw called with one example."""
    inputs = {"inputs": np.ones((2, 3), np.float32)}
    response = predict(serve("keras_subclassed"), "keras_subclassed", inputs)
    assert np.shape(values(response.outputs["output_0"])) == (2, 2)


@pytest.mark.behaviour("1.4", "static shapes are never compared")
def test_an_empty_batch_is_a_batch(serve):
    response = predict(serve("matmul"), "matmul", {"x": np.zeros((0, 1), np.float32)})
    assert [dim.size for dim in response.outputs["z"].tensor_shape.dim] == [0, 2]


@pytest.mark.behaviour("1.4", "missing inputs take the defaults of the signature")
@pytest.mark.parametrize(
    ("key", "inputs", "y"),
    [
        ("", {"x": np.array([3.0], np.float32)}, [7.0]),
        ("", {"x": np.array([3.0], np.float32), "scale": np.float32(10)}, [31.0]),
        ("", {"x": np.array([3.0], np.float32), "scale": np.float32(10), "offset": np.float32(5)}, [35.0]),
        ("all_default", {}, [11.0]),
        ("all_default", {"x": np.array([1.0], np.float32)}, [3.0]),
    ],
    ids=["two_defaults", "one_default", "none_needed", "nothing_sent", "all_sent"],
)
def test_a_missing_input_takes_the_default_of_the_signature(serve, key, inputs, y):
    assert answers(serve("default_values"), "default_values", inputs, key) == {"y": y}


@pytest.mark.behaviour("1.4", "requests and replies of more than 4 MiB")
def test_a_request_may_be_larger_than_4_mib(serve):
    x = np.ones((3 << 20, 1), np.float32)
    response = predict(serve("half_plus_two"), "half_plus_two", {"x": x})
    assert len(response.outputs["y"].float_val) == 3 << 20


@pytest.mark.behaviour("1.2", "fields 5 to 7 of PredictRequest are ignored")
def test_what_only_other_servers_read_in_a_request_is_ignored(serve):
    """Field 5, options of a stream that has ended; 6, a client's id; 7, request options."""
    running = serve("half_plus_two")
    request = (
        predict_request("half_plus_two", {"x": X}).SerializeToString() + b"\x2a\x02\x08\x02\x32\x02id\x3a\x02\x10\x01"
    )
    reply = predict_pb2.PredictResponse.FromString(running.call(PREDICTION_SERVICE + "Predict", request))
    assert values(reply.outputs["y"]) == [[3.0], [4.0]]
