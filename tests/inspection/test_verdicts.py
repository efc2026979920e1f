"""Which RPC can call a signature, and why not."""

import pytest

from servable import wire
from tests.inspection.making import CLASSIFY, PREDICT, look, meta_graph, node, signature, write

EXAMPLES = {"inputs": "string[?]"}
SCORES = {"scores": "float32[?,2]"}
VALUES = {"outputs": "float32[?]"}


def judge(tmp_path, definition, nodes=None):
    report = look(write(tmp_path / "1", meta_graph({"serving_default": definition}, nodes)))
    return report.signatures[0].rpcs


def reasons(rpcs):
    return {rpc: verdict.reason for rpc, verdict in rpcs.items()}


def test_an_ordinary_signature_is_for_predict_and_says_what_the_others_need(tmp_path):
    rpcs = judge(tmp_path, signature({"x": "float32[?]"}, {"y": "float32[?]"}))
    assert reasons(rpcs) == {
        "Predict": None,
        "Classify": 'needs "inputs" as its only input (has "x"); '
        'needs "classes" and/or "scores" as its only outputs (has "y")',
        "Regress": 'needs "inputs" as its only input (has "x"); needs "outputs" as its only output (has "y")',
        "MultiInference": "neither Classify nor Regress can call it",
    }


@pytest.mark.parametrize("method", [CLASSIFY, PREDICT, ""])
def test_the_keys_and_not_the_method_name_make_a_classifier(tmp_path, method):
    rpcs = judge(tmp_path, signature(EXAMPLES, SCORES, method))
    assert [rpc for rpc, verdict in rpcs.items() if verdict.callable] == ["Predict", "Classify", "MultiInference"]


def test_a_regressor_can_be_a_task_of_multi_inference(tmp_path):
    rpcs = judge(tmp_path, signature(EXAMPLES, VALUES))
    assert [rpc for rpc, verdict in rpcs.items() if verdict.callable] == ["Predict", "Regress", "MultiInference"]


def test_of_many_keys_the_first_are_named(tmp_path):
    rpcs = judge(tmp_path, signature(EXAMPLES, {f"y{number}": "float32[?]" for number in range(9)}))
    assert '(has "y0", "y1", "y2", "y3", ...)' in rpcs["Regress"].reason


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ({"inputs": "float32[?]"}, SCORES, '"inputs" takes float32, and is fed serialized tf.Examples'),
        (EXAMPLES, {"scores": "float64[?,2]"}, '"scores" is float64 and must be float32'),
        (EXAMPLES, {"classes": "int64[?,2]"}, '"classes" is int64 and must be string'),
        (EXAMPLES, {"scores": "float32[?]"}, '"scores" has the shape [?] and must be [batch, classes]'),
        (EXAMPLES, {"classes": "string[]"}, '"classes" has the shape [] and must be [batch, classes]'),
        (EXAMPLES, {"classes": "string[?,2]", "scores": "float32[?,3]"}, "must have the same number of columns"),
    ],
)
def test_what_classify_finds_out_after_a_run_is_reported_before(tmp_path, inputs, outputs, reason):
    verdict = judge(tmp_path, signature(inputs, outputs))["Classify"]
    assert not verdict.callable
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("inputs", "outputs", "reason"),
    [
        ({"inputs": "int64[?]"}, VALUES, '"inputs" takes int64, and is fed serialized tf.Examples'),
        (EXAMPLES, {"outputs": "float64[?]"}, '"outputs" is float64 and must be float32'),
        (EXAMPLES, {"outputs": "float32[]"}, '"outputs" has the shape [] and must be [batch] or [batch, 1]'),
        (EXAMPLES, {"outputs": "float32[?,2]"}, '"outputs" has the shape [?, 2] and must be [batch] or [batch, 1]'),
        (EXAMPLES, {"outputs": "float32[?,1,1]"}, '"outputs" has the shape [?, 1, 1]'),
    ],
)
def test_what_regress_finds_out_after_a_run_is_reported_before(tmp_path, inputs, outputs, reason):
    verdict = judge(tmp_path, signature(inputs, outputs))["Regress"]
    assert not verdict.callable
    assert reason in verdict.reason


@pytest.mark.parametrize(
    "outputs", [{"scores": "float32[...]"}, {"scores": "float32_ref[?,?]"}, {"scores": "float32[0,0]"}]
)
def test_open_shapes_do_not_rule_out_a_classifier(tmp_path, outputs):
    assert judge(tmp_path, signature({"inputs": "string[...]"}, outputs))["Classify"].callable


@pytest.mark.parametrize("shape", ["[...]", "[?]", "[?,1]", "[?,?]"])
def test_open_shapes_do_not_rule_out_a_regressor(tmp_path, shape):
    assert judge(tmp_path, signature(EXAMPLES, {"outputs": f"float32{shape}"}))["Regress"].callable


def test_what_a_hand_made_signature_does_not_declare_does_not_rule_it_out(tmp_path):
    classifier = wire.SignatureDef(
        inputs={"inputs": wire.TensorInfo(name="x:0")}, outputs={"scores": wire.TensorInfo(name="y:0")}
    )
    assert judge(tmp_path, classifier)["Classify"].callable


def test_an_output_that_classify_does_not_fetch_may_be_anything(tmp_path):
    assert judge(tmp_path, signature(EXAMPLES, SCORES | {"extra": "int64[]"}))["Classify"].callable


def test_a_tensor_that_is_not_in_the_graph_is_named(tmp_path):
    rpcs = judge(tmp_path, signature(EXAMPLES, VALUES), [node("outputs")])
    reason = '"inputs" stands for the tensor inputs:0, which is not in the graph'
    assert reasons(rpcs)["Predict"] == reasons(rpcs)["Regress"] == reason


def test_a_tensor_cannot_be_fed_twice(tmp_path):
    twice = signature({"a": "float32[?]", "b": "float32[?]"}, {"y": "float32[?]"})
    twice.inputs["b"].name = "a"
    assert judge(tmp_path, twice)["Predict"].reason == "two inputs stand for the tensor a:0, which cannot be fed twice"


@pytest.mark.parametrize("name", ["x:0", "x"])
def test_a_tensor_cannot_be_fed_and_fetched_at_once(tmp_path, name):
    through = signature({"x": "float32[?]"}, {"same": "float32[?]", "y": "float32[?]"})
    through.outputs["same"].name = name
    reason = "the tensor x:0 is an input and an output, and cannot be fed and fetched"
    assert judge(tmp_path, through)["Predict"].reason == reason


def test_a_placeholder_that_is_no_input_is_named(tmp_path):
    nodes = [node("x", "Placeholder"), node("keep_prob", "Placeholder"), node("y", "Mul", "x", "keep_prob")]
    rpcs = judge(tmp_path, signature({"x": "float32[?]"}, {"y": "float32[?]"}), nodes)
    assert rpcs["Predict"].reason == 'the placeholder "keep_prob" must be fed and is no input'


def test_without_outputs_there_is_nothing_to_run(tmp_path):
    assert judge(tmp_path, signature({"x": "float32[?]"}, {}))["Predict"].reason == "there is no output"


def test_without_inputs_predict_runs(tmp_path):
    assert judge(tmp_path, signature({}, {"y": "float32[]"}))["Predict"].callable


def test_a_resource_cannot_be_sent(tmp_path):
    rpcs = judge(tmp_path, signature({"table": "resource[]"}, {"y": "float32[]"}))
    assert rpcs["Predict"].reason == '"table" is a resource, which cannot be sent'


def test_sparse_inputs_cannot_be_fed(tmp_path):
    sparse = wire.TensorInfo(coo_sparse=wire.TensorInfo.CooSparse(values_tensor_name="y:0"), dtype=wire.DT_INT64)
    definition = signature({}, {"y": "float32[]"})
    definition.inputs["ids"].CopyFrom(sparse)
    definition.inputs["other"].CopyFrom(sparse)
    assert judge(tmp_path, definition, [node("y")])["Predict"].reason == (
        '"ids" names no single tensor, as sparse and composite ones do not; '
        '"other" names no single tensor, as sparse and composite ones do not'
    )
