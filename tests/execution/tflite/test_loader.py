"""What a load of a model.tflite refuses, and with which words; with either library."""

import logging
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from servable.errors import FailedPrecondition, Internal, InvalidArgument
from servable.execution.tflite import libraries, loader
from servable.execution.tflite.libraries import LITERT, TENSORFLOW, Library
from servable.execution.tflite.loader import TfliteLoader
from tests.models import tflite_files

FEED, FETCH = ("serving_default_x:0",), ("PartitionedCall:0",)


@pytest.fixture
def write(tmp_path):
    """Writes a model into a version directory, which it returns."""

    def write(data):
        (tmp_path / "model.tflite").write_bytes(data)
        return tmp_path

    return write


@pytest.fixture(scope="module")
def halves():
    return tflite_files.half_plus_two()


@pytest.mark.parametrize("library", [LITERT, TENSORFLOW], ids=lambda library: library.package)
def test_either_library_runs_a_model(write, halves, library):
    servable = TfliteLoader(library=library)(write(halves))
    runner = servable.runner(FEED, FETCH)
    for rows in (1, 3, 2):
        (result,) = runner.run([np.full((rows, 1), 2, np.float32)], None)
        assert result.tolist() == [[3.0]] * rows
    servable.close()


@pytest.mark.parametrize("library", [LITERT, TENSORFLOW], ids=lambda library: library.package)
def test_what_a_library_says_on_stderr_is_a_line_of_the_log(write, halves, library, capfd, caplog):
    libraries._greeted.clear()
    with caplog.at_level(logging.DEBUG):
        TfliteLoader(library=library, has_trial=False)(write(halves))
    assert "XNNPACK" not in capfd.readouterr().err
    assert not any("XNNPACK" in record.message for record in caplog.records if record.levelno > logging.DEBUG)


def test_litert_is_preferred():
    assert libraries.best() is LITERT


@pytest.mark.behaviour("7.5", "ours: a model with ops of TensorFlow is refused, and told what to do")
def test_flex_ops_are_refused(write):
    data = tflite_files.convert(
        lambda x: {"y": tf.strings.as_string(x)}, tf.TensorSpec([None], tf.float32, name="x"), flex=True
    )
    with pytest.raises(Internal) as failure:
        TfliteLoader()(write(data))
    assert failure.value.message.startswith("Cannot build Interpreter from buffer.\n")
    assert "uses ops of TensorFlow (AsString)" in failure.value.message
    assert "Serve the SavedModel that it was made of" in failure.value.message


@pytest.mark.behaviour("7.5", "ours: a model that parses tf.Examples is refused, and told what to do")
@pytest.mark.parametrize(
    ("op", "words"), [("ParseExampleV2", "parses tf.Examples (ParseExampleV2)"), ("Odd", "has the custom op Odd")]
)
def test_custom_ops_are_refused(write, halves, op, words):
    def change(model):
        for code in model.operatorCodes:
            code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, op.encode()

    with pytest.raises(Internal) as failure:
        TfliteLoader()(write(tflite_files.edit(halves, change)))
    assert failure.value.message.startswith(("Cannot build Interpreter from buffer.\n", "Failed to allocate tensors\n"))
    assert words in failure.value.message


@pytest.mark.behaviour("7.5", "a file that is no model fails the load")
@pytest.mark.parametrize("data", [b"", b"no model", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"])
def test_what_is_no_model_is_refused(write, data):
    with pytest.raises(InvalidArgument) as failure:
        TfliteLoader()(write(data))
    assert failure.value.message.startswith("Cannot build FlatBufferModel from buffer.\n")


def test_a_file_that_is_not_there_is_said_to_be_unreadable(tmp_path):
    with pytest.raises(FailedPrecondition, match="No such file"):
        TfliteLoader()(tmp_path)


def test_a_file_that_ends_a_process_that_loads_it_ends_no_server(write, halves, monkeypatch):
    def dies(command, **kwargs):
        return subprocess.CompletedProcess(command, -11, b"built\n", b"")

    monkeypatch.setattr(loader.subprocess, "run", dies)
    with pytest.raises(InvalidArgument) as failure:
        TfliteLoader()(write(halves))
    assert failure.value.message.startswith("Cannot build FlatBufferModel from buffer.\n")
    assert "was ended by SIGSEGV" in failure.value.message


def test_a_run_on_zeros_that_takes_long_fails_no_load(write, halves, monkeypatch):
    def is_slow(command, **kwargs):
        return subprocess.CompletedProcess(command, -14, b"built\nallocated\n", b"")

    monkeypatch.setattr(loader.subprocess, "run", is_slow)
    TfliteLoader()(write(halves))


def test_a_trial_survives_a_good_model_and_tells_of_a_library_that_dies_of_one(halves, tmp_path, monkeypatch):
    assert loader._find_deadly(halves, LITERT) == ""
    (tmp_path / "dies_of_models.py").write_text(
        "import os, signal\ndef Interpreter(**_):\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert loader._find_deadly(halves, Library("dies", "dies_of_models")) == "was ended by SIGSEGV"


def test_loops_are_kept_from_lanes(write):
    def loop(x):
        return {"y": tf.while_loop(lambda y: tf.reduce_sum(y) < 100.0, lambda y: (y * 2.0,), (x,))[0]}

    servable = TfliteLoader(has_trial=False)(
        write(tflite_files.convert(loop, tf.TensorSpec([2], tf.float32, name="x")))
    )
    (signature,) = servable.signatures.values()
    runner = servable.runner(tuple(signature.inputs.values()), tuple(signature.outputs.values()))
    assert runner.may_not_end
    assert runner.run([np.float32([1, 1])], None)[0].tolist() == [64.0, 64.0]


def test_names_that_the_model_lacks_are_refused(write, halves):
    servable = TfliteLoader()(write(halves))
    with pytest.raises(Internal, match="Unknown tensor 'no:0'"):
        servable.runner(("no:0",), FETCH)
    with pytest.raises(InvalidArgument, match="at least one target"):
        servable.runner(FEED, ())
