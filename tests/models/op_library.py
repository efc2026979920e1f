"""A shared object with an op, and a model that needs it. Made by the system's C compiler; without one, tests skip."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.models.exporting import edited, placeholder, save_tf1, signature, tf, tf1_session

SOURCE = Path(__file__).with_name("op_library.c")
OP = "ServableHalve"


def compile_library(path, source, libraries=()):
    """Writes a shared object of C source, linked to libraries; returns its path."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip("no C compiler is on PATH")
    file = path.with_suffix(".c")
    file.write_text(source)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", path, file, *libraries], check=True, capture_output=True)
    return path


def compile_op_library(path):
    """Writes a shared object that registers the op ServableHalve, x: float to y: float, halved; returns its path."""
    return compile_library(path, SOURCE.read_text(), tf.sysconfig.get_link_flags())


def build_model(directory, op=OP):
    """A version directory whose node `y` is an op of one float in and out. Returns the directory."""
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        y = tf.negative(x, name="y")
        save_tf1(session, directory, {"serving_default": signature({"x": x}, {"y": y})})
    with edited(directory) as saved_model:
        (node,) = (node for node in saved_model.meta_graphs[0].graph_def.node if node.name == "y")
        node.op = op
        node.attr.clear()
    return directory
