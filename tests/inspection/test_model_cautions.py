"""What is warned of in a model as a whole, and which meta graph is looked at."""

import pytest

from servable import wire
from servable.errors import DataLoss, InvalidArgument, NotFound
from tests.inspection.making import PREDICT, codes, find, look, meta_graph, node, signature, write

HEAD = signature({"x": "float32[?]"}, {"y": "float32[?]"})
DEFAULT = {"serving_default": HEAD}


def test_without_signatures_the_way_to_some_is_shown(tmp_path):
    report = look(write(tmp_path / "1", meta_graph({})))
    assert codes(report) == ["no_signatures"]
    assert "model.export(DIR)" in report.warnings[0].remedy
    assert report.signatures == []


def test_the_init_op_is_no_signature(tmp_path):
    init = wire.SignatureDef(outputs={"__saved_model_init_op": wire.TensorInfo(name="NoOp")})
    report = look(write(tmp_path / "1", meta_graph({"__saved_model_init_op": init})))
    assert codes(report) == ["no_signatures"]
    assert report.init_op == "NoOp"


@pytest.mark.parametrize(
    ("keys", "remedy"),
    [
        (["score"], "Put score into model_spec.signature_name."),
        (["b", "a"], "Put one of these into model_spec.signature_name: a, b."),
    ],
)
def test_without_serving_default_the_keys_to_name_are_told(tmp_path, keys, remedy):
    report = look(write(tmp_path / "1", meta_graph(dict.fromkeys(keys, HEAD))))
    assert [warning.remedy for warning in find(report, "no_serving_default")] == [remedy]


def test_serving_default_comes_first(tmp_path):
    report = look(write(tmp_path / "1", meta_graph(dict.fromkeys(["b", "serving_default", "a"], HEAD))))
    assert [each.key for each in report.signatures] == ["serving_default", "a", "b"]


SERVE = meta_graph(DEFAULT)
GPU = meta_graph({"serving_default": HEAD, "fast": HEAD}, tags=("serve", "gpu"))
TRAIN = meta_graph(DEFAULT, tags=("train",))


def test_of_several_meta_graphs_the_one_that_servers_take_is_shown(tmp_path):
    report = look(write(tmp_path / "1", GPU, SERVE))
    assert (report.tags, report.tag_sets) == (("serve",), [("serve", "gpu"), ("serve",)])
    assert codes(report) == ["several_meta_graphs"]
    assert "--saved_model_tags=serve,gpu" in report.warnings[0].remedy


def test_another_meta_graph_is_shown_by_its_tags_in_any_order(tmp_path):
    report = look(write(tmp_path / "1", GPU, SERVE), tags=["gpu", "serve"])
    assert report.tags == ("serve", "gpu")
    assert len(report.signatures) == 2


def test_a_model_that_servers_do_not_take_as_they_are_is_warned_of(tmp_path):
    report = look(write(tmp_path / "1", TRAIN))
    assert codes(report) == ["no_serve_tag"]
    assert report.warnings[0].remedy == "Start it with --saved_model_tags=train."


def test_a_meta_graph_without_tags_must_be_exported_again(tmp_path):
    report = look(write(tmp_path / "1", meta_graph(DEFAULT, tags=())))
    assert "Export it again" in find(report, "no_serve_tag")[0].remedy


def test_tags_that_are_not_there_are_answered_with_those_that_are(tmp_path):
    with pytest.raises(NotFound, match=r"supplied tags: \{ tpu \}") as raised:
        look(write(tmp_path / "1", GPU, TRAIN), tags=["tpu"])
    assert raised.value.hints == {"tag_sets": "{ serve gpu }; { train }"}


def with_variables(restore_op="restore"):
    made = meta_graph(DEFAULT, [node("x", "Placeholder"), node("v", "VarHandleOp"), node("y", "AssignAdd", "v", "x")])
    made.saver_def.restore_op_name = restore_op
    return made


@pytest.mark.parametrize("files", [[], ["variables.index"], ["variables.data-00000-of-00001"]])
def test_variables_without_their_values_are_warned_of(tmp_path, files):
    write(tmp_path / "1", with_variables())
    add_variables(tmp_path / "1", files)
    assert codes(look(tmp_path / "1")) == ["missing_variables"]


def test_variables_with_their_values_are_measured(tmp_path):
    write(tmp_path / "1", with_variables())
    add_variables(tmp_path / "1", ["variables.index", "variables.data-00000-of-00002", "variables.data-00001-of-00002"])
    report = look(tmp_path / "1")
    assert codes(report) == []
    assert (report.has_variables, report.variables_bytes) == (True, 3)


@pytest.mark.parametrize("made", [SERVE, with_variables(restore_op="")])
def test_where_nothing_is_restored_nothing_is_missed(tmp_path, made):
    assert codes(look(write(tmp_path / "1", made))) == []


def add_variables(directory, files):
    (directory / "variables").mkdir()
    for name in files:
        (directory / "variables" / name).write_bytes(b"!")


def test_an_asset_that_is_not_there_is_warned_of(tmp_path):
    made = meta_graph(DEFAULT)
    for name in ("words/here.txt", "words/gone.txt"):
        made.asset_file_def.add(filename=name).tensor_info.name = f"{name}:0"
    write(tmp_path / "1", made)
    (tmp_path / "1" / "assets" / "words").mkdir(parents=True)
    (tmp_path / "1" / "assets" / "words" / "here.txt").touch()
    report = look(tmp_path / "1")
    assert report.assets == ("words/gone.txt", "words/here.txt")
    assert [warning.text.split(" is not ")[0] for warning in find(report, "missing_asset")] == [
        "Its asset words/gone.txt"
    ]


def test_a_damaged_list_of_assets_is_an_error_that_names_it(tmp_path):
    made = meta_graph(DEFAULT)
    made.collection_def["saved_model_assets"].any_list.value.add(value=b"\xff")
    with pytest.raises(DataLoss, match="saved_model_assets is damaged"):
        look(write(tmp_path / "1", made))


def test_a_default_that_is_no_tensor_is_an_error_as_for_the_server(tmp_path):
    head = signature({"x": "float32[?]"}, {"y": "float32[?]"}, PREDICT)
    head.defaults["x"].dtype = wire.DT_RESOURCE
    with pytest.raises(InvalidArgument, match='The default of input "x" of signature "serving_default" is no tensor'):
        look(write(tmp_path / "1", meta_graph({"serving_default": head})))


def test_a_text_model_without_meta_graphs_is_an_error(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pbtxt").write_text("saved_model_schema_version: 1")
    with pytest.raises(NotFound, match="Could not find meta graph"):
        look(tmp_path / "1")
