"""Version directories that cannot be served, each for one reason. Most are a damaged half_plus_two.

No docstring here has a `Signatures:` section: not every one of them has signatures to read.
"""

import shutil

from tests.models.exporting import edited, placeholder, save_tf1, save_tf2, signature, tf, tf1_session
from tests.models.tf1_models import build_half_plus_two

VARIABLES = "variables/variables.data-00000-of-00001"


def build_empty_directory(directory):
    """Nothing at all."""
    directory.mkdir(parents=True)
    return directory


def build_missing_saved_model(directory):
    """The variables and assets are there, saved_model.pb is not."""
    build_half_plus_two(directory)
    (directory / "saved_model.pb").unlink()
    return directory


def build_truncated_saved_model(directory):
    """saved_model.pb ends half way through, as after a copy that broke off."""
    return _truncated(build_half_plus_two(directory), "saved_model.pb")


def build_garbage_saved_model(directory):
    """saved_model.pb is not a protobuf message."""
    directory.mkdir(parents=True)
    (directory / "saved_model.pb").write_bytes(b"\xff" * 64)
    return directory


def build_truncated_variables(directory):
    """The file of variable values ends half way through."""
    return _truncated(build_half_plus_two(directory), VARIABLES)


def build_corrupt_variables(directory):
    """The file of variable values has its length, but not its values: the checksum differs."""
    path = build_half_plus_two(directory) / VARIABLES
    path.write_bytes(bytes(byte ^ 0xFF for byte in path.read_bytes()))
    return directory


def build_missing_variables(directory):
    """The graph has variables, the folder `variables` is not there."""
    shutil.rmtree(build_half_plus_two(directory) / "variables")
    return directory


def build_unregistered_op(directory):
    """The node Mul has an op type, HalveTheInput, that no library registers: a custom op that is missing."""
    build_half_plus_two(directory)
    with edited(directory) as saved_model:
        for node in saved_model.meta_graphs[0].graph_def.node:
            if node.name == "Mul":
                node.op = "HalveTheInput"
    return directory


def build_other_tags(directory):
    """One meta graph with the tag `train`; none is tagged `serve`."""
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        doubled = signature({"x": x}, {"y": 2.0 * x})
        return save_tf1(session, directory, {"serving_default": doubled}, tags=["train"])


def build_session_bundle(directory):
    """The format before SavedModel: a checkpoint named export and its export.meta."""
    directory.mkdir(parents=True)
    for name in ("checkpoint", "export", "export.meta"):
        (directory / name).write_bytes(b"from before SavedModel")
    return directory


def build_python_function(directory):
    """Loads, and its run fails: the graph calls a Python function that only the process of the export had."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def halve(x):
        return {"y": tf.numpy_function(lambda values: values / 2, [x], tf.float32)}

    return save_tf2(tf.Module(), directory, halve)


def _truncated(directory, name):
    content = (directory / name).read_bytes()
    (directory / name).write_bytes(content[: len(content) // 2])
    return directory
