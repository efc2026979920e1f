"""A version directory to a loaded model: what loads, and the errors of those that cannot, with path and advice."""

import contextlib
import gc
import re
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from servable import options, process
from servable.errors import (
    DataLoss,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    ServingError,
    Unimplemented,
)
from servable.execution import memory, session_config
from servable.execution.graph_import import best_import
from servable.execution.graph_session import GraphSession
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from tests.execution.running import floats, run
from tests.models.exporting import edited, placeholder, save_tf1, save_tf2, signature, tf1_session

NO_SAVED_MODEL = (
    "Specified file path does not appear to contain a SavedModel bundle (should have a file called `saved_model.pb`)\n"
    "Specified file path: {}"
)
CANNOT_RESTORE = "\nThe variables of {} cannot be restored: a file is missing, cut or damaged. Copy it again."


STATM = Path("/proc/self/statm")
# malloc returns an allocation of this size to the system at once.
BALLAST_BYTES = 64 << 20


def resident_bytes():
    gc.collect()
    return int(STATM.read_text().split()[1]) * resource.getpagesize()


@pytest.fixture(params=[PrivateRuns, PublicRuns], ids=["private", "public"])
def load(request):
    return SavedModelLoader(runs=request.param())


def copied(models, name, folder):
    """A version directory that a test may damage."""
    return shutil.copytree(models.version_path(name), folder / "1")


def refusal(loader, directory, kind):
    with pytest.raises(kind) as caught:
        loader(directory)
    assert type(caught.value) is kind
    return caught.value.message


@pytest.mark.behaviour("7.1", "saved_model.pb or saved_model.pbtxt")
@pytest.mark.parametrize("name", ["half_plus_two", "half_plus_two_text", "half_plus_two_tf2"])
def test_a_whole_model_loads_and_runs(load, models, name):
    model = load(models.version_path(name))
    assert run(model, "serving_default", {"x": floats(2.0, 4.0)}) == {"y": [[3.0], [4.0]]}
    model.close()


@pytest.mark.behaviour("7.1", "the paths of asset files are fed to restore and init op")
def test_the_paths_of_assets_are_fed_to_the_init_op(load, models):
    # The init op fills the table from the asset, wherever the directory lies now.
    model = load(models.version_path("vocabulary"))
    words = next(iter(model.signatures["serving_default"].inputs))
    known = run(model, "serving_default", {words: np.array([b"cat"], object)})
    unknown = run(model, "serving_default", {words: np.array([b"no such word"], object)})
    assert known != unknown
    model.close()


@pytest.mark.behaviour("6.5", "no saved_model.pb")
@pytest.mark.parametrize("name", ["empty_directory", "missing_saved_model"])
def test_a_directory_without_a_model_is_reported_in_the_words_of_the_original(load, models, name):
    directory = models.version_path(name)
    assert refusal(load, directory, NotFound) == NO_SAVED_MODEL.format(directory)


def test_a_directory_that_is_not_there_is_reported_the_same(load, tmp_path):
    assert refusal(load, tmp_path / "1", NotFound) == NO_SAVED_MODEL.format(tmp_path / "1")


@pytest.mark.behaviour("6.5", "a file instead of a directory")
def test_a_file_instead_of_a_directory_is_reported(load, tmp_path):
    (tmp_path / "1").write_text("no directory")
    assert refusal(load, tmp_path / "1", FailedPrecondition) == f"{tmp_path / '1'}; Not a directory"


@pytest.mark.behaviour("6.5", "a saved_model.pb that is cut, garbage or empty")
@pytest.mark.parametrize("name", ["truncated_saved_model", "garbage_saved_model"])
def test_a_saved_model_that_does_not_parse_is_reported(load, models, name):
    path = models.version_path(name) / "saved_model.pb"
    assert refusal(load, path.parent, DataLoss) == (
        f"Can't parse {path} as binary proto ({path.stat().st_size} bytes): the file is truncated or no SavedModel. "
        "Copy the version directory again."
    )


@pytest.mark.behaviour("6.5", "a saved_model.pb that is cut, garbage or empty")
def test_an_empty_saved_model_is_reported(load, tmp_path):
    (tmp_path / "saved_model.pb").touch()
    assert refusal(load, tmp_path, DataLoss) == (
        f"{tmp_path}/saved_model.pb holds no meta graph: the file is empty or no SavedModel. Copy it again."
    )


def test_a_saved_model_that_is_a_directory_is_reported(load, tmp_path):
    (tmp_path / "saved_model.pb").mkdir()
    assert refusal(load, tmp_path, FailedPrecondition).startswith(f"{tmp_path}/saved_model.pb; Is a directory")


@pytest.mark.behaviour("7.1", "saved_model.pb or saved_model.pbtxt")
def test_a_text_that_does_not_parse_is_reported(load, tmp_path):
    (tmp_path / "saved_model.pbtxt").write_text("meta_graphs { no_such_field: 1 }")
    message = refusal(load, tmp_path, InvalidArgument)
    assert message.startswith(f"Can't parse {tmp_path}/saved_model.pbtxt as text proto: ")
    assert "no_such_field" in message


@pytest.mark.behaviour("6.5", "a directory with export.meta")
def test_a_session_bundle_is_reported_as_one(load, models):
    directory = models.version_path("session_bundle")
    assert refusal(load, directory, Unimplemented) == (
        f"Session Bundle is deprecated and removed.\nExport the model of {directory} again, as a SavedModel."
    )


@pytest.mark.skipif(not STATM.exists(), reason="only Linux shows the resident memory")
def test_what_was_read_of_the_file_does_not_stay_in_memory(load, models, tmp_path):
    directory = copied(models, "half_plus_two", tmp_path)
    load(directory).close()
    with edited(directory) as saved_model:
        saved_model.meta_graphs[0].collection_def["ballast"].bytes_list.value.append(bytes(BALLAST_BYTES))
    del saved_model
    # Once a test has prepared the process as a server does, glibc keeps freed memory until `give_back`.
    memory.give_back()
    before = resident_bytes()
    model = load(directory)
    memory.give_back()
    assert resident_bytes() - before < BALLAST_BYTES / 2
    model.close()


@pytest.mark.behaviour("5", "--saved_model_tags")
@pytest.mark.behaviour("6.5", "no meta graph of the tags; ours: the tag sets that are there")
def test_other_tags_are_reported_with_those_that_are_there(load, models):
    directory = models.version_path("other_tags")
    assert refusal(load, directory, NotFound) == (
        "Could not find meta graph def matching supplied tags: { serve }. To inspect available tag-sets in the "
        "SavedModel, please use the SavedModel CLI: `saved_model_cli`\n"
        f"{directory} has the tag sets {{ train }}; --saved_model_tags chooses one."
    )


@pytest.mark.behaviour("5", "--saved_model_tags")
@pytest.mark.behaviour("7.1", "the meta graph is chosen by its exact set of tags")
@pytest.mark.parametrize(("tags", "y"), [(["serve"], "doubled"), (["triple", "serve"], "tripled")])
def test_tags_choose_the_meta_graph_by_their_set(models, tags, y):
    model = SavedModelLoader(tags)(models.version_path("two_meta_graphs"))
    factor = {"doubled": 2.0, "tripled": 3.0}[y]
    assert run(model, "serving_default", {"x": np.array([1.0], np.float32)}) == {y: [factor]}
    model.close()


@pytest.mark.behaviour("6.5", "no meta graph of the tags; ours: the tag sets that are there")
@pytest.mark.parametrize("tags", [["triple"], ["serve", "triple", "gpu"], [], [""], ["serve "]])
def test_a_part_of_a_tag_set_or_more_than_one_chooses_none(models, tags):
    message = refusal(SavedModelLoader(tags), models.version_path("two_meta_graphs"), NotFound)
    assert "has the tag sets { serve }; { serve triple };" in message


@pytest.mark.behaviour("7.1", "an op that is not registered fails the load")
@pytest.mark.behaviour(
    "7.1",
    "an op that nothing registers fails the load, NOT_FOUND with TensorFlow's words first; ours names "
    "all of them and how to bring each",
)
def test_an_op_that_is_missing_is_reported_with_the_flags_that_load_it(load, models):
    directory = models.version_path("unregistered_op")
    message = refusal(load, directory, NotFound)
    assert message.startswith("Op type not registered 'HalveTheInput' in binary")
    assert message.endswith(
        f"\n{directory} needs ops that nothing here registers: HalveTheInput. Bring HalveTheInput with "
        "--custom_op_libraries=LIBRARY.so, or with --import=MODULE if a Python package registers them."
    )


@pytest.mark.behaviour("6.5", "variables that are cut, damaged or another model's")
@pytest.mark.parametrize(
    ("name", "kind", "cause"),
    [
        ("truncated_variables", OutOfRange, "Read less bytes than requested"),
        ("corrupt_variables", DataLoss, "TensorBundle at .* Checksum does not match"),
    ],
)
def test_variables_that_are_damaged_are_reported(load, models, name, kind, cause):
    directory = models.version_path(name)
    message = refusal(load, directory, kind)
    assert re.match(cause, message)
    assert message.endswith(CANNOT_RESTORE.format(directory))


@pytest.mark.behaviour("6.5", "variables that are cut, damaged or another model's")
def test_a_data_file_that_is_missing_is_reported(load, models, tmp_path):
    directory = copied(models, "half_plus_two", tmp_path)
    (directory / "variables" / "variables.data-00000-of-00001").unlink()
    message = refusal(load, directory, NotFound)
    assert "variables.data-00000-of-00001" in message
    assert message.endswith(CANNOT_RESTORE.format(directory))


@pytest.mark.behaviour("6.5", "variables that are cut, damaged or another model's")
def test_an_index_that_is_damaged_is_reported(load, models, tmp_path):
    directory = copied(models, "half_plus_two", tmp_path)
    index = directory / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:20])
    assert refusal(load, directory, DataLoss).endswith(CANNOT_RESTORE.format(directory))


@pytest.mark.behaviour("6.5", "variables that are cut, damaged or another model's")
def test_variables_of_another_model_are_reported(load, models, tmp_path):
    directory = copied(models, "half_plus_two", tmp_path)
    shutil.rmtree(directory / "variables")
    shutil.copytree(models.version_path("two_meta_graphs") / "variables", directory / "variables")
    message = refusal(load, directory, NotFound)
    assert "not found in checkpoint" in message
    assert message.endswith(CANNOT_RESTORE.format(directory))


@pytest.mark.behaviour("6.5", "missing variables: ours refuses the load; the original loads and fails each request")
def test_a_version_whose_variables_are_not_there_yet_is_refused_until_they_are(load, models, tmp_path):
    directory = copied(models, "half_plus_two", tmp_path)
    (directory / "variables").rename(tmp_path / "variables")
    message = refusal(load, directory, NotFound)
    assert message.startswith(f"{directory}/variables/variables.index; No such file\n")
    assert "it is enough to complete it" in message
    (tmp_path / "variables").rename(directory / "variables")
    serves(load(directory), {"x": floats(2.0)}, {"y": [[3.0]]})


def serves(model, inputs, outputs):
    assert run(model, "serving_default", inputs) == outputs
    model.close()


def test_a_version_of_tensorflow_2_whose_variables_are_not_there_yet_is_refused(load, models, tmp_path):
    directory = copied(models, "half_plus_two_tf2", tmp_path)
    shutil.rmtree(directory / "variables")
    assert "variables.index; No such file" in refusal(load, directory, NotFound)


@pytest.mark.parametrize("freeze_up_to_bytes", [0, 1 << 20])
def test_a_version_that_is_taken_away_while_it_loads_is_refused(models, tmp_path, freeze_up_to_bytes):
    """It would serve without its variables, and each request would fail."""
    directory = copied(models, "half_plus_two", tmp_path)

    def take_away_and_import(*args):
        if directory.exists():
            directory.rename(tmp_path / "away")
        return best_import()(*args)

    loader = SavedModelLoader(imports=take_away_and_import, freeze_up_to_bytes=freeze_up_to_bytes)
    message = refusal(loader, directory, NotFound)
    assert str(directory / "variables") in message


def test_a_table_of_the_variables_that_are_not_there_yet_is_missed_too(load, tmp_path):
    module = tf.Module()
    module.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
    module.table.insert("cat", 7)
    module.find = tf.function(module.table.lookup, input_signature=[tf.TensorSpec([None], tf.string, name="word")])
    directory = save_tf2(module, tmp_path / "1", module.find)
    load(directory).close()
    shutil.rmtree(directory / "variables")
    assert "variables.index; No such file" in refusal(load, directory, NotFound)


def test_a_model_without_variables_needs_no_file_of_them(load, tmp_path):
    """TensorFlow 1 writes none; TensorFlow 2 writes a description of the objects, which a restore reads in vain."""
    for name in ("without_saver", "with_saver"):
        with tf1_session() as session:
            x = placeholder(tf.float32, [None], "x")
            tf.no_op(name="restore_all")
            save_tf1(session, tmp_path / name, {"serving_default": signature({"x": x}, {"y": 2.0 * x})})
    with edited(tmp_path / "with_saver") as saved_model:
        saved_model.meta_graphs[0].saver_def.restore_op_name = "restore_all"

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def double(x):
        return {"y": 2.0 * x}

    shutil.rmtree(save_tf2(tf.Module(), tmp_path / "tf2", double) / "variables")
    for name in ("without_saver", "with_saver", "tf2"):
        serves(load(tmp_path / name), {"x": np.array([2.0], np.float32)}, {"y": [4.0]})


def build_with_variable(directory, value=3.0):
    """A version directory with a variable `v`, y as the larger of x and 1, and z = y * v."""
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        v = tf.compat.v1.get_variable("v", initializer=value, use_resource=False)
        y = tf.maximum(x, [1.0], name="y")
        return save_tf1(session, directory, {"serving_default": signature({"x": x}, {"z": y * v})})


@contextlib.contextmanager
def edited_node(directory, name):
    with edited(directory) as saved_model:
        yield next(node for node in saved_model.meta_graphs[0].graph_def.node if node.name == name)


def take_kernel_away(directory, op_name="y"):
    """TensorFlow registers the op, and since 2.16 at the latest no kernel of it."""
    with edited_node(directory, op_name) as node:
        node.op = "BoostedTreesBucketize"
        node.attr.clear()
        node.attr["num_features"].i = 1


def test_a_kernel_that_is_missing_is_reported_with_its_op_and_the_variables_are_not_blamed(load, tmp_path):
    directory = build_with_variable(tmp_path / "1")
    with edited(directory) as saved_model:
        # Nothing that reads its result, which would not fit.
        saved_model.meta_graphs[0].signature_def["serving_default"].outputs["z"].name = "y:0"
    take_kernel_away(directory)
    message = refusal(load, directory, InvalidArgument)
    assert message.startswith("No OpKernel was registered to support Op 'BoostedTreesBucketize'")
    assert "has no kernel for the op BoostedTreesBucketize on the devices here. --custom_op_libraries=" in message
    assert "Copy it again" not in message


def test_a_kernel_that_the_init_op_misses_is_reported_the_same(load, tmp_path):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        init = tf.maximum([2.0], [1.0], name="init")
        save_tf1(session, tmp_path / "1", {"serving_default": signature({"x": x}, {"y": -x})}, main_op=init.op)
    take_kernel_away(tmp_path / "1", "init")
    message = refusal(load, tmp_path / "1", InvalidArgument)
    assert "has no kernel for the op BoostedTreesBucketize" in message
    assert "assets" not in message


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="the model's device is here")
def test_a_device_that_is_missing_is_reported_with_the_file_that_lets_the_model_serve(tmp_path):
    directory = build_with_variable(tmp_path / "1")
    with edited_node(directory, "y") as node:
        node.device = "/device:GPU:0"
    message = refusal(SavedModelLoader(config=config_of_flags()), directory, InvalidArgument)
    assert message.startswith("Cannot assign a device for operation")
    assert "Copy it again" not in message
    line = re.search(r"the line `([^`]+)` into a file and give it as --tensorflow_session_config_file=FILE", message)[1]
    file = tmp_path / "session.pbtxt"
    file.write_text(line)
    load = SavedModelLoader(config=config_of_flags(f"--tensorflow_session_config_file={file}"))
    serves(load(directory), {"x": np.array([2.0], np.float32)}, {"z": [6.0]})


def config_of_flags(*flags):
    return session_config.from_flags(options.parse(["--model_base_path=/m", *flags]).options)


def test_variables_of_another_shape_are_not_called_damaged(load, tmp_path):
    directory = build_with_variable(tmp_path / "1")
    build_with_variable(tmp_path / "2", [3.0, 4.0])
    shutil.rmtree(directory / "variables")
    shutil.copytree(tmp_path / "2" / "variables", directory / "variables")
    message = refusal(load, directory, InvalidArgument)
    assert message.endswith(f"\nThe variables of {directory} cannot be restored.")


LFS_POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345678\n"
)


@pytest.mark.parametrize("name", ["variables/variables.data-00000-of-00001", "variables/variables.index"])
def test_variables_that_are_a_pointer_of_git_lfs_are_called_so(load, models, tmp_path, name):
    directory = copied(models, "half_plus_two", tmp_path)
    data = (directory / name).read_bytes()
    (directory / name).write_bytes(LFS_POINTER)
    with pytest.raises(ServingError) as caught:
        load(directory)
    assert caught.value.message.endswith(
        f"{name.rpartition('/')[2]} is a pointer of Git LFS, not the data. Run `git lfs pull` in the repository, and "
        "copy the model again."
    )
    (directory / name).write_bytes(data)
    serves(load(directory), {"x": floats(2.0)}, {"y": [[3.0]]})


def test_a_saved_model_that_is_a_pointer_of_git_lfs_is_called_so(load, models, tmp_path):
    directory = copied(models, "half_plus_two", tmp_path)
    (directory / "saved_model.pb").write_bytes(LFS_POINTER)
    assert "saved_model.pb is a pointer of Git LFS" in refusal(load, directory, DataLoss)


def test_a_model_without_tags_is_served_by_the_flag_that_the_error_names(models, tmp_path):
    directory = copied(models, "half_plus_two", tmp_path)
    with edited(directory) as saved_model:
        del saved_model.meta_graphs[0].meta_info_def.tags[:]
    message = refusal(SavedModelLoader(), directory, NotFound)
    assert message.endswith(
        "has the tag sets { }; --saved_model_tags chooses one. The one without tags is --saved_model_tags=, (a comma)."
    )
    parsed = options.parse(["--model_base_path=/m", "--saved_model_tags=,"])
    serves(process.make_cold_loader(parsed.options)(directory), {"x": floats(2.0)}, {"y": [[3.0]]})


@pytest.mark.behaviour("7.1", "the paths of asset files are fed to restore and init op")
def test_an_asset_that_is_missing_is_reported_with_the_init_op(load, models, tmp_path):
    directory = copied(models, "vocabulary", tmp_path)
    shutil.rmtree(directory / "assets")
    message = refusal(load, directory, NotFound)
    assert str(directory / "assets") in message
    assert re.search(rf"\nThe init op \S+ of {re.escape(str(directory))} failed. Are all its assets there\?$", message)


@pytest.mark.behaviour("7.1", "the init op is the signature's, else the main op's, else the legacy one's")
def test_an_init_op_that_is_not_in_the_graph_is_reported(load, models, tmp_path):
    directory = copied(models, "half_plus_two", tmp_path)
    with edited(directory) as saved_model:
        saved_model.meta_graphs[0].collection_def["saved_model_main_op"].node_list.value[:] = ["no_such_op"]
    message = refusal(load, directory, InvalidArgument)
    assert "no_such_op" in message
    assert f"The init op no_such_op of {directory} failed." in message


def test_a_graph_that_contradicts_itself_is_reported(load, models, tmp_path):
    directory = copied(models, "half_plus_two", tmp_path)
    with edited(directory) as saved_model:
        next(node for node in saved_model.meta_graphs[0].graph_def.node if node.name == "Mul").input[0] = "nobody"
    message = refusal(load, directory, InvalidArgument)
    assert "nobody" in message
    assert message.endswith(
        f"\nThe graph of {directory} does not fit TensorFlow {tf.__version__}, which this server runs on; the model "
        f"was made with {tf.__version__}."
    )


def test_a_load_that_fails_frees_its_session(load, models, monkeypatch):
    closed = []
    close = GraphSession.close
    monkeypatch.setattr(GraphSession, "close", lambda session: closed.append(close(session)))
    refusal(load, models.version_path("corrupt_variables"), DataLoss)
    assert len(closed) == 1


@pytest.mark.behaviour("5", "--tensorflow_session_parallelism")
def test_the_session_takes_its_config(models):
    config = config_pb2.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    model = SavedModelLoader(config=config)(models.version_path("half_plus_two"))
    assert model._session._session._config == config
    model.close()


@pytest.mark.behaviour("7.1", "each version has a session of its own")
def test_each_version_has_variables_of_its_own(load, models):
    first, second = (load(models.version_path("counter")) for _ in range(2))
    assert run(first, "incr_counter") == {"output": 1.0}
    assert run(first, "incr_counter") == {"output": 2.0}
    assert run(second, "get_counter") == {"output": 0.0}
    first.close()
    assert run(second, "incr_counter") == {"output": 1.0}
    second.close()


def test_a_model_of_defaults_that_a_newer_tensorflow_dropped_is_read_with_those_of_its_own(load, tmp_path):
    """Nodes leave out attributes that had their default; the stripped op list has those defaults."""
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        y = tf.identity(x, name="y")
        save_tf1(session, tmp_path / "1", {"serving_default": signature({"x": x}, {"y": y})}, strip_default_attrs=True)
    model = load(tmp_path / "1")
    assert run(model, "serving_default", {"x": np.array([2.0], np.float32)}) == {"y": [2.0]}
    model.close()
