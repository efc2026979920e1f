"""Ops from shared objects and Python modules: they run; the error of one that cannot be loaded is a line with advice.

A model that needs ops which nothing registers: its error names all of them, and how to load them.
"""

import sys

import numpy as np
import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from servable.errors import FailedPrecondition, InvalidArgument, NotFound
from servable.execution import op_libraries
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from tests.execution.running import run
from tests.models import op_library
from tests.models.exporting import edited, tf

TEXT_OP, FOREST_OP = "TFText>FastWordpieceDetokenize", "SimpleMLInferenceOpWithHandle"


@pytest.fixture(scope="module")
def halving(tmp_path_factory):
    return op_library.compile_op_library(tmp_path_factory.mktemp("library") / "halve.so")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module that can be imported, and returns its name."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def write(text):
        names.append(f"{tmp_path.name}_{len(names)}".replace("-", "_"))
        (tmp_path / f"{names[-1]}.py").write_text(text)
        return names[-1]

    yield write
    for name in names:
        sys.modules.pop(name, None)


def refusal(kind, libraries="", modules=""):
    with pytest.raises(kind) as caught:
        op_libraries.load_all(libraries, modules)
    assert type(caught.value) is kind
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.behaviour(
    "7.1",
    "ours: --custom_op_libraries and --import bring ops before any model; the original links TF Text and "
    "TFDF statically and takes no others",
)
@pytest.mark.parametrize("runs", [PrivateRuns, PublicRuns])
def test_a_model_runs_the_op_of_a_library(halving, tmp_path, runs):
    op_libraries.load_all(str(halving), "")
    model = SavedModelLoader(runs=runs())(op_library.build_model(tmp_path / "1"))
    assert run(model, "serving_default", {"x": np.array([2, 4], np.float32)}) == {"y": [1.0, 2.0]}
    model.close()


def test_a_library_may_be_named_twice_and_by_a_relative_path(halving, monkeypatch):
    monkeypatch.chdir(halving.parent)
    op_libraries.load_all(f"{halving.name},{halving}", "")


@pytest.mark.parametrize("flag", ["", ",", ",,"])
def test_an_empty_list_loads_nothing(flag):
    op_libraries.load_all(flag, flag)


def test_a_library_that_is_not_there_is_reported(tmp_path):
    assert refusal(NotFound, f"{tmp_path}/none.so") == f"--custom_op_libraries: {tmp_path}/none.so; No such file"


def test_a_folder_is_no_library(tmp_path):
    assert refusal(NotFound, str(tmp_path)) == f"--custom_op_libraries: {tmp_path}; No such file"


@pytest.mark.behaviour("7.1", "ours: a library or a module that cannot be had ends the start with 255 and one line")
@pytest.mark.parametrize("content", [b"", b"no library", b"\x7fELF" + bytes(60)])
def test_a_file_that_is_no_library_is_reported(tmp_path, content):
    path = tmp_path / "text.so"
    path.write_bytes(content)
    message = refusal(InvalidArgument, str(path))
    assert message.startswith(f"--custom_op_libraries: {path}: ")
    assert message.endswith(". It must be a shared object with ops, built for this system.")


@pytest.mark.behaviour("7.1", "ours: a library or a module that cannot be had ends the start with 255 and one line")
def test_a_library_of_another_tensorflow_is_reported(tmp_path):
    source = "void TF_GoneSince(void); __attribute__((constructor)) static void call(void) { TF_GoneSince(); }"
    path = op_library.compile_library(tmp_path / "foreign.so", source)
    message = refusal(FailedPrecondition, str(path))
    assert "TF_GoneSince" in message
    assert message.endswith(f"built for another TensorFlow; this server runs on {tf.__version__}.")


def test_a_library_without_one_that_it_needs_is_reported(tmp_path):
    needed = op_library.compile_library(tmp_path / "libneeded.so", "void needed(void) {}")
    path = op_library.compile_library(
        tmp_path / "needing.so", "void needed(void); void call(void) { needed(); }", [str(needed)]
    )
    needed.unlink()
    message = refusal(FailedPrecondition, str(path))
    assert str(path) in message
    assert message.endswith("It needs another library, which must be where the system looks for it.")


@pytest.mark.behaviour(
    "7.1",
    "ours: --custom_op_libraries and --import bring ops before any model; the original links TF Text and "
    "TFDF statically and takes no others",
)
def test_modules_are_imported_in_their_order(module, monkeypatch):
    monkeypatch.setattr(sys, "imported_by_test", [], raising=False)
    first, second = (module(f"import sys; sys.imported_by_test.append({index})") for index in (1, 2))
    op_libraries.load_all("", f"{second},{first}")
    assert sys.imported_by_test == [2, 1]


@pytest.mark.parametrize("name", ["no_such_module", "no_such_package.module", "json.no_such_module"])
def test_a_module_that_is_not_there_is_reported(name):
    message = refusal(NotFound, modules=name)
    assert message.startswith(f"--import={name}: No module named ")
    assert message.endswith(". Install it, or put its folder on PYTHONPATH.")


@pytest.mark.behaviour("7.1", "ours: a library or a module that cannot be had ends the start with 255 and one line")
@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("raise RuntimeError('first\\nsecond')", "RuntimeError: first second"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("def", "SyntaxError: "),
    ],
)
def test_a_module_that_fails_is_reported_with_its_traceback_in_the_log(module, caplog, text, cause):
    name = module(text)
    message = refusal(FailedPrecondition, modules=name)
    assert message.startswith(f"--import={name}: {cause}")
    assert message.endswith(f"The log has the traceback; `python -c 'import {name}'` must work.")
    assert any(record.exc_info for record in caplog.records if record.name == op_libraries.__name__)


def test_an_import_that_fails_names_the_library_if_the_package_has_one(tmp_path, monkeypatch):
    folder = tmp_path / "tensorflow_decision_forests"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('gencode 6.31.1 runtime 5.29.6')")
    monkeypatch.syspath_prepend(tmp_path)
    message = refusal(FailedPrecondition, modules="tensorflow_decision_forests")
    assert message.endswith(
        f" Its ops need no import: --custom_op_libraries={folder}/tensorflow/ops/inference/inference.so brings them."
    )


def test_libraries_come_before_modules(tmp_path, module, monkeypatch):
    monkeypatch.setattr(sys, "imported_by_test", [], raising=False)
    refusal(NotFound, f"{tmp_path}/none.so", module("import sys; sys.imported_by_test.append(1)"))
    assert sys.imported_by_test == []


def load_refusal(directory):
    with pytest.raises(NotFound) as caught:
        SavedModelLoader()(directory)
    return caught.value.message


def add_function(meta_graph, name, *ops):
    function = meta_graph.graph_def.library.function.add()
    function.signature.name = name
    for index, op in enumerate(ops):
        function.node_def.add(name=f"n{index}", op=op)


@pytest.mark.behaviour(
    "7.1",
    "an op that nothing registers fails the load, NOT_FOUND with TensorFlow's words first; ours names "
    "all of them and how to bring each",
)
def test_every_missing_op_is_named_also_those_of_functions_but_no_function_itself(tmp_path):
    directory = op_library.build_model(tmp_path / "1", "MissingInTheGraph")
    with edited(directory) as saved_model:
        add_function(
            saved_model.meta_graphs[0], "an_own_function", "MissingInAFunction", "another_own_function", "NoOp"
        )
        add_function(saved_model.meta_graphs[0], "another_own_function", "MissingInAFunction", "AlsoMissing")
    message = load_refusal(directory)
    assert message.startswith("Op type not registered 'Missing")
    assert (
        f"\n{directory} needs ops that nothing here registers: AlsoMissing, MissingInAFunction, MissingInTheGraph. "
        "Bring AlsoMissing, MissingInAFunction, MissingInTheGraph with --custom_op_libraries=LIBRARY.so, "
    ) in message


@pytest.mark.behaviour(
    "7.1",
    "an op that nothing registers fails the load, NOT_FOUND with TensorFlow's words first; ours names "
    "all of them and how to bring each",
)
def test_ops_of_known_packages_are_reported_with_the_module_to_import(tmp_path):
    directory = op_library.build_model(tmp_path / "1", TEXT_OP)
    with edited(directory) as saved_model:
        add_function(saved_model.meta_graphs[0], "decide", FOREST_OP)
    message = load_refusal(directory)
    assert f"{TEXT_OP}: from tensorflow_text; bring it with --import=tensorflow_text" in message
    assert f"{FOREST_OP}: from tensorflow_decision_forests; bring it with --custom_op_libraries=" in message
    assert "/tensorflow_decision_forests/tensorflow/ops/inference/inference.so" in message
    assert "LIBRARY.so" not in message


def test_the_tensorflow_of_the_export_is_reported_if_it_is_another(tmp_path):
    directory = op_library.build_model(tmp_path / "1", "MissingInTheGraph")
    assert "was made with" not in load_refusal(directory)
    with edited(directory) as saved_model:
        saved_model.meta_graphs[0].meta_info_def.tensorflow_version = "9.9.9"
    assert load_refusal(directory).endswith(
        f" The model was made with TensorFlow 9.9.9, this server runs on {tf.__version__}."
    )


@pytest.mark.behaviour(
    "7.1",
    "an op that nothing registers fails the load, NOT_FOUND with TensorFlow's words first; ours names "
    "all of them and how to bring each",
)
def test_the_first_words_are_those_of_the_original_whatever_stands_before_them(tmp_path):
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.graph_def.node.add(name="y", op="MissingInTheGraph")
    error = NotFound("Converting GraphDef to Graph has failed: 'Op type not registered 'MissingInTheGraph' in binary'")
    message = op_libraries.explain_missing_ops(error, meta_graph, tmp_path).message
    assert message.startswith("Op type not registered 'MissingInTheGraph' in binary")


@pytest.mark.parametrize("text", ["Node 'y': Unknown input node 'x'", "Op type not registered 'NoOp' in binary"])
def test_another_failure_is_left_as_it_is(tmp_path, text):
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.graph_def.node.add(name="y", op="NoOp")
    assert op_libraries.explain_missing_ops(InvalidArgument(text), meta_graph, tmp_path) is None
