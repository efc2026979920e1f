"""What is warned of in a model as a whole, which meta graph is looked at, and what is warned of in a signature."""

import re

import pytest

from servable import wire
from servable.errors import DataLoss, InvalidArgument, NotFound
from tests.inspection.making import CLASSIFY, PREDICT, REGRESS, codes, find, look, meta_graph, node, signature, write

HEAD = signature({"x": "float32[?]"}, {"y": "float32[?]"})
DEFAULT = {"serving_default": HEAD}
LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345678\n"
)


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
def test_without_serving_default_the_keys_to_name_are_shown(tmp_path, keys, remedy):
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


def test_a_meta_graph_without_tags_is_chosen_by_a_comma(tmp_path):
    report = look(write(tmp_path / "1", meta_graph(DEFAULT, tags=())))
    assert find(report, "no_serve_tag")[0].remedy == "Start it with --saved_model_tags=,."


def test_a_meta_graph_without_tags_among_others_is_looked_at_as_the_warning_says(tmp_path):
    write(tmp_path / "1", SERVE, meta_graph({"bare": HEAD}, tags=()))
    (warning,) = find(look(tmp_path / "1"), "several_meta_graphs")
    flag = re.search(r"--saved_model_tags=(,+)\.", warning.remedy)[1]
    report = look(tmp_path / "1", tags=flag.split(","))
    assert ([each.key for each in report.signatures], report.tags) == (["bare"], ())


def test_a_meta_graph_whose_tags_no_flag_can_hold_must_be_exported_again(tmp_path):
    odd = meta_graph(DEFAULT, tags=("a,b",))
    (warning,) = find(look(write(tmp_path / "1", odd)), "no_serve_tag")
    assert warning.remedy == 'Export it again with the tag "serve".'
    (warning,) = find(look(write(tmp_path / "2", SERVE, odd)), "several_meta_graphs")
    assert "export it again" in warning.remedy


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
def test_where_nothing_is_restored_no_file_is_missed(tmp_path, made):
    assert not find(look(write(tmp_path / "1", made)), "missing_variables")


def test_a_table_that_is_restored_needs_the_files_of_variables_too(tmp_path):
    nodes = [
        node("x", "Placeholder"), node("y", "LookupTableFindV2", "table", "x"), node("table", "MutableHashTableV2"),
        node("values", "RestoreV2"), node("restore", "LookupTableImportV2", "table", "values"),
    ]  # fmt: skip
    made = meta_graph(DEFAULT, nodes)
    made.saver_def.restore_op_name = "restore"
    assert codes(look(write(tmp_path / "1", made))) == ["missing_variables"]


def test_variables_without_a_saver_are_warned_of(tmp_path):
    assert codes(look(write(tmp_path / "1", with_variables(restore_op="")))) == ["no_saver"]


def test_variables_that_the_init_op_sets_need_no_saver(tmp_path):
    made = with_variables(restore_op="")
    made.graph_def.node.extend([node("assign", "AssignVariableOp", "v", "one"), node("init", "NoOp", "^assign")])
    made.collection_def["saved_model_main_op"].node_list.value.append("init")
    assert codes(look(write(tmp_path / "1", made))) == []


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        (["00000-of-00002"], "variables.data-00001-of-00002 is not in"),
        (["00001-of-00003"], "variables.data-00000-of-00003, variables.data-00002-of-00003 are not in"),
    ],
)
def test_values_of_variables_that_are_not_all_there_are_warned_of(tmp_path, there, missing):
    write(tmp_path / "1", with_variables())
    add_variables(tmp_path / "1", ["variables.index", *(f"variables.data-{shard}" for shard in there)])
    report = look(tmp_path / "1")
    assert codes(report) == ["missing_variables_shard"]
    assert missing in report.warnings[0].text


def test_shards_of_several_exports_are_left_to_the_load(tmp_path):
    write(tmp_path / "1", with_variables())
    shards = ["variables.data-00000-of-00001", "variables.data-00000-of-00002"]
    add_variables(tmp_path / "1", ["variables.index", *shards])
    assert codes(look(tmp_path / "1")) == []


def test_a_pointer_of_git_lfs_is_called_so(tmp_path):
    made = with_variables()
    made.asset_file_def.add(filename="words.txt").tensor_info.name = "words:0"
    write(tmp_path / "1", made)
    add_variables(tmp_path / "1", ["variables.index", "variables.data-00000-of-00001"])
    (tmp_path / "1" / "assets").mkdir()
    for name in ("variables/variables.data-00000-of-00001", "assets/words.txt"):
        (tmp_path / "1" / name).write_bytes(LFS_POINTER)
    report = look(tmp_path / "1")
    assert codes(report) == ["git_lfs_pointer"]
    assert report.warnings[0].text == (
        "variables.data-00000-of-00001, words.txt are pointers of Git LFS, not the data."
    )


def test_two_inputs_of_one_tensor_are_warned_of(tmp_path):
    definition = signature({"x": "float32[?]", "z": "float32[?]"}, Y)
    definition.inputs["z"].name = "x"
    report = look_at(tmp_path, definition)
    assert codes(report) == ["predict_unusable"]
    assert "two inputs stand for the tensor x:0, which cannot be fed twice" in report.warnings[0].text


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


# A signature.

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
def test_a_name_that_an_exporter_made_up_is_warned_of(tmp_path, name):
    report = look_at(tmp_path, signature({name: "float32[?]"}, Y))
    assert codes(report) == ["generic_names"]
    assert f'"{name}"' in find(report, "generic_names")[0].text


@pytest.mark.parametrize("name", ["x", "image", "inputs", "input", "dense_vector", "x_1", "user_dense", "output_image"])
def test_a_name_that_somebody_chose_is_not_warned_of(tmp_path, name):
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
def test_a_first_axis_of_fixed_size_is_warned_of(tmp_path, inputs, outputs, text):
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
def test_without_a_batch_among_the_inputs_none_is_warned_of(tmp_path, inputs, outputs):
    assert codes(look_at(tmp_path, signature(inputs, outputs))) == []


def test_an_input_without_a_shape_is_warned_of(tmp_path):
    report = look_at(tmp_path, signature({"x": "float32[...]", "y": "float32[?]"}, {"z": "float32[...]"}))
    assert codes(report) == ["unknown_shape"]
    assert '"x"' in find(report, "unknown_shape")[0].text
    assert '"z"' not in find(report, "unknown_shape")[0].text


@pytest.mark.parametrize("outputs", [{"scores": "float32[?,2]"}, {"outputs": "float32[?]"}])
def test_examples_need_no_shape(tmp_path, outputs):
    assert codes(look_at(tmp_path, signature({"inputs": "string[...]"}, outputs))) == []


def test_a_placeholder_that_is_not_fed_is_warned_of(tmp_path):
    nodes = [node("x", "Placeholder"), node("training", "Placeholder"), node("y", "Select", "training", "x")]
    (warning,) = find(look_at(tmp_path, signature(X, Y), nodes=nodes), "predict_unusable")
    assert '"training"' in warning.text
