"""Broken version directories while the version before them serves: they are reported, and disturb nothing."""

import shutil

import pytest

from servable.execution.loader import SavedModelLoader
from tests.conformance.calls import predict, values
from tests.conformance.operating import eventually, model, operate
from tests.models.broken_models import VARIABLES
from tests.models.exporting import placeholder, save_tf1, signature, tf, tf1_session

DATA_LOSS, OUT_OF_RANGE, NOT_FOUND, FAILED_PRECONDITION, UNIMPLEMENTED, INVALID_ARGUMENT = 15, 11, 5, 9, 12, 3
NO_BUNDLE = "Specified file path does not appear to contain a SavedModel bundle"

# The errors of test models that do not load: the code, and the first words.
BROKEN = {
    "empty_directory": (NOT_FOUND, NO_BUNDLE),
    "missing_saved_model": (NOT_FOUND, NO_BUNDLE),
    "garbage_saved_model": (DATA_LOSS, "Can't parse "),
    "truncated_saved_model": (DATA_LOSS, "Can't parse "),
    "truncated_variables": (OUT_OF_RANGE, "Read less bytes than requested"),
    "corrupt_variables": (DATA_LOSS, "TensorBundle at "),
    "unregistered_op": (NOT_FOUND, "Op type not registered 'HalveTheInput'"),
    "other_tags": (NOT_FOUND, "Could not find meta graph def matching supplied tags: { serve }."),
    "session_bundle": (UNIMPLEMENTED, "Session Bundle is deprecated and removed."),
}


@pytest.fixture
def base_path(models, tmp_path):
    """Version 1 answers 3 to 2."""
    path = tmp_path / "m"
    path.mkdir()
    (path / "1").symlink_to(models.version_path("half_plus_two"))
    return path


@pytest.fixture
def server(base_path, tmp_path):
    """A server that tries each load once."""
    with operate(tmp_path, model("m", base_path), loader=SavedModelLoader()) as server:
        yield server


def answer(server):
    response = predict(server.running, "m", {"x": [[2.0]]})
    return response.model_spec.version.value, values(response.outputs["y"])[0][0]


def await_failure(server, version=2):
    """Wait for the end of a version, and give its code and text."""
    eventually(lambda: isinstance(server.states("m").get(version), tuple), True)
    state, code, text = server.states("m")[version]
    assert (state, server.states("m")[1], answer(server)) == ("END", "AVAILABLE", (1, 3.0))
    return code, text


@pytest.mark.behaviour(
    "14",
    "cut, corrupt, empty or foreign version directories end with their code and words; the version before serves on",
)
def test_each_broken_version_is_reported_and_the_old_one_serves(server, base_path, models):
    for version, (name, (code, words)) in enumerate(BROKEN.items(), start=2):
        (base_path / str(version)).symlink_to(models.version_path(name))
        failure = await_failure(server, version)
        assert (failure[0], failure[1][: len(words)]) == (code, words), name
        (base_path / str(version)).unlink()


@pytest.mark.behaviour("14", "a model whose init op fails ends with the op's words")
def test_an_init_op_that_fails_is_reported_with_its_text(server, base_path, tmp_path):
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        fails = tf.debugging.Assert(tf.constant(False), ["the table is not there"])
        save_tf1(session, tmp_path / "made", {"serving_default": signature({"x": x}, {"y": x})}, main_op=fails)
    (tmp_path / "made").rename(base_path / "2")
    code, text = await_failure(server)
    assert code == INVALID_ARGUMENT
    assert "the table is not there" in text
    assert f"of {base_path}/2 failed." in text


@pytest.mark.behaviour("14", "a version that is a file, a dead link or a loop of links is reported")
@pytest.mark.parametrize("target", ["a file", "nowhere", "itself"])
def test_a_version_that_is_no_directory_is_reported(server, base_path, tmp_path, target):
    (tmp_path / "a file").write_text("no directory")
    (base_path / "2").symlink_to(base_path / "2" if target == "itself" else tmp_path / target)
    code, text = await_failure(server)
    if target == "a file":
        assert (code, text) == (
            FAILED_PRECONDITION,
            "Error while attempting to reserve resources to load servable {name: m version: 2}: "
            f"{base_path}/2; Not a directory",
        )
    else:
        assert (code, text[: len(NO_BUNDLE)]) == (NOT_FOUND, NO_BUNDLE)


@pytest.mark.behaviour("14", "a version that was repaired is loaded once its folder was removed and added again")
def test_a_version_that_is_mended_is_loaded_once_it_went_and_came_back(server, base_path, models):
    (base_path / "2").symlink_to(models.version_path("truncated_variables"))
    failure = ("END", *await_failure(server))
    (base_path / "2").unlink()
    # That 3 serves shows that 2 was looked for in vain.
    (base_path / "3").symlink_to(models.version_path("half_plus_three"))
    server.await_states("m", {3: "AVAILABLE", 2: failure, 1: "END"})
    (base_path / "2").symlink_to(models.version_path("half_plus_three"))
    (base_path / "3").unlink()
    server.await_states("m", {3: "END", 2: "AVAILABLE", 1: "END"})
    assert answer(server) == (2, 4.0)


@pytest.mark.behaviour(
    "14",
    "a half-copied version (files still growing) is tried again while the one before serves, and serves "
    "once it is whole",
)
def test_a_version_that_is_copied_while_it_is_tried_serves_once_it_is_whole(base_path, tmp_path, models):
    source, growing = models.version_path("half_plus_three"), base_path / "2"
    tries = {"max_num_load_retries": 100_000, "load_retry_interval_micros": 5_000}
    loads = Counting(SavedModelLoader())
    with operate(tmp_path, model("m", base_path), loader=loads, **tries) as server:
        shutil.copytree(source / "variables", growing / "variables")
        values_file, graph_file = growing / VARIABLES, growing / "saved_model.pb"
        whole_values, whole_graph = values_file.read_bytes(), (source / "saved_model.pb").read_bytes()
        values_file.write_bytes(whole_values[: len(whole_values) // 2])
        for eighths in range(8):
            graph_file.write_bytes(whole_graph[: len(whole_graph) * eighths // 8])
            assert_it_is_tried_in_vain(server, loads, growing)
        graph_file.write_bytes(whole_graph)
        assert_it_is_tried_in_vain(server, loads, growing)
        shutil.copytree(source / "assets", growing / "assets")
        values_file.write_bytes(whole_values)
        server.await_states("m", {2: "AVAILABLE", 1: "END"})
        assert answer(server) == (2, 4.0)


class Counting:
    """A loader that counts its tries by path."""

    def __init__(self, load):
        self._load, self.tries = load, {}

    def __call__(self, path):
        self.tries[path] = self.tries.get(path, 0) + 1
        return self._load(path)


def assert_it_is_tried_in_vain(server, loads, path):
    """A try that began before may have seen an older state of the files: the second from now on sees this one."""
    enough = loads.tries.get(path, 0) + 2
    eventually(lambda: loads.tries.get(path, 0) >= enough, True)
    assert server.states("m") == {2: "LOADING", 1: "AVAILABLE"}
    assert answer(server) == (1, 3.0)
