"""`servable check`: what would serve and what would not, on real models."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from tensorflow.core.protobuf import saved_model_pb2

from servable import check_command
from servable.checking import Checker, Verdict
from servable.errors import ServingError, Unavailable
from servable.execution.loader import SavedModelLoader
from servable.options import ServerOptions
from tests.models.exporting import placeholder, save_tf1, signature, tf, tf1_session

PATIENCE_S = 90.0


def check(capsys, *arguments):
    """The exit status and the lines that are printed."""
    status = check_command.main([str(argument) for argument in arguments])
    return status, capsys.readouterr().out.splitlines()


def row(lines, *starts):
    """The words of the row that begins with some."""
    (found,) = [line.split() for line in lines if line.split()[: len(starts)] == list(starts)]
    return found[len(starts) :]


def test_a_model_that_serves_is_called_compared_and_timed(capsys, models):
    status, lines = check(capsys, models.base_path("half_plus_two"))
    assert status == 0
    assert lines[0].split() == ["model", "version", "signature", "call", "1", "row", "16", "rows"]
    for key, method in (("serving_default", "Predict"), ("regress_x_to_y", "Regress"), ("classify_x_to_y", "Classify")):
        called, verdict, *times = row(lines, "half_plus_two", "1", key)
        assert (called, verdict) == (method, "serves")
        assert re.fullmatch(r"[\d.]+ ms [\d.]+ ms", " ".join(times))
    assert any("half_plus_two/1/serving_default" in line and line.endswith("equals TensorFlow") for line in lines)
    assert lines[-1] == "6 would serve, 0 would fail."


def test_the_server_s_batching_is_on_the_way(capsys, models):
    status, lines = check(capsys, models.base_path("half_plus_two"), "--enable_batching")
    assert (status, row(lines, "half_plus_two", "1", "serving_default")[1]) == (0, "serves")


def test_a_model_that_does_not_load_fails_and_the_others_are_checked(capsys, models, tmp_path):
    (tmp_path / "bad" / "1").mkdir(parents=True)
    (tmp_path / "bad" / "1" / "saved_model.pb").write_bytes(b"garbage")
    status, lines = check(capsys, tmp_path / "bad", models.base_path("half_plus_two"))
    assert status == 1
    assert row(lines, "bad", "1") == ["fails"]
    assert any(line.startswith("bad/1: does not load: DATA_LOSS: ") for line in lines)
    assert lines[-1] == "6 would serve, 1 would fail."


def test_each_version_of_a_config_file_is_checked(capsys, models, tmp_path):
    base = tmp_path / "m"
    for number in ("1", "2", "3"):
        shutil.copytree(models.version_path("half_plus_two"), base / number)
    config = tmp_path / "models.config"
    config.write_text(
        f'model_config_list {{ config {{ name: "m" base_path: "{base}" model_platform: "tensorflow" '
        "model_version_policy { specific { versions: 1 versions: 3 versions: 9 } } } }"
    )
    status, lines = check(capsys, f"--model_config_file={config}")
    assert status == 1
    assert [row(lines, "m", number, "serving_default")[1] for number in ("1", "3")] == ["serves", "serves"]
    assert any(line.startswith("m: Version 9 of servable m, which was requested specifically") for line in lines)


def build_strict(directory):
    """A run that fails for every input but 42, and one whose answers are random."""
    with tf1_session() as session:
        x = placeholder(tf.float32, [None], "x")
        with tf.control_dependencies([tf.debugging.assert_equal(x, 42.0)]):
            y = tf.identity(x)
        noise = x + tf.random.uniform([1])
        signatures = {"strict": signature({"x": x}, {"y": y}), "random": signature({"x": x}, {"y": noise})}
        save_tf1(session, directory, signatures)


def test_a_model_that_takes_no_made_up_input_is_not_called_broken(capsys, tmp_path):
    build_strict(tmp_path / "strict" / "1")
    status, lines = check(capsys, tmp_path / "strict")
    assert status == 0
    assert row(lines, "strict", "1", "strict") == ["Predict", "not", "tried"]
    assert any(line.startswith("strict/1/strict: it takes no made-up input: INVALID_ARGUMENT") for line in lines)
    assert row(lines, "strict", "1", "random")[:2] == ["Predict", "serves"]
    assert "strict/1/random: its answers are random, and are not compared" in lines
    assert lines[-1] == "1 would serve, 0 would fail, 1 could not be tried."


def test_a_signature_whose_output_is_not_in_the_graph_fails(capsys, models, tmp_path):
    shutil.copytree(models.version_path("half_plus_two"), tmp_path / "bad" / "1")
    path = tmp_path / "bad" / "1" / "saved_model.pb"
    stored = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    stored.meta_graphs[0].signature_def["serving_default"].outputs["y"].name = "nosuch:0"
    path.write_bytes(stored.SerializeToString())
    status, lines = check(capsys, tmp_path / "bad")
    assert (status, row(lines, "bad", "1", "serving_default")) == (1, ["Predict", "fails"])


def build_labels(directory):
    """Labels that are no text."""
    with tf1_session() as session:
        examples = placeholder(tf.string, [None], "examples")
        labels = tf.tile([[b"\xff\xfe", b"b"]], [tf.shape(examples)[0], 1])
        scores = tf.tile([[0.25, 0.75]], [tf.shape(examples)[0], 1])
        outputs = {"classes": labels, "scores": scores}
        save_tf1(session, directory, {"serving_default": signature({"inputs": examples}, outputs, "classify")})


def test_labels_that_are_no_text_serve(capsys, tmp_path):
    build_labels(tmp_path / "labels" / "1")
    status, lines = check(capsys, tmp_path / "labels")
    assert (status, row(lines, "labels", "1", "serving_default")[:2]) == (0, ["Classify", "serves"])
    assert "labels/1/serving_default: not compared, since its labels are no UTF-8" in lines


def test_a_version_that_was_checked_is_closed(models):
    loaded = []

    def load(directory):
        loaded.append(SavedModelLoader()(directory))
        return loaded[-1]

    checker = Checker(ServerOptions(), None, load, lambda _: Asked(), lambda _: [])
    list(checker.check("half", 1, models.version_path("half_plus_two")))
    (model,) = loaded
    default = model.signatures["serving_default"]
    with pytest.raises(ServingError):
        model.runner(tuple(default.inputs.values()), tuple(default.outputs.values())).run([np.ones(1, "f")], None)


class Broken:
    """TensorFlow alone, in a way that nobody foresaw."""

    def run(self, key, inputs):
        raise ZeroDivisionError("oh")


def test_a_check_that_fails_itself_hides_no_other(models):
    checker = Checker(ServerOptions(), None, SavedModelLoader(), lambda _: Broken(), lambda _: [])
    found = list(checker.check("half", 1, models.version_path("half_plus_two")))
    assert len(found) == 6
    assert {(each.verdict, each.text) for each in found} == {(Verdict.FAILS, "ZeroDivisionError: oh")}


class Asked:
    """TensorFlow alone, which would hang where the server's runs end with their deadline."""

    def __init__(self):
        self.keys = []

    def run(self, key, inputs):
        self.keys.append(key)
        raise Unavailable("not now")


def test_a_model_that_never_answers_fails_in_time_and_is_not_asked_again(models):
    alone = Asked()
    checker = Checker(ServerOptions(), None, SavedModelLoader(), lambda _: alone, lambda _: [], timeout_s=0.3)
    found = {each.signature: each for each in checker.check("gate", 1, models.version_path("gate"))}
    assert (found["await_arrival"].verdict, found["await_arrival"].text) == (Verdict.FAILS, "gives no answer in time")
    assert found["open"].verdict is Verdict.SERVES
    # Each `open` lets one `pass` answer, so some calls of it do.
    assert found["pass"].verdict is Verdict.FAILS
    assert found["pass"].text.startswith("answers, and not each time: DEADLINE_EXCEEDED")
    assert alone.keys == ["open", "pass"]


def build_without_kernel(directory):
    """An op that is registered and has no kernel on this machine."""
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
    def serve(x):
        state = tf.zeros([1, 1, 1])
        return {"y": tf.raw_ops.CudnnRNN(input=tf.reshape(x, [1, 1, -1]), input_h=state, input_c=state, params=x)[0]}

    tf.saved_model.save(module, str(directory), serve)


def test_a_model_without_a_kernel_fails_though_it_loads(capsys, tmp_path):
    build_without_kernel(tmp_path / "kernel" / "1")
    status, lines = check(capsys, tmp_path / "kernel")
    assert status == 1
    assert row(lines, "kernel", "1", "serving_default") == ["Predict", "fails"]
    assert any("No OpKernel was registered" in line for line in lines)


class _Wrong:
    """TensorFlow alone, if it gave other values than the server."""

    def __init__(self, values):
        self._values = values

    def run(self, key, inputs):
        return self._values


@pytest.mark.parametrize(
    ("expected", "verdict", "text"),
    [
        ({"y": [[1.0, 2.0]]}, False, "equals TensorFlow"),
        ({"y": [[1.0, 2.00001]]}, False, "equals TensorFlow to 5e-06"),
        ({"y": [[1.0, 2.1]]}, True, "differs from TensorFlow alone by up to 0.048 of a value"),
        ({"y": [[1.0]]}, True, "gives other shapes or values than TensorFlow alone"),
    ],
)
def test_answers_are_compared_by_value(expected, verdict, text):
    from servable import checking, wire
    from servable.codec import encoding

    reply = wire.PredictResponse()
    encoding.encode(np.array([[1.0, 2.0]], np.float32), wire.DT_FLOAT, reply.outputs["y"])
    call = checking._Call("/s/Predict", b"", {})
    arrays = {name: np.array(values, np.float32) for name, values in expected.items()}
    assert checking._compare(call, reply.SerializeToString(), arrays) == (verdict, text)


@pytest.mark.parametrize(
    ("arguments", "text"), [([], "There is nothing to check"), (["{}/none"], "does not exist"), (["--port=x"], "port")]
)
def test_wrong_arguments_end_before_tensorflow_is_imported(tmp_path, arguments, text):
    done = run(*[argument.format(tmp_path) for argument in arguments])
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stdout == ""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "servable", "check", *arguments],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_nothing_of_tensorflow_is_printed(models):
    done = run(str(models.base_path("half_plus_three")))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("0 would fail.")
