"""Reports on whole models as TensorFlow writes them, and on broken ones."""

import json

import pytest

from servable import cli, inspection, saved_model, signatures
from servable.errors import InvalidArgument
from servable.inference.classify import require_classifier
from servable.inference.regress import require_regressor
from tests.inspection.making import codes, find, look
from tests.models import broken_models
from tests.models.exporting import tf
from tests.models.notation import read_saved_model
from tests.models.store import load_builders

BUILDERS = load_builders()
BROKEN = sorted(name for name, builder in BUILDERS.items() if builder.__module__ == broken_models.__name__)
WHOLE = sorted(BUILDERS.keys() - set(BROKEN))
# Broken where a look at the graph sees nothing, or sees it and warns.
READABLE = {
    "missing_variables": "missing_variables",
    "unregistered_op": "missing_op",
    "other_tags": "no_serve_tag",
    "python_function": "python_op",
    "truncated_variables": None,
    "corrupt_variables": None,
}
EXPECTED_WARNINGS = {
    "half_plus_two": {"classify_unusable", "regress_unusable"},
    "half_plus_two_text": {"classify_unusable", "regress_unusable"},
    "single_function": set(),
    "strings": set(),
    "two_signatures": {"no_serving_default", "generic_names"},
    "no_signatures": {"no_signatures"},
    "keras_no_signatures": {"no_signatures"},
    "no_signature_at_all": {"no_signatures"},
    "image_and_text": {"no_serving_default", "classify_unusable"},
    "keras_lstm": {"generic_names"},
    "mobilenet_v2": {"generic_names"},
    "keras_two_inputs": set(),
    "keras_subclassed": {"generic_names", "fixed_batch"},
    "no_batch_output": {"fixed_batch"},
    "dnn_classifier": set(),
    "default_values": {"fixed_batch"},
    "two_meta_graphs": {"several_meta_graphs"},
    "matmul": {"unknown_shape"},
    "odd_wiring": {"predict_unusable"},
    "vocabulary": set(),
}


def can(require, signature):
    try:
        require(signature, check_method_name=False)
    except InvalidArgument:
        return False
    return True


@pytest.mark.parametrize("name", WHOLE)
def test_no_op_of_a_whole_model_is_confirmed_and_each_report_can_be_written(models, name):
    report = look(models.base_path(name))
    assert not find(report, "missing_op")
    assert report.version == 1
    assert inspection.to_text(report).startswith("SavedModel, version 1: ")
    assert inspection.to_json(report)


@pytest.mark.parametrize(("name", "expected"), EXPECTED_WARNINGS.items())
def test_the_warnings_of_a_model_are_these(models, name, expected):
    assert set(codes(look(models.base_path(name)))) == expected


@pytest.mark.parametrize("name", WHOLE)
def test_what_the_server_refuses_for_its_structure_is_refused_and_the_rest_only_for_a_reason(models, name):
    directory = models.version_path(name)
    stored = saved_model.select_meta_graph(saved_model.read(directory), ["serve"]).signature_def
    for described in look(directory).signatures:
        signature = signatures.prepare(described.key, stored[described.key])
        for rpc, require in (("Classify", require_classifier), ("Regress", require_regressor)):
            verdict = described.rpcs[rpc]
            assert verdict.callable == (verdict.reason is None)
            if not can(require, signature):
                assert not verdict.callable, (rpc, described.key)
            elif not verdict.callable:
                # The structure would do; a dtype, a shape or a tensor does not.
                assert "needs" not in verdict.reason


@pytest.mark.parametrize("name", WHOLE)
def test_the_tensors_are_those_that_tensorflow_sees(models, name):
    directory = models.version_path(name)
    (stored, *_) = (graph for graph in read_saved_model(directory).meta_graphs if graph.meta_info_def.tags == ["serve"])
    for described in look(directory).signatures:
        for side in ("inputs", "outputs"):
            infos = getattr(stored.signature_def[described.key], side)
            assert [tensor.name for tensor in getattr(described, side)] == sorted(infos)
            for tensor in getattr(described, side):
                shape = tf.TensorShape(infos[tensor.name].tensor_shape)
                assert tensor.dtype == tf.as_dtype(infos[tensor.name].dtype).name
                assert tensor.shape == (None if shape.rank is None else tuple(shape.as_list()))


def test_facts_of_a_model_are_reported(models):
    report = look(models.base_path("half_plus_two"))
    directory = models.version_path("half_plus_two")
    assert report.versions == (1,)
    assert report.tensorflow_version == tf.__version__
    assert report.graph_bytes == (directory / "saved_model.pb").stat().st_size
    assert report.variables_bytes == sum(path.stat().st_size for path in (directory / "variables").iterdir())
    assert report.has_variables
    assert report.assets == ("foo.txt",)
    assert report.init_op == "group_deps"


def test_inputs_that_may_be_left_out_are_marked(models):
    default = look(models.base_path("default_values")).signatures[0]
    assert {tensor.name: tensor.has_default for tensor in default.inputs} == {"offset": True, "scale": True, "x": False}


@pytest.mark.parametrize("name", sorted(set(BROKEN) - set(READABLE)))
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_model_that_cannot_be_read_is_one_line_on_stderr_and_the_status_1(models, capfd, name, flags):
    assert cli.main(["inspect", str(models.base_path(name)), *flags]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(("name", "code"), READABLE.items())
def test_what_can_be_read_is_shown_with_a_warning_where_a_look_can_see_the_fault(models, name, code):
    report = look(models.base_path(name), set)
    assert report.signatures
    assert code is None or code in codes(report)


def test_an_op_that_tensorflow_lacks_is_confirmed_by_tensorflow(models, capsys):
    assert cli.main(["inspect", "--json", str(models.base_path("unregistered_op"))]) == 0
    (warning,) = [each for each in json.loads(capsys.readouterr().out)["warnings"] if each["code"] == "missing_op"]
    assert 'has no op "HalveTheInput" (in Mul)' in warning["text"]


def test_the_directory_that_is_not_there_is_one_line_on_stderr(tmp_path, capfd):
    assert cli.main(["inspect", str(tmp_path / "nowhere")]) == 1
    assert capfd.readouterr() == ("", f"NOT_FOUND: {tmp_path / 'nowhere'} does not exist.\n")


def test_wrong_tags_are_one_line_with_those_that_are_there(models, capfd):
    assert cli.main(["inspect", "--saved_model_tags=serve,tpu", str(models.base_path("two_meta_graphs"))]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.endswith("(tag_sets: { serve }; { serve triple })\n")


def test_tags_choose_the_meta_graph(models, capsys):
    assert cli.main(["inspect", "--saved_model_tags=serve,triple", str(models.base_path("two_meta_graphs"))]) == 0
    assert "  output  tripled  float32  [?]\n" in capsys.readouterr().out
