"""Which ops TensorFlow has: from its files, and from TensorFlow itself in case of doubt."""

from servable.execution import op_libraries
from servable.inspection import survey
from tests.inspection.making import find, look, meta_graph, node, signature, write
from tests.models.exporting import tf

HEAD = {"serving_default": signature({"x": "float32[?]"}, {"y": "float32[?]"})}


def build(directory, *ops):
    nodes = [node("x", "Placeholder"), node("y", "Identity", "x"), *(node(f"n_{op}", op) for op in ops)]
    return write(directory / "1", meta_graph(HEAD, nodes))


def test_the_list_in_the_files_is_the_list_of_the_public_api():
    assert survey.installed_public_ops() == {name for name in dir(tf.raw_ops) if not name.startswith("_")}


def test_the_installed_version_is_that_of_tensorflow():
    assert survey.installed_tensorflow_version() == tf.__version__


def test_public_ops_are_not_confirmed(tmp_path):
    assert not find(look(build(tmp_path, "MatMul", "ParseExampleV2")), "missing_op")


def test_ops_that_are_not_public_are_confirmed_once_and_together(tmp_path):
    confirmed = []

    def confirm(names):
        confirmed.append(list(names))
        return {"HalveTheInput"}

    report = look(build(tmp_path, "_FusedMatMul", "HalveTheInput", "MatMul"), confirm)
    assert confirmed == [["HalveTheInput", "_FusedMatMul"]]
    (warning,) = find(report, "missing_op")
    assert '"HalveTheInput" (in n_HalveTheInput)' in warning.text
    assert tf.__version__ in warning.text


def test_tensorflow_knows_internal_ops_and_no_invented_ones():
    names = ["MatMul", "_FusedMatMul", "_Retval", "PyFunc", "HalveTheInput", "Somebody>Else", "it's"]
    assert op_libraries.find_missing_ops(names) == {"HalveTheInput", "Somebody>Else", "it's"}


def test_python_ops_are_registered_and_warned_of(tmp_path):
    report = look(build(tmp_path, "PyFunc", "EagerPyFunc"))
    assert [warning.text.split(" in ")[0] for warning in find(report, "python_op")] == [
        "It calls Python (EagerPyFunc",
        "It calls Python (PyFunc",
    ]
