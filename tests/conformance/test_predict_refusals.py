"""What Predict refuses before a graph runs: the texts, and which of several mistakes is reported."""

import numpy as np
import pytest

from tests.conformance.calls import (
    FAILED_PRECONDITION,
    INVALID_ARGUMENT,
    NOT_FOUND,
    predict_request,
    refusal,
    refused_predict,
)
from tests.conformance.tensors import tensor

X = np.array([[2.0]], np.float32)
ONE = np.float32(1)
MALFORMED = tensor("float", [-1])
STRING = [b"no number"]


@pytest.fixture
def half_plus_two(servers):
    return servers("half_plus_two")


@pytest.fixture
def odd_wiring(servers):
    return servers("odd_wiring")


@pytest.fixture
def default_values(servers):
    return servers("default_values")


@pytest.mark.behaviour("1.4", "another number of inputs than the signature's")
@pytest.mark.behaviour("12", "Predict: missing or extra input")
@pytest.mark.behaviour("13.2", "32 EmptyInputList")
@pytest.mark.behaviour("13.2", "33 InputTensorsDontMatchModelSpecInputs")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (
            {},
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            {"x": X, "y": X},
            "input size does not match signature: 2!=1 len({x,y}) != len({x}). "
            "Sent extra: {y}. Missing but required: {}.",
        ),
        (
            {"unknown_key2": X, "unknown_key1": X},
            "input size does not match signature: 2!=1 len({unknown_key1,unknown_key2}) != len({x}). "
            "Sent extra: {unknown_key1,unknown_key2}. Missing but required: {x}.",
        ),
    ],
    ids=["none", "one_too_many", "two_others"],
)
def test_a_number_of_inputs_that_is_not_the_signature_s(half_plus_two, inputs, text):
    assert refused_predict(half_plus_two, "half_plus_two", inputs) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "another number of inputs than the signature's")
@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (
            {"a": ONE},
            "input size does not match signature: 1!=2 len({a}) != len({a,b}). "
            "Sent extra: {}. Missing but required: {b}.",
        ),
        (
            {"z": ONE},
            "input size does not match signature: 1!=2 len({z}) != len({a,b}). "
            "Sent extra: {z}. Missing but required: {a,b}.",
        ),
        (
            {"c": ONE, "b": ONE, "a": ONE},
            "input size does not match signature: 3!=2 len({a,b,c}) != len({a,b}). "
            "Sent extra: {c}. Missing but required: {}.",
        ),
    ],
)
def test_several_names_are_sorted_and_joined_by_commas(odd_wiring, inputs, text):
    assert refused_predict(odd_wiring, "odd_wiring", inputs, "twice_fed") == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "another number of inputs than the signature's")
def test_a_signature_without_inputs_takes_none(odd_wiring):
    assert refused_predict(odd_wiring, "odd_wiring", {"x": X}, "nothing_in") == (
        INVALID_ARGUMENT,
        "input size does not match signature: 1!=0 len({x}) != len({}). Sent extra: {x}. Missing but required: {}.",
    )


@pytest.mark.behaviour("1.4", "an alias that is absent and has no default")
@pytest.mark.behaviour("1.4", "aliases alone are matched, never tensor names")
@pytest.mark.behaviour("12", "Predict: misnamed input")
@pytest.mark.parametrize("sent", ["y", "X", "x:0", ""])
def test_an_input_of_another_name_even_the_tensor_s_own(half_plus_two, sent):
    assert refused_predict(half_plus_two, "half_plus_two", {sent: X}) == (
        INVALID_ARGUMENT,
        "Signature input alias: x(feed name: x:0) not found in request and no default value provided. "
        f"Inputs expected to be in the request {{{sent}}}, or default input alias set: ",
    )


@pytest.mark.behaviour("1.4", "an alias that is absent and has no default")
def test_an_input_that_is_missing_and_has_no_default(default_values):
    assert refused_predict(default_values, "default_values", {"scale": ONE}) == (
        INVALID_ARGUMENT,
        "Signature input alias: x(feed name: serving_default_x:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {scale}, or default input alias set: offset,scale",
    )


@pytest.mark.behaviour("1.4", "a name that is left over where defaults let the number fit")
@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["wrong"], "Inputs contains invalid name. Used request inputs: x, request input: wrong,x"),
        (["wrong", "awry"], "Inputs contains invalid name. Used request inputs: x, request input: awry,wrong,x"),
        (["scale", "z"], "Inputs contains invalid name. Used request inputs: scale,x, request input: scale,x,z"),
    ],
)
def test_an_input_of_a_wrong_name_where_defaults_let_the_number_fit(default_values, more, text):
    inputs = {"x": np.array([1.0], np.float32)} | dict.fromkeys(more, ONE)
    assert refused_predict(default_values, "default_values", inputs) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "another number of inputs than the signature's")
def test_more_inputs_than_the_signature_has_even_with_defaults(default_values):
    inputs = dict.fromkeys(["x", "scale", "offset", "more"], ONE)
    assert refused_predict(default_values, "default_values", inputs) == (
        INVALID_ARGUMENT,
        "input size does not match signature: 4!=3 len({more,offset,scale,x}) != len({offset,scale,x}). "
        "Sent extra: {more}. Missing but required: {}.",
    )


@pytest.mark.behaviour("1.4", "a tensor that cannot be decoded")
def test_a_tensor_that_is_none(half_plus_two):
    assert refused_predict(half_plus_two, "half_plus_two", {"x": MALFORMED}) == (
        INVALID_ARGUMENT,
        "tensor parsing error: x",
    )


@pytest.mark.behaviour("1.4", "a tensor that cannot be decoded")
def test_a_tensor_that_is_none_for_an_input_with_a_default(default_values):
    inputs = {"x": np.array([1.0], np.float32), "scale": MALFORMED}
    assert refused_predict(default_values, "default_values", inputs) == (
        INVALID_ARGUMENT,
        "tensor parsing error: scale",
    )


@pytest.mark.behaviour("1.4", "unknown and repeated names of the output filter, in its order")
@pytest.mark.behaviour("12", "Predict: unknown or repeated output_filter")
@pytest.mark.behaviour("13.2", "35 OutputFiltersDontMatchModelSpecOutputs")
@pytest.mark.behaviour("13.3", "44 to 52, the rows of 13.2 through the service, and an unknown model")
@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (["z"], "output tensor alias not found in signature: z Outputs expected to be in the set {y}."),
        ([""], "output tensor alias not found in signature:  Outputs expected to be in the set {y}."),
        (["y:0"], "output tensor alias not found in signature: y:0 Outputs expected to be in the set {y}."),
        (["y", "y"], "duplicate output tensor alias: y"),
        (["y", "y", "z"], "duplicate output tensor alias: y"),
        (["y", "z", "y"], "output tensor alias not found in signature: z Outputs expected to be in the set {y}."),
        (["z", "z"], "output tensor alias not found in signature: z Outputs expected to be in the set {y}."),
    ],
)
def test_an_output_filter_of_unknown_or_repeated_names(half_plus_two, wanted, text):
    reported = refused_predict(half_plus_two, "half_plus_two", {"x": X}, outputs=wanted)
    assert reported == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("1.4", "unknown and repeated names of the output filter, in its order")
def test_known_outputs_are_sorted_and_joined_by_commas(odd_wiring):
    assert refused_predict(odd_wiring, "odd_wiring", {"x": ONE}, "twice_fetched", outputs=["a"]) == (
        INVALID_ARGUMENT,
        "output tensor alias not found in signature: a Outputs expected to be in the set {y,z}.",
    )


MANY_MISTAKES = {"a": MALFORMED, "b": ONE}


@pytest.mark.behaviour("1.4", "only the first mistake counts: model, signature, number of inputs, tensors, filter, run")
@pytest.mark.behaviour("13.2", "36 InputTensorsHaveWrongType")
@pytest.mark.parametrize(
    ("mistaken", "reported"),
    [
        (
            {"name": "nobody", "signature": "nothing", "inputs": MANY_MISTAKES},
            (NOT_FOUND, "Servable not found for request: Latest(nobody)"),
        ),
        (
            {"signature": "nothing", "inputs": MANY_MISTAKES},
            (FAILED_PRECONDITION, 'Serving signature key "nothing" not found.'),
        ),
        (
            {"inputs": MANY_MISTAKES},
            (
                INVALID_ARGUMENT,
                "input size does not match signature: 2!=1 len({a,b}) != len({x}). "
                "Sent extra: {a,b}. Missing but required: {x}.",
            ),
        ),
        ({"inputs": {"x": MALFORMED}}, (INVALID_ARGUMENT, "tensor parsing error: x")),
        (
            {"inputs": {"x": STRING}},
            (INVALID_ARGUMENT, "output tensor alias not found in signature: z Outputs expected to be in the set {y}."),
        ),
        (
            {"inputs": {"x": STRING}, "outputs": ["y"]},
            (INVALID_ARGUMENT, "Expects arg[0] to be float but string is provided"),
        ),
    ],
    ids=["model", "signature", "count", "tensor", "filter", "dtype"],
)
def test_only_the_first_mistake_is_reported(half_plus_two, mistaken, reported):
    """Each row corrects the mistake of the row before it, in the order of the original's checks."""
    call = {"name": "half_plus_two", "outputs": ["z"]} | mistaken
    assert refused_predict(half_plus_two, **call) == reported


@pytest.mark.behaviour("1.4", "only the first mistake counts: model, signature, number of inputs, tensors, filter, run")
def test_a_tensor_that_is_none_comes_before_a_name_that_is_wrong(default_values):
    inputs = {"x": MALFORMED, "wrong": ONE}
    assert refused_predict(default_values, "default_values", inputs) == (INVALID_ARGUMENT, "tensor parsing error: x")


@pytest.mark.behaviour(
    "1.1", "ours: names that are loaded or known, and a suggestion, are sent beside the unchanged message"
)
@pytest.mark.parametrize(
    ("inputs", "hints"),
    [({"y": X}, {"signature_inputs": "x"}), ({"x": MALFORMED}, {"reason": "shape [-1] has a negative size"})],
)
def test_a_hint_says_more_than_the_original_s_text(half_plus_two, inputs, hints):
    found = refusal(half_plus_two.prediction.Predict, predict_request("half_plus_two", inputs)).hints
    assert found.keys() == hints.keys()
    assert all(found[key].startswith(hint) for key, hint in hints.items())
