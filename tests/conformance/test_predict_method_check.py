"""--enable_signature_method_name_check: the method names that Predict accepts with the flag and without it."""

import functools

import numpy as np
import pytest

from tests.conformance.calls import (
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    OUT_OF_RANGE,
    RUNS,
    predict,
    refused_predict,
    values,
)
from tests.conformance.example_calls import example

PIXELS = {"pixels": np.array([[3]], np.uint8)}
EXPECTED = (
    "Expected prediction signature method_name to be one of "
    "{tensorflow/serving/predict, tensorflow/serving/classify, tensorflow/serving/regress}. Was: "
)


@pytest.fixture(params=RUNS)
def checked(servers, request):
    return functools.partial(servers, runs=request.param, enable_signature_method_name_check=True)


@pytest.fixture(params=RUNS)
def unchecked(servers, request):
    return functools.partial(servers, runs=request.param)


@pytest.mark.behaviour("1.4", "method_name check")
@pytest.mark.behaviour("2.2", "with the check Predict insists on one of the three methods")
@pytest.mark.behaviour("5", "--enable_signature_method_name_check")
@pytest.mark.behaviour("13.2", "43 MethodNameCheck")
def test_with_the_flag_another_method_name_is_refused(checked):
    reported = refused_predict(checked("custom_method"), "custom_method", PIXELS, "preprocess")
    assert reported == (INTERNAL, EXPECTED + "preprocess")


@pytest.mark.behaviour("1.4", "method_name check")
def test_with_the_flag_an_empty_method_name_is_refused(checked):
    reported = refused_predict(checked("odd_wiring"), "odd_wiring", signature="empty")
    assert reported == (INTERNAL, EXPECTED)


@pytest.mark.behaviour("1.4", "method_name check")
def test_with_the_flag_the_initialiser_is_refused_by_its_method_name(checked):
    reported = refused_predict(checked("single_function"), "single_function", signature="__saved_model_init_op")
    assert reported == (INTERNAL, EXPECTED)


@pytest.mark.behaviour("1.4", "method_name check")
@pytest.mark.behaviour("13.2", "43 MethodNameCheck")
def test_without_the_flag_any_method_name_answers(unchecked):
    response = predict(unchecked("custom_method"), "custom_method", PIXELS, "preprocess")
    assert values(response.outputs["scaled"]) == [[1.5]]


@pytest.mark.behaviour("1.4", "the initialiser's signature")
def test_without_the_flag_the_initialiser_fails_in_the_graph(unchecked):
    code, _ = refused_predict(unchecked("single_function"), "single_function", signature="__saved_model_init_op")
    assert code is OUT_OF_RANGE


@pytest.mark.behaviour("1.4", "method_name check")
@pytest.mark.parametrize(
    ("key", "inputs", "alias"),
    [
        ("", {"x": np.array([[2.0]], np.float32)}, "y"),
        ("regress_x_to_y", {"inputs": [example(x=2.0).SerializeToString()]}, "outputs"),
        ("classify_x_to_y", {"inputs": [example(x=2.0).SerializeToString()]}, "scores"),
    ],
    ids=["predict", "regress", "classify"],
)
def test_with_the_flag_the_three_method_names_of_serving_answer(checked, key, inputs, alias):
    response = predict(checked("half_plus_two"), "half_plus_two", inputs, key)
    assert values(response.outputs[alias]) == [[3.0]]


@pytest.mark.behaviour("1.4", "method_name check")
def test_a_missing_signature_comes_before_a_method_name(checked):
    reported = refused_predict(checked("custom_method"), "custom_method", PIXELS)
    assert reported == (FAILED_PRECONDITION, 'Serving signature key "serving_default" not found.')


@pytest.mark.behaviour("1.4", "method_name check")
def test_a_method_name_comes_before_the_inputs(checked, unchecked):
    assert refused_predict(checked("custom_method"), "custom_method", signature="preprocess")[0] is INTERNAL
    assert refused_predict(unchecked("custom_method"), "custom_method", signature="preprocess")[0] is INVALID_ARGUMENT
