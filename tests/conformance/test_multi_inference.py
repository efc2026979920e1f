"""MultiInference over a socket, with the stock stubs: section 2.4 of docs/conformance.md."""

import pytest

from servable import errors
from servable.inference.multi_inference import MultiInference
from tests.conformance import fakes
from tests.conformance.calls import INTERNAL, INVALID_ARGUMENT, NOT_FOUND, RUNS, UNIMPLEMENTED
from tests.conformance.example_calls import (
    CLASSIFY_METHOD,
    MODELS,
    PREDICT_METHOD,
    REGRESS_METHOD,
    infer,
    inference_pb2,
    labels_and_scores,
    multi_inference,
    refused_by,
    refused_bytes,
    task,
    values_of,
    xs,
)
from tests.conformance.versions import serve_versions

HALF = "half_plus_two"
TWO = xs(1.0, 2.0)


@pytest.fixture(params=RUNS)
def served(servers, request):
    return servers(*MODELS, runs=request.param)


@pytest.fixture(params=RUNS)
def checking(servers, request):
    return servers(*MODELS, runs=request.param, enable_signature_method_name_check=True)


@pytest.fixture(scope="module", params=RUNS)
def two_versions(models, tmp_path_factory, request):
    """The model `half`: version 1 adds two, version 2 adds three."""
    versions = {"1": models.version_path("half_plus_two"), "2": models.version_path("half_plus_three")}
    with serve_versions(tmp_path_factory.mktemp("half"), "half", versions, request.param) as running:
        yield running


def refused(served, *tasks, given=TWO):
    return refused_by(served, "MultiInference", multi_inference(*tasks, given=given))


def regressed(response):
    return [values_of(result.regression_result) for result in response.results]


# Answers.


@pytest.mark.behaviour("2.4", "results come in the order of tasks, each with a full model spec")
@pytest.mark.behaviour("13.1", "7 testMultiInference, 8 testMultiInferenceTf2")
@pytest.mark.behaviour("13.6", "94, 95, 103 and 104: regressions, and both kinds")
@pytest.mark.parametrize("model", ["half_plus_two", "half_plus_two_tf2"])
def test_results_come_in_the_order_of_tasks_each_with_a_full_model_spec(served, model):
    expected = inference_pb2.MultiInferenceResponse()
    for signature in ("regress_x_to_y2", "classify_x_to_y", "regress_x_to_y"):
        spec = expected.results.add().model_spec
        spec.name, spec.version.value, spec.signature_name = model, 1, signature
    expected.results[0].regression_result.regressions.add(value=4.0)
    expected.results[1].classification_result.classifications.add().classes.add(score=3.0)
    expected.results[2].regression_result.regressions.add(value=3.0)

    tasks = [
        task(model, "regress_x_to_y2"),
        task(model, "classify_x_to_y", CLASSIFY_METHOD),
        task(model, "regress_x_to_y"),
    ]
    assert infer(served, *tasks, given=xs(2.0)) == expected


@pytest.mark.behaviour("2.4", "results come in the order of tasks, each with a full model spec")
@pytest.mark.behaviour("13.6", "93 and 102 ValidSingleSignatureTest")
@pytest.mark.parametrize("model", ["half_plus_two", "half_plus_two_tf2"])
def test_a_single_task_is_answered(served, model):
    assert regressed(infer(served, task(model, "regress_x_to_y"), given=xs(2.0))) == [[3.0]]


@pytest.mark.behaviour("2.4", "the same examples are fed to the union of inputs")
def test_every_task_sees_every_example(served):
    tasks = [task("example_heads", "", CLASSIFY_METHOD), task("example_heads", "regression")]
    response = infer(served, *tasks, given=xs(0.25, 0.5))
    assert [result.model_spec.signature_name for result in response.results] == ["serving_default", "regression"]
    assert labels_and_scores(response.results[0].classification_result) == [
        [("low", 0.75), ("high", 0.25)],
        [("low", 0.5), ("high", 0.5)],
    ]
    assert values_of(response.results[1].regression_result) == [2.5, 5.0]


@pytest.mark.behaviour("2.4", "one run answers all tasks: the union of outputs")
def test_two_signatures_on_one_tensor_both_answer(served):
    tasks = [task("odd_heads", "regress_ok"), task("odd_heads", "regress_method_empty")]
    assert regressed(infer(served, *tasks, given=TWO)) == [[0.0, 1.0], [0.0, 1.0]]


@pytest.mark.behaviour("2.4", "the task's method decides, not the signature's")
def test_the_method_of_the_task_decides_not_the_signatures(served):
    tasks = [
        task("odd_heads", "classify_method_predict", CLASSIFY_METHOD),
        task("odd_heads", "regress_method_predict", REGRESS_METHOD),
    ]
    response = infer(served, *tasks, given=TWO)
    assert [result.WhichOneof("result") for result in response.results] == [
        "classification_result",
        "regression_result",
    ]


@pytest.mark.behaviour("2.4", "only the first task's model spec chooses the version")
@pytest.mark.parametrize(("asked", "version", "values"), [(1, 1, 3.0), (2, 2, 4.0), (None, 2, 4.0)])
def test_the_first_task_chooses_the_version(two_versions, asked, version, values):
    response = infer(two_versions, task("half", "regress_x_to_y", version=asked), given=xs(2.0))
    assert regressed(response) == [[values]]
    assert response.results[0].model_spec.version.value == version


@pytest.mark.behaviour("2.4", "only the first task's model spec chooses the version")
@pytest.mark.parametrize("other", [{"version": 2}, {"version": 99}, {"label": "nope"}, {}])
def test_the_version_and_label_of_other_tasks_are_ignored(two_versions, other):
    tasks = [
        task("half", "regress_x_to_y", version=1),
        task("half", "classify_x_to_y", CLASSIFY_METHOD, **other),
    ]
    response = infer(two_versions, *tasks, given=xs(2.0))
    assert response.results[1].classification_result.classifications[0].classes[0].score == 3.0
    assert [result.model_spec.version.value for result in response.results] == [1, 1]
    assert [result.model_spec.version_label for result in response.results] == ["", ""]


# One run for all.

HEADS = (
    fakes.define("one", {"inputs": "examples:0"}, {"outputs": "one:0"}),
    fakes.define("two", {"inputs": "examples:0"}, {"outputs": "two:0"}),
    fakes.define("classes", {"inputs": "examples:0"}, {"scores": "two:0", "classes": "names:0"}),
    fakes.define("apart", {"inputs": "other_examples:0"}, {"outputs": "one:0"}),
)
OUTPUTS = {
    "one:0": fakes.floats([[1.0]]),
    "two:0": fakes.floats([[2.0]]),
    "names:0": fakes.strings([[b"a"]]),
}


def infer_from(servable, *keys, methods=(REGRESS_METHOD,) * 4, given=None):
    """MultiInference on a fake; the methods go with the keys."""
    tasks = [task("fake", key, method) for key, method in zip(keys, methods, strict=False)]
    request = multi_inference(*tasks, given=given or xs(5.0))
    reply = MultiInference(fakes.route(servable))(request.SerializeToString(), 2.5)
    return inference_pb2.MultiInferenceResponse.FromString(reply)


@pytest.mark.behaviour("2.4", "one run answers all tasks: the union of outputs")
def test_all_tasks_are_answered_by_one_run():
    servable = fakes.FakeServable(*HEADS, outputs=OUTPUTS)
    methods = (REGRESS_METHOD, CLASSIFY_METHOD, REGRESS_METHOD)
    response = infer_from(servable, "two", "classes", "one", methods=methods)
    (run,) = servable.runs
    assert sorted(run.fetches) == ["names:0", "one:0", "two:0"]
    assert list(run.feeds) == ["examples:0"]
    assert run.timeout_s == 2.5
    assert values_of(response.results[0].regression_result) == [2.0]
    assert labels_and_scores(response.results[1].classification_result) == [[("a", 2.0)]]
    assert values_of(response.results[2].regression_result) == [1.0]


@pytest.mark.behaviour("2.4", "the same examples are fed to the union of inputs")
def test_each_input_tensor_is_fed_the_same_examples():
    servable = fakes.FakeServable(*HEADS, outputs=OUTPUTS)
    infer_from(servable, "one", "apart", "two")
    (run,) = servable.runs
    assert sorted(run.feeds) == ["examples:0", "other_examples:0"]
    assert run.feeds["examples:0"].tolist() == run.feeds["other_examples:0"].tolist()
    assert run.feeds["examples:0"].tolist() == [xs(5.0).example_list.examples[0].SerializeToString()]


@pytest.mark.behaviour("2.4", "tasks are checked one after the other, in this order of checks, before anything runs")
def test_a_bad_task_is_found_before_anything_runs():
    servable = fakes.FakeServable(*HEADS, outputs=OUTPUTS)
    with pytest.raises(errors.Unimplemented):
        infer_from(servable, "one", "two", methods=(REGRESS_METHOD, PREDICT_METHOD))
    assert servable.runs == []


@pytest.mark.behaviour("2.4", "a task that fails fails the call")
def test_one_task_that_fails_fails_all(served):
    tasks = [task("odd_heads", "regress_ok"), task("odd_heads", "regress_double")]
    assert refused(served, *tasks) == (INVALID_ARGUMENT, "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE")
    # The outputs are read in the order of tasks.
    tasks = [task("odd_heads", "classify_scores_double", CLASSIFY_METHOD), task("odd_heads", "regress_double")]
    assert refused(served, *tasks) == (INVALID_ARGUMENT, "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE")


@pytest.mark.behaviour("2.4", "the same examples are fed to the union of inputs")
def test_a_signature_that_takes_no_strings_fails_the_run(served):
    tasks = [task(HALF, "regress_x_to_y"), task(HALF, "regress_x2_to_y3")]
    code, details = refused(served, *tasks)
    assert code == INVALID_ARGUMENT
    assert details == "Expects arg[1] to be float but string is provided"


# The model that the first task asks for.


@pytest.mark.behaviour("2.4", "only the first task's model spec chooses the version")
@pytest.mark.behaviour("12", "empty model name, and MultiInference without tasks")
@pytest.mark.behaviour("12", "unknown model, version and label under the calls that take examples and GetModelMetadata")
@pytest.mark.parametrize(
    ("tasks", "code", "text"),
    [
        pytest.param([], INVALID_ARGUMENT, "ModelSpec has no name specified.", id="no tasks"),
        pytest.param(
            [inference_pb2.InferenceTask(method_name=REGRESS_METHOD)],
            INVALID_ARGUMENT,
            "ModelSpec has no name specified.",
            id="no model spec",
        ),
        pytest.param([task("", "regress_x_to_y")], INVALID_ARGUMENT, "ModelSpec has no name specified.", id="no name"),
        pytest.param(
            [task("", "s", label="canary")], INVALID_ARGUMENT, "ModelSpec has no name specified.", id="label, no name"
        ),
        pytest.param([task("nope")], NOT_FOUND, "Servable not found for request: Latest(nope)", id="model"),
        pytest.param(
            [task(HALF, version=9)], NOT_FOUND, f"Servable not found for request: Specific({HALF}, 9)", id="version"
        ),
        pytest.param(
            [task(HALF, label="canary")],
            INVALID_ARGUMENT,
            "Unrecognized servable version label: canary",
            id="label",
        ),
    ],
)
def test_a_first_task_that_finds_no_model_is_refused(served, tasks, code, text):
    assert refused(served, *tasks) == (code, text)


@pytest.mark.behaviour("12", "undecodable request bytes")
def test_bytes_that_are_no_request_are_internal_without_a_text(served):
    assert refused_bytes(served, "MultiInference", b"\xff") == (INTERNAL, "")


# 2.4: each task, in order.

GOOD = task(HALF, "regress_x_to_y")
BAD_TASKS = [
    pytest.param(
        inference_pb2.InferenceTask(method_name=REGRESS_METHOD),
        INVALID_ARGUMENT,
        "Found ModelSpec with an empty model name.",
        id="no model spec",
    ),
    pytest.param(
        # All that could be wrong is: each row of this list has one fault less than the row before.
        task("", "regress_x_to_y", PREDICT_METHOD),
        INVALID_ARGUMENT,
        "Found ModelSpec with an empty model name.",
        id="empty name",
    ),
    pytest.param(
        task("nope", "regress_x_to_y", PREDICT_METHOD),
        INVALID_ARGUMENT,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        id="another model that is not there",
    ),
    pytest.param(
        task("example_heads", "regression"),
        INVALID_ARGUMENT,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        id="another model that is there",
    ),
    pytest.param(
        task(HALF, "regress_x_to_y", PREDICT_METHOD),
        INVALID_ARGUMENT,
        "Duplicate evaluation of signature: regress_x_to_y",
        id="the signature again, for another method",
    ),
    pytest.param(
        task(HALF, "nope", PREDICT_METHOD),
        INVALID_ARGUMENT,
        "Requested signature not found in model graph: nope",
        id="unknown signature",
    ),
    pytest.param(
        task(HALF, "serving_default", PREDICT_METHOD),
        UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
        id="predict",
    ),
    pytest.param(
        task(HALF, "classify_x_to_y", ""), UNIMPLEMENTED, "Unsupported signature method_name: ", id="no method"
    ),
]


@pytest.mark.behaviour("2.4", "empty model name of a later task")
@pytest.mark.behaviour("2.4", "another model name than the first task's")
@pytest.mark.behaviour("2.4", "a signature twice, after defaulting")
@pytest.mark.behaviour("2.4", "a signature that is not there")
@pytest.mark.behaviour("2.4", "a method that is neither classify nor regress is UNIMPLEMENTED")
@pytest.mark.behaviour("2.4", "tasks are checked one after the other, in this order of checks, before anything runs")
@pytest.mark.behaviour("12", "unknown signature under Classify, Regress and MultiInference")
@pytest.mark.behaviour("12", "MultiInference with a method that is none")
@pytest.mark.behaviour("13.6", "89 to 92 and 98 to 101: undefined, inconsistent, duplicate, unsupported")
@pytest.mark.parametrize(("bad", "code", "text"), BAD_TASKS)
def test_a_bad_task_is_refused_and_the_examples_are_not_looked_at(served, bad, code, text):
    assert refused(served, GOOD, bad) == (code, text)
    assert refused(served, GOOD, bad, given=None) == (code, text)


@pytest.mark.behaviour("12", "empty Input")
@pytest.mark.behaviour("13.6", "88 and 97 MissingInputTest")
def test_good_tasks_without_examples_are_refused(served):
    assert refused(served, GOOD, given=None) == (INVALID_ARGUMENT, "Input is empty.")


@pytest.mark.behaviour("2.4", "tasks are checked one after the other, in this order of checks, before anything runs")
def test_tasks_are_checked_one_after_the_other(served):
    unsupported = task(HALF, "serving_default", PREDICT_METHOD)
    unnamed = task("", "regress_x_to_y")
    assert refused(served, GOOD, unsupported, unnamed) == (
        UNIMPLEMENTED,
        "Unsupported signature method_name: tensorflow/serving/predict",
    )


@pytest.mark.behaviour("2.4", "a signature twice, after defaulting")
@pytest.mark.parametrize(("first", "second"), [("", "serving_default"), ("serving_default", ""), ("", "")])
def test_the_default_signature_is_a_duplicate_by_either_name(served, first, second):
    tasks = [task("example_heads", first, CLASSIFY_METHOD), task("example_heads", second, CLASSIFY_METHOD)]
    assert refused(served, *tasks) == (INVALID_ARGUMENT, "Duplicate evaluation of signature: serving_default")


@pytest.mark.behaviour("2.4", "a signature that is not there")
def test_a_missing_default_signature_is_named(served):
    assert refused(served, task("odd_heads", "")) == (
        INVALID_ARGUMENT,
        "Requested signature not found in model graph: serving_default",
    )


# 2.2 for a task.


@pytest.mark.behaviour("2.4", "the structure of a task's signature")
@pytest.mark.parametrize(
    ("signature", "method", "text"),
    [
        ("classify_no_inputs", CLASSIFY_METHOD, "Expected one input Tensor."),
        ("classify_two_inputs", CLASSIFY_METHOD, "Expected one input Tensor."),
        ("classify_no_outputs", CLASSIFY_METHOD, "Expected one or two output Tensors, found 0"),
        ("classify_three_outputs", CLASSIFY_METHOD, "Expected one or two output Tensors, found 3"),
        ("classify_input_named_x", CLASSIFY_METHOD, "No classification inputs found in SignatureDef: "),
        (
            "classify_output_named_y",
            CLASSIFY_METHOD,
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: ",
        ),
        (
            "regress_ok",
            CLASSIFY_METHOD,
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            "Signature was: ",
        ),
        ("regress_no_inputs", REGRESS_METHOD, "Expected one input Tensor."),
        ("regress_two_inputs", REGRESS_METHOD, "Expected one input Tensor."),
        ("regress_no_outputs", REGRESS_METHOD, "Expected one output Tensor."),
        ("regress_two_outputs", REGRESS_METHOD, "Expected one output Tensor."),
        ("regress_input_named_x", REGRESS_METHOD, "No regression inputs found in SignatureDef: "),
        ("regress_output_named_y", REGRESS_METHOD, "No regression outputs found in SignatureDef: "),
        ("classify_ok", REGRESS_METHOD, "Expected one output Tensor."),
        ("classify_ok_scores_only", REGRESS_METHOD, "No regression outputs found in SignatureDef: "),
    ],
)
def test_a_task_on_a_signature_of_another_structure_is_refused(served, signature, method, text):
    code, details = refused(served, task("odd_heads", signature, method))
    assert code == INVALID_ARGUMENT
    assert details.startswith(text)


@pytest.mark.behaviour("2.4", "the structure of a task's signature")
@pytest.mark.parametrize(
    ("signature", "method", "text"),
    [
        (
            "classify_method_predict",
            CLASSIFY_METHOD,
            "Expected classification signature method_name to be tensorflow/serving/classify. "
            "Was: tensorflow/serving/predict",
        ),
        (
            "regress_ok",
            CLASSIFY_METHOD,
            "Expected classification signature method_name to be tensorflow/serving/classify. "
            "Was: tensorflow/serving/regress",
        ),
        (
            "regress_method_empty",
            REGRESS_METHOD,
            "Expected regression signature method_name to be tensorflow/serving/regress. Was: ",
        ),
    ],
)
def test_a_checking_server_refuses_a_task_on_another_method(checking, signature, method, text):
    assert refused(checking, task("odd_heads", signature, method)) == (INVALID_ARGUMENT, text)


@pytest.mark.behaviour("2.4", "the structure of a task's signature")
def test_a_checking_server_answers_tasks_that_fit(checking):
    tasks = [task(HALF, "regress_x_to_y"), task(HALF, "classify_x_to_y", CLASSIFY_METHOD)]
    assert len(infer(checking, *tasks, given=xs(2.0)).results) == 2
