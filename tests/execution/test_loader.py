"""A version directory to a loaded model: what loads, and the errors of those that cannot, with path and advice."""

import gc
import re
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2

from servable.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound, OutOfRange, Unimplemented
from servable.execution import memory
from servable.execution.graph_session import GraphSession
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from tests.execution.running import floats, run
from tests.models.exporting import edited, placeholder, save_tf1, signature, tf1_session

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


@pytest.mark.behaviour("6.5", "missing variables let the model load and each request fail")
def test_without_its_variables_a_model_loads_and_each_run_fails(load, models):
    model = load(models.version_path("missing_variables"))
    for _ in range(2):
        with pytest.raises(FailedPrecondition, match=r"^FAILED_PRECONDITION: Attempting to use uninitialized value "):
            run(model, "serving_default", {"x": floats(2.0)})
    model.close()


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
