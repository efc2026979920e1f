"""Which ops TensorFlow has: from its files, and from TensorFlow itself in case of doubt."""

import pytest

from servable import cli, wire
from servable.execution import op_libraries
from servable.inspection import checks, survey
from tests.inspection.making import find, look, meta_graph, node, signature, write
from tests.models.exporting import tf

HEAD = {"serving_default": signature({"x": "float32[?]"}, {"y": "float32[?]"})}

# TensorFlow replaces them by other ops before it looks for kernels.
REWRITTEN = {"AccumulateNV2"}


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


def test_an_op_without_a_kernel_is_looked_up_and_warned_of_if_a_signature_needs_it(tmp_path):
    nodes = [
        node("x", "Placeholder"), node("y", "BoostedTreesBucketize", "x"), node("aside", "BoostedTreesPredict", "x"),
        node("z", "MatMul", "y"),
    ]  # fmt: skip
    looked_up = []

    def find_without_kernel(names):
        looked_up.extend(names)
        return names

    report = look(write(tmp_path / "1", meta_graph(HEAD, nodes)), find_without_kernel=find_without_kernel)
    assert looked_up == ["BoostedTreesBucketize"]
    (warning,) = find(report, "no_kernel")
    assert f'TensorFlow {tf.__version__}, which is installed here, knows the op "BoostedTreesBucketize" (in y)' in (
        warning.text
    )


def test_an_op_without_a_kernel_in_a_function_that_is_called_is_warned_of(tmp_path):
    call = node("y", "PartitionedCall", "x")
    call.attr["f"].func.name = "outer"
    functions = [
        wire.FunctionDef(signature={"name": "outer"}, node_def=[node("call", "inner")]),
        wire.FunctionDef(signature={"name": "inner"}, node_def=[node("bucket", "BoostedTreesBucketize")]),
        wire.FunctionDef(signature={"name": "aside"}, node_def=[node("all", "NcclAllReduce")]),
    ]
    made = meta_graph(HEAD, [node("x", "Placeholder"), call], functions=functions)
    report = look(write(tmp_path / "1", made), find_without_kernel=list)
    assert ["(in inner/bucket)" in warning.text for warning in find(report, "no_kernel")] == [True]


def test_the_command_looks_kernels_up(tmp_path, capsys):
    nodes = [node("x", "Placeholder"), node("y", "BoostedTreesBucketize", "x")]
    assert cli.main(["inspect", str(write(tmp_path / "1", meta_graph(HEAD, nodes)))]) == 0
    assert "[no_kernel]" in capsys.readouterr().out


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="some of these ops have kernels for it")
def test_tensorflow_knows_which_ops_have_kernels():
    names = ["MatMul", "NoOp", "BoostedTreesBucketize", "NcclAllReduce", "TPUReplicatedOutput", "HalveTheInput"]
    assert op_libraries.find_ops_without_kernel(names) == {
        "BoostedTreesBucketize", "NcclAllReduce", "TPUReplicatedOutput",
    }  # fmt: skip


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="some of these ops have kernels for it")
def test_each_public_op_without_a_kernel_is_looked_up():
    without = op_libraries.find_ops_without_kernel(survey.installed_public_ops())
    assert {op for op in without if not checks._MAY_LACK_KERNEL.search(op)} <= REWRITTEN
