"""The contents of a meta graph: its tags, signatures, init op and assets (TensorFlow: loader_util.cc)."""

from pathlib import Path

import pytest

from servable import saved_model, wire
from servable.errors import DataLoss, FailedPrecondition, NotFound

DIRECTORY = Path("/models/m/1")
INIT = "__saved_model_init_op"


def stored(*tag_sets):
    message = wire.SavedModel()
    for tags in tag_sets:
        message.meta_graphs.add().meta_info_def.tags.extend(tags)
    return message


@pytest.mark.behaviour("7.1", "the meta graph is chosen by its exact set of tags")
@pytest.mark.parametrize(
    ("tags", "index"),
    [(["serve"], 0), (["serve", "gpu"], 1), (["gpu", "serve"], 1), (["serve", "serve"], 0), ([], 2)],
)
def test_a_meta_graph_is_chosen_by_its_set_of_tags(tags, index):
    message = stored(["serve"], ["gpu", "serve"], [])
    assert saved_model.select_meta_graph(message, tags) is message.meta_graphs[index]


def test_the_first_of_two_equal_sets_is_chosen():
    message = stored(["serve"], ["serve"])
    assert saved_model.select_meta_graph(message, ["serve"]) is message.meta_graphs[0]


@pytest.mark.behaviour("6.5", "no meta graph of the tags; ours: the tag sets that are there")
@pytest.mark.parametrize(("tags", "shown"), [(["bad"], "{ bad }"), (["b", "a"], "{ a b }"), (["gpu"], "{ gpu }")])
def test_tags_that_no_meta_graph_has_are_not_found(tags, shown):
    with pytest.raises(NotFound) as caught:
        saved_model.select_meta_graph(stored(["serve"], ["serve", "gpu"]), tags)
    assert caught.value.message == (
        f"Could not find meta graph def matching supplied tags: {shown}. To inspect available tag-sets in the "
        "SavedModel, please use the SavedModel CLI: `saved_model_cli`"
    )
    assert caught.value.hints == {"tag_sets": "{ serve }; { serve gpu }"}


def test_signatures_are_all_that_are_stored():
    meta_graph = wire.MetaGraphDef()
    meta_graph.signature_def["serving_default"].method_name = "tensorflow/serving/predict"
    meta_graph.signature_def[""].method_name = ""
    assert sorted(saved_model.signatures(meta_graph)) == ["", "serving_default"]


def collection(meta_graph, key, *names):
    meta_graph.collection_def[key].node_list.value.extend(names)
    return meta_graph


def test_a_model_without_an_init_op_has_none():
    assert saved_model.init_op_name(wire.MetaGraphDef()) is None


@pytest.mark.behaviour("7.1", "the init op is the signature's, else the main op's, else the legacy one's")
def test_the_init_op_of_tensorflow_2_is_a_signature():
    meta_graph = wire.MetaGraphDef()
    meta_graph.signature_def[INIT].outputs[INIT].name = "NoOp"
    # It takes precedence over the collections of TensorFlow 1.
    assert saved_model.init_op_name(collection(meta_graph, "saved_model_main_op", "main")) == "NoOp"


@pytest.mark.behaviour("7.1", "the init op is the signature's, else the main op's, else the legacy one's")
@pytest.mark.parametrize("key", ["saved_model_main_op", "legacy_init_op"])
def test_the_init_op_of_tensorflow_1_is_a_collection(key):
    assert saved_model.init_op_name(collection(wire.MetaGraphDef(), key, "group_deps")) == "group_deps"


@pytest.mark.behaviour("7.1", "the init op is the signature's, else the main op's, else the legacy one's")
def test_the_main_op_goes_before_the_legacy_one():
    meta_graph = collection(wire.MetaGraphDef(), "legacy_init_op", "legacy")
    assert saved_model.init_op_name(collection(meta_graph, "saved_model_main_op", "main")) == "main"


@pytest.mark.behaviour("7.1", "the init op is the signature's, else the main op's, else the legacy one's")
@pytest.mark.parametrize("key", ["saved_model_main_op", "legacy_init_op"])
@pytest.mark.parametrize("names", [(), ("one", "two")])
def test_there_is_one_init_op_or_none(key, names):
    with pytest.raises(FailedPrecondition, match=f"Expected exactly one main op in : {key}; found {len(names)}."):
        saved_model.init_op_name(collection(wire.MetaGraphDef(), key, *names))


def asset(tensor_name, filename):
    return wire.AssetFileDef(tensor_info=wire.TensorInfo(name=tensor_name), filename=filename)


def packed(*messages):
    """A list of assets as TensorFlow 1 wrote it: a collection of Any messages."""
    meta_graph = wire.MetaGraphDef()
    for message in messages:
        meta_graph.collection_def["saved_model_assets"].any_list.value.add().Pack(message)
    return meta_graph


def test_a_model_without_assets_feeds_none():
    assert saved_model.asset_feeds(wire.MetaGraphDef(), DIRECTORY) == {}


@pytest.mark.behaviour("7.1", "the paths of asset files are fed to restore and init op")
@pytest.mark.parametrize("write", [lambda *assets: wire.MetaGraphDef(asset_file_def=assets), packed])
def test_the_paths_of_assets_are_those_below_the_directory(write):
    meta_graph = write(asset("Const:0", "foo.txt"), asset("Const_1:0", "vocab/words.txt"))
    assert saved_model.asset_feeds(meta_graph, DIRECTORY) == {
        "Const:0": "/models/m/1/assets/foo.txt",
        "Const_1:0": "/models/m/1/assets/vocab/words.txt",
    }


def test_assets_of_tensorflow_2_go_before_the_collection():
    meta_graph = packed(asset("old:0", "old.txt"))
    meta_graph.asset_file_def.add().CopyFrom(asset("new:0", "new.txt"))
    assert saved_model.asset_feeds(meta_graph, DIRECTORY) == {"new:0": "/models/m/1/assets/new.txt"}


def test_a_damaged_list_of_assets_is_data_loss():
    meta_graph = wire.MetaGraphDef()
    meta_graph.collection_def["saved_model_assets"].any_list.value.add(value=b"\xff")
    with pytest.raises(DataLoss, match="saved_model_assets is damaged"):
        saved_model.asset_feeds(meta_graph, DIRECTORY)
