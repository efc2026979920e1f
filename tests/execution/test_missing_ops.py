"""A model that needs ops which nothing registers: all of them are told, and how to bring them."""

import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from servable.errors import InvalidArgument, NotFound
from servable.execution import missing_ops
from servable.execution.loader import SavedModelLoader
from tests.models.exporting import edited, tf
from tests.models.op_library import build_model

TEXT_OP, FOREST_OP = "TFText>FastWordpieceDetokenize", "SimpleMLInferenceOpWithHandle"


def refusal(directory):
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
    directory = build_model(tmp_path / "1", "MissingInTheGraph")
    with edited(directory) as saved_model:
        add_function(
            saved_model.meta_graphs[0], "an_own_function", "MissingInAFunction", "another_own_function", "NoOp"
        )
        add_function(saved_model.meta_graphs[0], "another_own_function", "MissingInAFunction", "AlsoMissing")
    message = refusal(directory)
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
def test_ops_of_known_packages_are_told_with_the_module_to_import(tmp_path):
    directory = build_model(tmp_path / "1", TEXT_OP)
    with edited(directory) as saved_model:
        add_function(saved_model.meta_graphs[0], "decide", FOREST_OP)
    message = refusal(directory)
    assert f"{TEXT_OP}: from tensorflow_text; bring it with --import=tensorflow_text" in message
    assert f"{FOREST_OP}: from tensorflow_decision_forests; bring it with --import=tensorflow_decision_for" in message
    assert "LIBRARY.so" not in message


def test_the_tensorflow_of_the_export_is_told_if_it_is_another(tmp_path):
    directory = build_model(tmp_path / "1", "MissingInTheGraph")
    assert "was made with" not in refusal(directory)
    with edited(directory) as saved_model:
        saved_model.meta_graphs[0].meta_info_def.tensorflow_version = "9.9.9"
    assert refusal(directory).endswith(
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
    message = missing_ops.explain(error, meta_graph, tmp_path).message
    assert message.startswith("Op type not registered 'MissingInTheGraph' in binary")


@pytest.mark.parametrize("text", ["Node 'y': Unknown input node 'x'", "Op type not registered 'NoOp' in binary"])
def test_another_failure_is_left_as_it_is(tmp_path, text):
    meta_graph = meta_graph_pb2.MetaGraphDef()
    meta_graph.graph_def.node.add(name="y", op="NoOp")
    assert missing_ops.explain(InvalidArgument(text), meta_graph, tmp_path) is None
