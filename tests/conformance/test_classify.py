"""Classify over a socket, with the stock stubs: sections 2.2 and 2.3 of docs/conformance.md."""

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from servable import errors, wire
from servable.inference.classify import Classifier, Classify, make_classification_result, require_classifier
from servable.inference.examples import Output
from tests.codec.wire_bytes import sized
from tests.conformance import fakes
from tests.conformance.calls import INTERNAL, INVALID_ARGUMENT, RUNS, refusal
from tests.conformance.example_calls import (
    CLASSIFY_METHOD,
    MODELS,
    SPECS_THAT_FIND_NOTHING,
    classification_pb2,
    classify,
    example,
    labels_and_scores,
    plain,
    refused_by,
    refused_bytes,
    xs,
)
from tests.conformance.example_calls import classification as request_for

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
    return refused_by(served, "Classify", request_for(name, signature, given, **version))


# Answers.


@pytest.mark.behaviour("13.1", "3 testClassify")
@pytest.mark.behaviour("13.7", "109 and 114 Success")
def test_a_tf1_classifier_answers_with_score_and_full_model_spec(served):
    expected = classification_pb2.ClassificationResponse()
    expected.result.classifications.add().classes.add(score=3.0)
    expected.model_spec.name = "half_plus_two"
    expected.model_spec.version.value = 1
    expected.model_spec.signature_name = "classify_x_to_y"
    assert classify(served, "half_plus_two", "classify_x_to_y", xs(2.0)) == expected


@pytest.mark.behaviour("2.2", "a TF2 export, whose method is predict, answers Classify and Regress by default")
@pytest.mark.behaviour("13.1", "4 testClassifyTf2")
def test_a_tf2_export_answers_though_its_method_is_predict(served):
    response = classify(served, "half_plus_two_tf2", "classify_x_to_y", xs(2.0))
    assert labels_and_scores(response.result) == [[("", 3.0)]]


@pytest.mark.behaviour("13.4", "61 ValidNamedSignature")
def test_the_default_signature_is_named_in_the_reply(served):
    response = classify(served, "example_heads", "", xs(0.25))
    assert response.model_spec.signature_name == "serving_default"
    assert labels_and_scores(response.result) == [[("low", 0.75), ("high", 0.25)]]


@pytest.mark.behaviour("2.3", "Classify: one entry for each example, in order, with a Class for each column")
@pytest.mark.behaviour("13.4", "55 ExampleList")
def test_labels_and_scores_come_in_the_order_of_examples_and_columns(served):
    response = classify(served, "odd_heads", "classify_ok", TWO)
    assert labels_and_scores(response.result) == [[("0a", 0.0), ("0b", 0.5)], [("1a", 1.0), ("1b", 1.5)]]


@pytest.mark.behaviour("2.3", "Classify: one entry for each example, in order, with a Class for each column")
@pytest.mark.behaviour("13.4", "61 ValidNamedSignature")
def test_an_estimators_export_answers(served):
    response = classify(served, "dnn_classifier", "classification", xs(0.5, 0.5))
    assert labels_and_scores(response.result) == [[("0", 0.5), ("1", 0.5)]] * 2


@pytest.mark.behaviour("2.2", "of two outputs one that is neither classes nor scores is ignored")
@pytest.mark.behaviour("2.3", "Classify: missing classes leave labels unset, missing scores leave scores unset")
@pytest.mark.behaviour("13.4", "58 ClassesOnly")
@pytest.mark.parametrize("signature", ["classify_ok_classes_only", "classify_ok_classes_and_extra"])
def test_without_scores_there_are_labels_alone(either, signature):
    response = classify(either, "odd_heads", signature, TWO)
    assert labels_and_scores(response.result) == [[("0a", 0.0), ("0b", 0.0)], [("1a", 0.0), ("1b", 0.0)]]


@pytest.mark.behaviour("2.2", "of two outputs one that is neither classes nor scores is ignored")
@pytest.mark.behaviour("2.3", "Classify: missing classes leave labels unset, missing scores leave scores unset")
@pytest.mark.behaviour("13.4", "59 ScoresOnly")
@pytest.mark.parametrize("signature", ["classify_ok_scores_only", "classify_ok_extra_and_scores"])
def test_without_classes_there_are_scores_alone(either, signature):
    response = classify(either, "odd_heads", signature, TWO)
    assert labels_and_scores(response.result) == [[("", 0.0), ("", 0.5)], [("", 1.0), ("", 1.5)]]


@pytest.mark.behaviour("13.4", "60 ZeroScoresArePresent")
def test_a_score_of_zero_still_makes_a_class(either):
    response = classify(either, "odd_heads", "classify_ok_zero_scores", TWO)
    assert labels_and_scores(response.result) == [[("", 0.0), ("", 0.0)]] * 2


@pytest.mark.behaviour("2.3", "Classify: one entry for each example, in order, with a Class for each column")
def test_no_columns_make_an_entry_without_classes_for_each_example(either):
    response = classify(either, "odd_heads", "classify_ok_zero_columns", TWO)
    assert labels_and_scores(response.result) == [[], []]


@pytest.mark.behaviour("2.2", "classes are fetched before scores")
def test_classes_are_fetched_before_scores_and_nothing_else_is():
    outputs = {"scores:0": fakes.floats([[0.5]]), "classes:0": fakes.strings([[b"a"]])}
    for aliases in ({"scores": "scores:0", "classes": "classes:0"}, {"scores": "scores:0", "other": "other:0"}):
        servable = fakes.FakeServable(fakes.define("serving_default", {"inputs": "in:0"}, aliases), outputs=outputs)
        Classify(fakes.route(servable))(request_for("fake", given=xs(1.0)).SerializeToString(), None)
        (run,) = servable.runs
        assert run.fetches == (("classes:0", "scores:0") if "classes" in aliases else ("scores:0",))


@pytest.mark.behaviour("2.3", "a failed run returns its error as it was raised, and has the time that is left")
def test_the_time_that_is_left_reaches_the_run():
    head = fakes.define("serving_default", {"inputs": "in:0"}, {"scores": "scores:0"})
    servable = fakes.FakeServable(head, outputs={"scores:0": fakes.floats([[0.5]])})
    Classify(fakes.route(servable))(request_for("fake", given=xs(1.0)).SerializeToString(), 2.5)
    assert servable.runs[0].timeout_s == 2.5


@pytest.mark.behaviour("2.3", "a failed run returns its error as it was raised, and has the time that is left")
@pytest.mark.behaviour("13.4", "68 RunsFails")
def test_a_failed_run_is_returned_as_it_was_raised():
    head = fakes.define("serving_default", {"inputs": "in:0"}, {"scores": "scores:0"})
    servable = fakes.FakeServable(head, error=errors.Unavailable("the device is gone"))
    with pytest.raises(errors.Unavailable, match=r"^UNAVAILABLE: the device is gone$"):
        Classify(fakes.route(servable))(request_for("fake", given=xs(1.0)).SerializeToString(), None)


# Which model and signature.


@pytest.mark.behaviour("12", "no model_spec")
@pytest.mark.behaviour("13.7", "107 and 112 InvalidModelSpec")
def test_a_request_without_a_model_spec_is_refused(served):
    request = classification_pb2.ClassificationRequest(input=TWO)
    assert refused_by(served, "Classify", request) == (INVALID_ARGUMENT, "Missing ModelSpec")


@pytest.mark.behaviour("12", "empty model name, and MultiInference without tasks")
@pytest.mark.behaviour("12", "unknown model, version and label under the calls that take examples and GetModelMetadata")
@pytest.mark.behaviour("13.7", "107 and 112 InvalidModelSpec")
@pytest.mark.parametrize(("name", "version", "code", "text"), SPECS_THAT_FIND_NOTHING)
def test_a_model_spec_that_finds_nothing_is_refused(served, name, version, code, text):
    assert refused(served, name, "classify_ok", **version) == (code, text)


@pytest.mark.behaviour("2.3", "signature, then examples, then the run, then outputs")
@pytest.mark.behaviour("12", "unknown signature under Classify, Regress and MultiInference")
@pytest.mark.behaviour("13.7", "108 and 113 InvalidSignature")
@pytest.mark.parametrize(("asked", "reported"), [("nope", "nope"), ("", "serving_default")])
def test_an_unknown_signature_is_named(either, asked, reported):
    expected = (INVALID_ARGUMENT, f"No signature was found with the name: {reported}")
    assert refused(either, "odd_heads", asked) == expected
    # This check comes before those of the examples.
    assert refused(either, "odd_heads", asked, plain()) == expected


@pytest.mark.behaviour("12", "unknown signature under Classify, Regress and MultiInference")
def test_existing_signatures_are_listed_beside_the_text(served):
    reported = refusal(served.prediction.Classify, request_for("example_heads", "regresion", TWO))
    assert reported.hints == {"known_signatures": "regression, serving_default", "did_you_mean": "regression"}


@pytest.mark.behaviour("12", "undecodable request bytes")
def test_bytes_that_are_no_request_are_internal_without_a_text(served):
    assert refused_bytes(served, "Classify", b"\xff") == (INTERNAL, "")


# 2.2: the signature.

STRUCTURE = [
    ("classify_no_inputs", "Expected one input Tensor."),
    ("classify_two_inputs", "Expected one input Tensor."),
    ("classify_no_outputs", "Expected one or two output Tensors, found 0"),
    ("classify_three_outputs", "Expected one or two output Tensors, found 3"),
]
# What follows these words is protobuf's debug text, which differs from release to release.
STRUCTURE_PREFIXES = [
    ("classify_input_named_x", "No classification inputs found in SignatureDef: "),
    (
        "classify_output_named_y",
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: ',
    ),
]


@pytest.mark.behaviour("2.2", "Classify: input count, output count, input name, output names, in this order")
@pytest.mark.behaviour("12", "Classify on a signature that is no classifier")
@pytest.mark.parametrize(("signature", "text"), STRUCTURE)
def test_a_signature_that_is_no_classifier_is_refused(either, signature, text):
    assert refused(either, "odd_heads", signature) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("2.2", "Classify: input count, output count, input name, output names, in this order")
@pytest.mark.behaviour("12", "Classify on a signature that is no classifier")
@pytest.mark.parametrize(("signature", "prefix"), STRUCTURE_PREFIXES)
def test_a_signature_with_other_names_is_refused_and_shown(either, signature, prefix):
    code, details = refused(either, "odd_heads", signature)
    assert code == INVALID_ARGUMENT
    assert details.startswith(prefix)
    assert "examples:0" in details.removeprefix(prefix)


@pytest.mark.behaviour("2.2", "a normal Keras or Predict signature fails Classify and Regress with the texts of inputs")
@pytest.mark.parametrize("model", ["half_plus_two", "half_plus_two_tf2"])
def test_a_predict_signature_is_no_classifier(served, model):
    code, details = refused(served, model, "serving_default")
    assert code == INVALID_ARGUMENT
    assert details.startswith("No classification inputs found in SignatureDef: ")


@pytest.mark.behaviour("2.2", "a regressor is no classifier and a classifier no regressor")
@pytest.mark.behaviour("13.4", "62 InvalidNamedSignature")
def test_a_regressor_is_no_classifier(served):
    code, details = refused(served, "half_plus_two", "regress_x_to_y")
    assert code == INVALID_ARGUMENT
    assert details.startswith(
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: '
    )


@pytest.mark.behaviour("2.2", "Classify: input count, output count, input name, output names, in this order")
@pytest.mark.behaviour("13.4", "64 MissingClassificationSignature")
def test_an_empty_signature_is_no_classifier(servers):
    served = servers("odd_wiring", runs="private")
    assert refused(served, "odd_wiring", "empty") == (INVALID_ARGUMENT, "Expected one input Tensor.")


@pytest.mark.behaviour("2.2", "Classify: input count, output count, input name, output names, in this order")
@pytest.mark.parametrize(
    ("definition", "text"),
    [
        (({}, {}), "Expected one input Tensor."),
        (({"x": "x:0"}, {}), "Expected one or two output Tensors, found 0"),
        (({"x": "x:0"}, {"y": "y:0"}), "No classification inputs found in SignatureDef: "),
    ],
)
def test_inputs_are_counted_before_outputs_and_names_come_last(definition, text):
    servable = fakes.FakeServable(fakes.define("s", *definition, CLASSIFY_METHOD))
    with pytest.raises(errors.InvalidArgument) as caught:
        require_classifier(servable.signatures["s"], check_method_name=False)
    assert caught.value.message.startswith(text)


@pytest.mark.behaviour("2.2", "by default the method name of a signature does not matter")
@pytest.mark.behaviour("13.4", "74 MethodNameCheck")
@pytest.mark.parametrize("signature", ["classify_method_predict", "classify_method_empty"])
def test_by_default_the_method_of_a_signature_does_not_matter(served, signature):
    response = classify(served, "odd_heads", signature, TWO)
    assert labels_and_scores(response.result) == [[("", 0.0), ("", 0.5)], [("", 1.0), ("", 1.5)]]


@pytest.mark.behaviour("2.2", "with the check Classify insists on the method classify")
@pytest.mark.behaviour("13.4", "62 InvalidNamedSignature")
@pytest.mark.behaviour("13.4", "74 MethodNameCheck")
@pytest.mark.parametrize(
    ("model", "signature", "method"),
    [
        ("odd_heads", "classify_method_predict", "tensorflow/serving/predict"),
        ("odd_heads", "classify_method_empty", ""),
        ("odd_heads", "regress_ok", "tensorflow/serving/regress"),
        ("half_plus_two_tf2", "classify_x_to_y", "tensorflow/serving/predict"),
        # Wrong in structure as well: the method is checked first.
        ("odd_heads", "regress_no_inputs", "tensorflow/serving/regress"),
    ],
)
def test_a_checking_server_refuses_another_method(checking, model, signature, method):
    assert refused(checking, model, signature) == (
        INVALID_ARGUMENT,
        f"Expected classification signature method_name to be tensorflow/serving/classify. Was: {method}",
    )


@pytest.mark.behaviour("2.2", "with the check Classify insists on the method classify")
def test_a_checking_server_answers_a_classifier(checking):
    response = classify(checking, "half_plus_two", "classify_x_to_y", xs(2.0))
    assert labels_and_scores(response.result) == [[("", 3.0)]]


# 2.3: the outputs.

OUTPUTS = [
    ("classify_classes_scalar", "Expected Tensor shape: [batch_size num_classes] but got []"),
    ("classify_classes_rank_1", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
    ("classify_classes_int64", "Expected classes Tensor of DT_STRING. Got: DT_INT64"),
    ("classify_classes_batch_plus_one", "Expected classes output batch size of 2. Got: 3"),
    ("classify_scores_rank_1", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
    ("classify_scores_rank_3", "Expected Tensor shape: [batch_size num_classes] but got [2,2,1]"),
    ("classify_scores_double", "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
    ("classify_scores_batch_plus_one", "Expected scores output batch size of 2. Got: 3"),
    ("classify_two_classes_three_scores", "Tensors class and score should match in dim_size(1). Got 2 vs. 3"),
]


@pytest.mark.behaviour("2.3", "Classify: rank, dtype, rows and columns of classes and scores")
@pytest.mark.behaviour("13.4", "63 MalformedScores")
@pytest.mark.behaviour("13.4", "69 to 73: batch sizes, types and column counts of classes and scores")
@pytest.mark.parametrize(("signature", "text"), OUTPUTS)
def test_outputs_that_are_no_classification_are_refused(either, signature, text):
    assert refused(either, "odd_heads", signature) == (INVALID_ARGUMENT, text)


GOOD_CLASSES, GOOD_SCORES = fakes.strings([[b"a", b"b"]]), fakes.floats([[0.1, 0.9]])
BOTH = Classifier("in:0", {"classes": "classes:0", "scores": "scores:0"})


@pytest.mark.behaviour("2.3", "Classify: all checks of classes before all of scores")
@pytest.mark.parametrize(
    ("classes", "scores", "text"),
    [
        pytest.param(
            fakes.integers([1]),
            fakes.doubles([1.0, 2.0]),
            "Expected Tensor shape: [batch_size num_classes] but got [1]",
            id="rank of classes",
        ),
        pytest.param(
            fakes.integers([[1], [2]]),
            fakes.doubles([1.0]),
            "Expected classes Tensor of DT_STRING. Got: DT_INT64",
            id="dtype of classes, before the rank of scores",
        ),
        pytest.param(
            fakes.strings([[b"a"], [b"b"]]),
            fakes.doubles([1.0]),
            "Expected classes output batch size of 1. Got: 2",
            id="rows of classes, before the rank of scores",
        ),
        pytest.param(
            GOOD_CLASSES,
            fakes.doubles([1.0, 2.0]),
            "Expected Tensor shape: [batch_size num_classes] but got [2]",
            id="rank of scores",
        ),
        pytest.param(
            GOOD_CLASSES,
            fakes.doubles([[1.0], [2.0]]),
            "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE",
            id="dtype of scores",
        ),
        pytest.param(
            GOOD_CLASSES,
            fakes.floats([[1.0], [2.0]]),
            "Expected scores output batch size of 1. Got: 2",
            id="rows of scores",
        ),
        pytest.param(
            GOOD_CLASSES,
            fakes.floats([[1.0]]),
            "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
            id="columns",
        ),
    ],
)
def test_classes_are_checked_before_scores_and_rank_dtype_rows_in_this_order(classes, scores, text):
    with pytest.raises(errors.InvalidArgument) as caught:
        make_classification_result(BOTH, {"scores:0": scores, "classes:0": classes}, 1)
    assert caught.value.message == text


LABEL_THAT_IS_NO_TEXT = b"\x80" + bytes(range(256)) * 2


@pytest.mark.behaviour("2.3", "Classify: a label that is no UTF-8 is sent as it is")
def test_a_label_that_is_no_text_is_sent_as_it_is():
    outputs = {"classes:0": fakes.strings([[b"a", LABEL_THAT_IS_NO_TEXT]]), "scores:0": GOOD_SCORES}
    written = make_classification_result(BOTH, outputs, 1)
    assert sized(1, LABEL_THAT_IS_NO_TEXT) in written
    with pytest.raises(DecodeError):  # Python's protobuf reads text only.
        wire.ClassificationResult.FromString(written)


FLOATS = st.floats(width=32) | st.sampled_from([0.0, -0.0])


@pytest.mark.behaviour("2.3", "Classify: missing classes leave labels unset, missing scores leave scores unset")
@given(
    st.tuples(st.integers(1, 4), st.integers(0, 4)).flatmap(
        lambda shape: st.tuples(
            arrays(np.float32, shape, elements=FLOATS),
            arrays(object, shape, elements=st.text(max_size=200), fill=st.nothing()),
        )
    ),
    st.sampled_from(["both", "classes", "scores"]),
)
def test_a_result_is_written_as_protobuf_writes_it(outputs, kept):
    scores, labels = outputs
    named = {"classes": labels, "scores": scores}
    fetches = {key: f"{key}:0" for key in named if kept in ("both", key)}
    expected = wire.ClassificationResult()
    for row in range(len(scores)):
        add = expected.classifications.add().classes.add
        for column in range(scores.shape[1]):
            fields = {"label": labels[row, column], "score": float(scores[row, column])}
            add(**{name: fields[name] for name, key in [("label", "classes"), ("score", "scores")] if key in fetches})
    encoded = np.frompyfunc(str.encode, 1, 1)(labels)
    fetched = {"classes:0": Output(encoded, wire.DT_STRING), "scores:0": Output(scores, wire.DT_FLOAT)}
    written = make_classification_result(Classifier("x:0", fetches), fetched, len(scores))
    assert written == expected.SerializeToString()


@pytest.mark.behaviour("2.1", "examples are answered in their order")
def test_the_company_of_an_example_does_not_change_its_answer(served):
    alone = classify(served, "example_heads", "", plain(example(x=1.0))).result
    among = classify(served, "example_heads", "", xs(0.25, 0.5, 1.0)).result
    assert labels_and_scores(alone) == [[("low", 0.0), ("high", 1.0)]]
    assert labels_and_scores(among)[2:] == labels_and_scores(alone)
