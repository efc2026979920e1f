"""Regress over a socket, with the stock stubs: sections 2.2 and 2.3 of docs/conformance.md."""

import pytest

from servable import errors
from servable.inference.regress import Regress, Regressor, make_regression_result, require_regressor
from tests.conformance import fakes
from tests.conformance.calls import INTERNAL, INVALID_ARGUMENT, RUNS
from tests.conformance.example_calls import (
    MODELS,
    REGRESS_METHOD,
    SPECS_THAT_FIND_NOTHING,
    plain,
    refused_by,
    refused_bytes,
    regress,
    regression_pb2,
    values_of,
    xs,
)
from tests.conformance.example_calls import regression as request_for

TWO = xs(1.0, 2.0)


@pytest.fixture(params=RUNS)
def served(servers, request):
    return servers(*MODELS, runs=request.param)


@pytest.fixture(params=RUNS)
def checking(servers, request):
    return servers(*MODELS, runs=request.param, enable_signature_method_name_check=True)


@pytest.fixture(params=[(runs, check) for runs in RUNS for check in (False, True)], ids=str)
def either(servers, request):
    """A server with the check of method names off or on; what it answers must not depend on that."""
    runs, check = request.param
    return servers(*MODELS, runs=runs, **{"enable_signature_method_name_check": True} if check else {})


def refused(served, name, signature="", given=TWO, **version):
    return refused_by(served, "Regress", request_for(name, signature, given, **version))


# Answers.


@pytest.mark.behaviour("13.1", "5 testRegress")
@pytest.mark.behaviour("13.7", "109 and 114 Success")
def test_a_tf1_regressor_answers_with_value_and_full_model_spec(served):
    expected = regression_pb2.RegressionResponse()
    expected.result.regressions.add(value=3.0)
    expected.model_spec.name = "half_plus_two"
    expected.model_spec.version.value = 1
    expected.model_spec.signature_name = "regress_x_to_y"
    assert regress(served, "half_plus_two", "regress_x_to_y", xs(2.0)) == expected


@pytest.mark.behaviour("2.2", "a TF2 export, whose method is predict, answers Classify and Regress by default")
@pytest.mark.behaviour("13.1", "6 testRegressTf2")
def test_a_tf2_export_answers_though_its_method_is_predict(served):
    assert values_of(regress(served, "half_plus_two_tf2", "regress_x_to_y", xs(2.0)).result) == [3.0]


@pytest.mark.behaviour("2.3", "Regress: a vector and one column are values, in the order of the examples")
@pytest.mark.behaviour("13.5", "77 ValidNamedSignature")
def test_the_other_signature_of_a_model_gives_its_own_values(either):
    assert values_of(regress(either, "half_plus_two", "regress_x_to_y2", xs(2.0)).result) == [4.0]


@pytest.mark.behaviour("2.2", "with the check Regress insists on the method regress")
@pytest.mark.behaviour("2.3", "Regress: a vector and one column are values, in the order of the examples")
@pytest.mark.behaviour("13.5", "75 BasicExampleList")
def test_values_come_in_the_order_of_the_examples(either):
    assert values_of(regress(either, "example_heads", "regression", xs(0.5, 0.25, 2.0)).result) == [5.0, 2.5, 20.0]


@pytest.mark.behaviour("2.3", "Regress: a vector and one column are values, in the order of the examples")
@pytest.mark.parametrize("signature", ["regress_ok", "regress_ok_one_column"])
def test_a_vector_and_a_single_column_are_values(either, signature):
    assert values_of(regress(either, "odd_heads", signature, TWO).result) == [0.0, 1.0]


@pytest.mark.behaviour("2.3", "a failed run returns its error as it was raised, and has the time that is left")
def test_the_default_signature_is_named_in_the_reply():
    head = fakes.define("serving_default", {"inputs": "in:0"}, {"outputs": "out:0"})
    servable = fakes.FakeServable(head, outputs={"out:0": fakes.floats([1.5])})
    reply = Regress(fakes.route(servable))(request_for("fake", given=xs(1.0)).SerializeToString(), 2.5)
    response = regression_pb2.RegressionResponse.FromString(reply)
    assert response.model_spec.signature_name == "serving_default"
    assert values_of(response.result) == [1.5]
    (run,) = servable.runs
    assert (run.fetches, run.timeout_s) == (("out:0",), 2.5)


@pytest.mark.behaviour("2.3", "a failed run returns its error as it was raised, and has the time that is left")
@pytest.mark.behaviour("13.5", "83 RunsFails")
def test_a_failed_run_is_returned_as_it_was_raised():
    head = fakes.define("serving_default", {"inputs": "in:0"}, {"outputs": "out:0"})
    servable = fakes.FakeServable(head, error=errors.Unavailable("the device is gone"))
    with pytest.raises(errors.Unavailable, match=r"^UNAVAILABLE: the device is gone$"):
        Regress(fakes.route(servable))(request_for("fake", given=xs(1.0)).SerializeToString(), None)


# Which model and signature.


@pytest.mark.behaviour("12", "no model_spec")
@pytest.mark.behaviour("13.7", "107 and 112 InvalidModelSpec")
def test_a_request_without_a_model_spec_is_refused(served):
    request = regression_pb2.RegressionRequest(input=TWO)
    assert refused_by(served, "Regress", request) == (INVALID_ARGUMENT, "Missing ModelSpec")


@pytest.mark.behaviour("12", "empty model name, and MultiInference without tasks")
@pytest.mark.behaviour("12", "unknown model, version and label under the calls that take examples and GetModelMetadata")
@pytest.mark.behaviour("13.7", "107 and 112 InvalidModelSpec")
@pytest.mark.parametrize(("name", "version", "code", "text"), SPECS_THAT_FIND_NOTHING)
def test_a_model_spec_that_finds_nothing_is_refused(served, name, version, code, text):
    assert refused(served, name, "regress_ok", **version) == (code, text)


@pytest.mark.behaviour("2.3", "signature, then examples, then the run, then outputs")
@pytest.mark.behaviour("12", "unknown signature under Classify, Regress and MultiInference")
@pytest.mark.behaviour("13.7", "108 and 113 InvalidSignature")
@pytest.mark.parametrize(("asked", "reported"), [("nope", "nope"), ("", "serving_default")])
def test_an_unknown_signature_is_named(either, asked, reported):
    expected = (INVALID_ARGUMENT, f"No signature was found with the name: {reported}")
    assert refused(either, "odd_heads", asked) == expected
    # This check comes before those of the examples.
    assert refused(either, "odd_heads", asked, plain()) == expected


@pytest.mark.behaviour("12", "undecodable request bytes")
def test_bytes_that_are_no_request_are_internal_without_a_text(served):
    assert refused_bytes(served, "Regress", b"\xff") == (INTERNAL, "")


# 2.2: the signature.

STRUCTURE = [
    ("regress_no_inputs", "Expected one input Tensor."),
    ("regress_two_inputs", "Expected one input Tensor."),
    ("regress_no_outputs", "Expected one output Tensor."),
    ("regress_two_outputs", "Expected one output Tensor."),
]
# What follows these words is protobuf's debug text, which differs from release to release.
STRUCTURE_PREFIXES = [
    ("regress_input_named_x", "No regression inputs found in SignatureDef: "),
    ("regress_output_named_y", "No regression outputs found in SignatureDef: "),
]


@pytest.mark.behaviour("2.2", "Regress: input count, output count, input name, output name, in this order")
@pytest.mark.behaviour("12", "Regress on a signature that is no regressor")
@pytest.mark.parametrize(("signature", "text"), STRUCTURE)
def test_a_signature_that_is_no_regressor_is_refused(either, signature, text):
    assert refused(either, "odd_heads", signature) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("2.2", "Regress: input count, output count, input name, output name, in this order")
@pytest.mark.behaviour("12", "Regress on a signature that is no regressor")
@pytest.mark.parametrize(("signature", "prefix"), STRUCTURE_PREFIXES)
def test_a_signature_with_other_names_is_refused_and_shown(either, signature, prefix):
    code, details = refused(either, "odd_heads", signature)
    assert code == INVALID_ARGUMENT
    assert details.startswith(prefix)
    assert "examples:0" in details.removeprefix(prefix)


@pytest.mark.behaviour("2.2", "a normal Keras or Predict signature fails Classify and Regress with the texts of inputs")
@pytest.mark.parametrize("model", ["half_plus_two", "half_plus_two_tf2"])
def test_a_predict_signature_is_no_regressor(served, model):
    code, details = refused(served, model, "serving_default")
    assert code == INVALID_ARGUMENT
    assert details.startswith("No regression inputs found in SignatureDef: ")


@pytest.mark.behaviour("2.2", "a regressor is no classifier and a classifier no regressor")
@pytest.mark.behaviour("13.5", "78 InvalidNamedSignature")
def test_a_classifier_is_no_regressor(served):
    code, details = refused(served, "half_plus_two", "classify_x_to_y")
    assert code == INVALID_ARGUMENT
    assert details.startswith("No regression outputs found in SignatureDef: ")


@pytest.mark.behaviour("2.2", "Regress: input count, output count, input name, output name, in this order")
@pytest.mark.behaviour("13.5", "86 MissingRegressionSignature")
def test_an_empty_signature_is_no_regressor(servers):
    served = servers("odd_wiring", runs="private")
    assert refused(served, "odd_wiring", "empty") == (INVALID_ARGUMENT, "Expected one input Tensor.")


@pytest.mark.behaviour("2.2", "Regress: input count, output count, input name, output name, in this order")
@pytest.mark.parametrize(
    ("definition", "text"),
    [
        (({}, {}), "Expected one input Tensor."),
        (({"x": "x:0"}, {}), "Expected one output Tensor."),
        (({"x": "x:0"}, {"y": "y:0"}), "No regression inputs found in SignatureDef: "),
    ],
)
def test_inputs_are_counted_before_outputs_and_names_come_last(definition, text):
    servable = fakes.FakeServable(fakes.define("s", *definition, REGRESS_METHOD))
    with pytest.raises(errors.InvalidArgument) as caught:
        require_regressor(servable.signatures["s"], check_method_name=False)
    assert caught.value.message.startswith(text)


@pytest.mark.behaviour("2.2", "by default the method name of a signature does not matter")
@pytest.mark.behaviour("13.5", "87 MethodNameCheck")
@pytest.mark.parametrize("signature", ["regress_method_predict", "regress_method_empty"])
def test_by_default_the_method_of_a_signature_does_not_matter(served, signature):
    assert values_of(regress(served, "odd_heads", signature, TWO).result) == [0.0, 1.0]


@pytest.mark.behaviour("2.2", "with the check Regress insists on the method regress")
@pytest.mark.behaviour("5", "--enable_signature_method_name_check")
@pytest.mark.behaviour("13.5", "78 InvalidNamedSignature")
@pytest.mark.behaviour("13.5", "87 MethodNameCheck")
@pytest.mark.parametrize(
    ("model", "signature", "method"),
    [
        ("odd_heads", "regress_method_predict", "tensorflow/serving/predict"),
        ("odd_heads", "regress_method_empty", ""),
        ("odd_heads", "classify_ok", "tensorflow/serving/classify"),
        ("half_plus_two_tf2", "regress_x_to_y", "tensorflow/serving/predict"),
        # Wrong in structure as well: the method is checked first.
        ("odd_heads", "classify_no_inputs", "tensorflow/serving/classify"),
    ],
)
def test_a_checking_server_refuses_another_method(checking, model, signature, method):
    assert refused(checking, model, signature) == (
        INVALID_ARGUMENT,
        f"Expected regression signature method_name to be tensorflow/serving/regress. Was: {method}",
    )


# 2.3: the output.


@pytest.mark.behaviour("2.3", "Regress: shape, rows and dtype, in this order")
@pytest.mark.behaviour("13.5", "79 MalformedOutputs")
@pytest.mark.behaviour("13.5", "84 UnexpectedOutputTensorSize, 85 UnexpectedOutputTensorType")
@pytest.mark.parametrize(
    ("signature", "text"),
    [
        (
            "regress_scalar",
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []",
        ),
        (
            "regress_two_columns",
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
        ),
        (
            "regress_rank_3",
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,1,1]",
        ),
        ("regress_batch_plus_one", "Input batch size did not match output batch size: 2 vs. 3"),
        ("regress_double", "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
    ],
)
def test_an_output_that_is_no_regression_is_refused(either, signature, text):
    assert refused(either, "odd_heads", signature) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("2.3", "Regress: shape, rows and dtype, in this order")
@pytest.mark.parametrize(
    ("output", "text"),
    [
        (
            fakes.doubles([[1.0, 2.0]] * 3),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [3,2]",
        ),
        (
            fakes.floats([[]] * 2),
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,0]",
        ),
        (fakes.doubles([1.0] * 3), "Input batch size did not match output batch size: 2 vs. 3"),
        (fakes.floats([]), "Input batch size did not match output batch size: 2 vs. 0"),
        (fakes.doubles([1.0] * 2), "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
        (fakes.strings([b"1"] * 2), "Expected output Tensor of DT_FLOAT.  Got: DT_STRING"),
    ],
)
def test_shape_is_checked_before_rows_and_rows_before_dtype(output, text):
    with pytest.raises(errors.InvalidArgument) as caught:
        make_regression_result(Regressor("in", "out"), {"out": output}, 2)
    assert caught.value.message == text
