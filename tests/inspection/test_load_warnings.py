"""What a server logs of a version that it loads: the warnings about what will fail, with the model and the version."""

import logging
import os
import shutil

import grpc
import numpy as np
import pytest

from servable import process
from servable.errors import NotFound
from servable.inspection import load_warnings
from servable.inspection.load_warnings import InspectingLoader
from servable.lifecycle.version import ServableId, load_of, version_being_loaded
from servable.options import ServerOptions
from tests.conformance.calls import TIMEOUT_S, predict_request
from tests.conformance.operating import eventually, model, operate
from tests.inspection.making import meta_graph, node, signature, write
from tests.inspection.test_checks import LFS_POINTER
from tests.models.exporting import edited, placeholder, save_tf1, tf, tf1_session
from tests.models.exporting import signature as tf_signature

HEAD = {"serving_default": signature({"x": "float32[?]"}, {"y": "float32[?]"})}
LOADED = object()


@pytest.fixture
def warnings(caplog):
    """The warnings that were logged of versions."""

    def read():
        return [
            each.getMessage()
            for each in caplog.records
            if each.name == load_warnings.__name__ and each.levelno == logging.WARNING
        ]

    return read


def load(directory, tags=("serve",), find_without_kernel=list):
    with load_of(ServableId("mine", 3)):
        return InspectingLoader(lambda _: LOADED, tags, find_without_kernel)(directory)


def build_without_kernel(directory):
    """A model without variables whose output needs an op that TensorFlow registers without a kernel."""
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        y = tf.maximum(x, [1.0], name="y")
        save_tf1(session, directory, {"serving_default": tf_signature({"x": x}, {"y": y})})
    with edited(directory) as saved_model:
        (changed,) = (each for each in saved_model.meta_graphs[0].graph_def.node if each.name == "y")
        changed.op = "BoostedTreesBucketize"
        changed.attr.clear()
        changed.attr["num_features"].i = 1
    return directory


def test_a_server_warns_of_a_model_that_is_available_and_fails_every_predict(tmp_path, warnings):
    build_without_kernel(tmp_path / "folder" / "3")
    loader = process.make_loader(ServerOptions(model_base_path="/unused"))
    with operate(tmp_path, model("mine", tmp_path / "folder"), loader=loader) as server:
        server.await_states("mine", {3: "AVAILABLE"})
        (warning,) = warnings()
        with pytest.raises(grpc.RpcError, match="No OpKernel was registered"):
            server.running.prediction.Predict(
                predict_request("mine", {"x": np.array([2.0], np.float32)}), timeout=TIMEOUT_S
            )
        # Calls log nothing more.
        assert len(warnings()) == 1
    assert warning.startswith(
        f"{{name: mine version: 3}} from {tmp_path}/folder/3: TensorFlow {tf.__version__}, which is installed here, "
        'knows the op "BoostedTreesBucketize" (in y) and has no kernel'
    )


def test_the_warnings_come_before_the_load_so_that_one_that_fails_has_them_too(models, tmp_path, warnings):
    directory = shutil.copytree(models.version_path("half_plus_two"), tmp_path / "mine" / "3")
    (directory / "variables" / "variables.data-00000-of-00001").write_bytes(LFS_POINTER)
    loader = process.make_loader(ServerOptions(model_base_path="/unused"))
    other = models.base_path("half_plus_three")
    with operate(tmp_path, model("mine", directory.parent), model("other", other), loader=loader) as server:
        eventually(lambda: server.states("mine")[3][0], "END")
    (warning,) = warnings()
    assert warning.startswith(f"{{name: mine version: 3}} from {directory}: variables.data-00000-of-00001 is a pointer")
    assert warning.endswith("[git_lfs_pointer]")


def test_a_warning_about_a_signature_names_it(tmp_path, warnings):
    head = signature({"x": "float32[?]", "z": "float32[?]"}, {"y": "float32[?]"})
    head.inputs["z"].name = "x:0"
    assert load(write(tmp_path / "1", meta_graph({"twice": head}))) is LOADED
    assert [each.split(":")[3] for each in warnings()] == [' signature "twice"']
    assert warnings()[0].endswith("[predict_unusable]")


def test_what_concerns_the_exporter_only_is_not_logged(tmp_path, warnings):
    unnamed = signature({"input_1": "float32[1,2]"}, {"output_0": "float32[...]"})
    assert load(write(tmp_path / "one", meta_graph({"regress": unnamed}))) is LOADED
    assert warnings() == []


def test_the_meta_graph_of_the_servers_tags_is_inspected(tmp_path, warnings):
    write(tmp_path / "1", meta_graph(HEAD), meta_graph({}, tags=("empty",)))
    load(tmp_path / "1")
    assert warnings() == []
    load(tmp_path / "1", tags=("empty",))
    assert warnings()[0].endswith("[no_signatures]")


def fail(names):
    raise RuntimeError("nobody expected that")


def test_an_inspection_that_fails_fails_no_load(tmp_path, warnings):
    nodes = [node("x", "Placeholder"), node("y", "BoostedTreesBucketize", "x")]
    assert load(write(tmp_path / "1", meta_graph(HEAD, nodes)), find_without_kernel=fail) is LOADED
    assert warnings() == [f"{tmp_path}/1 could not be inspected, and is loaded nevertheless"]


def test_what_the_load_reports_itself_is_not_logged_twice(tmp_path, warnings):
    (tmp_path / "1").mkdir()
    assert load(tmp_path / "1") is LOADED
    assert load(write(tmp_path / "2", meta_graph(HEAD)), tags=("other",)) is LOADED
    assert warnings() == []


def test_the_error_of_the_load_is_the_loads(tmp_path):
    def refuse(directory):
        raise NotFound("gone")

    with pytest.raises(NotFound, match="gone"):
        InspectingLoader(refuse, ("serve",), list)(write(tmp_path / "1", meta_graph(HEAD)))


def test_a_large_graph_is_not_parsed(tmp_path, warnings):
    write(tmp_path / "1", meta_graph({}))
    os.truncate(tmp_path / "1" / "saved_model.pb", load_warnings._MAX_GRAPH_BYTES + 1)
    assert load(tmp_path / "1") is LOADED
    assert warnings() == []


def test_no_version_is_being_loaded_outside_of_a_load():
    with load_of(ServableId("mine", 3)):
        assert version_being_loaded() == ServableId("mine", 3)
    assert version_being_loaded() is None
