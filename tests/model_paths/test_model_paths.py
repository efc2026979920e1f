"""What a path on the command line names, and what is said of one that names no model."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from servable.config.models import Latest, ModelConfig, Specific
from servable.errors import FailedPrecondition, InvalidArgument, NotFound
from servable.model_paths import check_names, read_arguments

PATIENCE_S = 90.0


def save(directory):
    """A directory that looks like a SavedModel."""
    directory.mkdir(parents=True)
    (directory / "saved_model.pb").touch()
    return directory


@pytest.fixture
def base(tmp_path):
    """A base path with two versions."""
    for number in ("1", "3"):
        save(tmp_path / "digits" / number)
    return tmp_path / "digits"


def test_a_base_path_is_served_by_its_folder_s_name(base):
    assert read_arguments([str(base)]) == (ModelConfig("digits", str(base), Latest(1)),)


def test_one_version_folder_is_that_version_of_the_model(base):
    assert read_arguments([f"{base}/3/"]) == (ModelConfig("digits", str(base), Specific((3,))),)


def test_a_model_in_no_version_folder_is_served_as_version_1(tmp_path):
    path = save(tmp_path / "my_export")
    assert read_arguments([str(path)]) == (ModelConfig("my_export", str(path), is_version_directory=True),)


def test_names_may_be_given(base, tmp_path):
    save(tmp_path / "x")
    named = read_arguments([f"a={base}", f"b={tmp_path}/x"])
    assert [model.name for model in named] == ["a", "b"]


def test_a_path_with_an_equals_sign_that_is_there_needs_no_name(tmp_path):
    path = save(tmp_path / "lr=0.1")
    assert read_arguments([str(path)])[0].name == "lr=0.1"


def test_relative_paths_and_home_are_made_absolute(base, monkeypatch):
    monkeypatch.chdir(base)
    monkeypatch.setenv("HOME", str(base.parent))
    paths = [
        model.base_path for name in (".", "../digits", "~/digits", "x=~/digits/1") for model in read_arguments([name])
    ]
    assert paths == [str(base)] * 4
    assert read_arguments(["."])[0].name == "digits"


def test_the_flag_names_the_only_path_and_no_other(base):
    assert read_arguments([str(base)], "mine")[0].name == "mine"
    with pytest.raises(InvalidArgument, match="names one model, and 2 paths are given"):
        read_arguments([str(base), f"b={base}"], "mine")
    with pytest.raises(InvalidArgument, match="both name the model"):
        read_arguments([f"b={base}"], "mine")


def test_two_models_of_one_name_are_told_apart_as_the_error_says(base, tmp_path):
    save(tmp_path / "other" / "digits")
    with pytest.raises(InvalidArgument, match="Two models would be called") as error:
        read_arguments([str(base), f"{tmp_path}/other/digits"])
    advice = error.value.message.rpartition("Name one of them: ")[2]
    assert [model.name for model in read_arguments([str(base), advice])] == ["digits", "digits2"]


def test_two_versions_of_one_model_are_told_apart_by_their_folders(base):
    with pytest.raises(InvalidArgument) as error:
        read_arguments([f"{base}/1", f"{base}/3", f"digits2={base}"])
    assert error.value.message.endswith(f"{base}/1 and {base}/3. Name one of them: digits3={base}/3")


def test_an_empty_path_is_refused():
    for argument in ("", "a="):
        with pytest.raises((InvalidArgument, NotFound)):
            read_arguments([argument])


def test_flags_and_paths_may_not_share_a_name(base):
    flags = ModelConfig("digits", "/models/digits")
    with pytest.raises(InvalidArgument, match=r"/models/digits and .*digits\."):
        check_names([flags, *read_arguments([str(base)])])


def test_a_path_that_is_not_there_names_one_that_is(base):
    with pytest.raises(NotFound, match=rf"digit does not exist. Did you mean {base}\?"):
        read_arguments([str(base.parent / "digit")])
    with pytest.raises(NotFound, match=r"nowhere/digits does not exist. Nor does .*nowhere\."):
        read_arguments([str(base.parent / "nowhere" / "digits")])


def test_a_folder_of_models_names_those_that_can_be_served_as_the_error_says(base, tmp_path):
    save(tmp_path / "my_export")
    with pytest.raises(NotFound, match="Did you mean") as error:
        read_arguments([str(tmp_path)])
    suggested = error.value.message.rpartition("Did you mean ")[2].rstrip("?").split(" or ")
    assert suggested == [str(base), str(tmp_path / "my_export")]
    assert len(read_arguments(suggested)) == 2


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("m.keras", "keras.saving.load_model"),
        ("m.h5", "keras.saving.load_model"),
        ("m.tflite", "Then serve {export} --prefer_tflite_model."),
        ("frozen.pb", "import_graph_def"),
        ("m.onnx", "onnx2tf -i"),
        ("m.pt", "torch.onnx.export"),
        ("model.ckpt-1.index", "tf.saved_model.save"),
        ("m.tar.gz", "tar -xf"),
        ("m.zip", "zipfile -e"),
    ],
)
def test_a_model_of_another_kind_comes_with_what_exports_it(tmp_path, name, command):
    path = tmp_path / name
    path.touch()
    for argument in (path, tmp_path):
        with pytest.raises(FailedPrecondition) as error:
            read_arguments([str(argument)])
        assert str(path) in error.value.message
        assert command.format(export=path.with_name("m_export")) in error.value.message


@pytest.mark.parametrize(
    ("files", "command"),
    [(("config.json", "model.safetensors"), "transformers"), (("checkpoint", "weights.data"), "tf.saved_model.save")],
)
def test_a_folder_of_another_kind_comes_with_what_exports_it(tmp_path, files, command):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(FailedPrecondition, match=command):
        read_arguments([str(tmp_path)])


def test_the_command_for_a_keras_model_makes_what_is_served(tmp_path):
    make = "import keras; keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)]).save('m.keras')"
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True, capture_output=True, timeout=PATIENCE_S)
    with pytest.raises(FailedPrecondition) as error:
        read_arguments([str(tmp_path / "m.keras")])
    command = error.value.message.partition("To have one: ")[2].partition("\n")[0]
    advised = shlex.split(command)
    assert advised[0] == "python"
    subprocess.run([sys.executable, *advised[1:]], check=True, capture_output=True, timeout=PATIENCE_S)
    served = error.value.message.rpartition("Then serve ")[2].rstrip(".")
    (config,) = read_arguments([served])
    assert Path(config.base_path, "1", "saved_model.pb").exists()


def test_a_model_right_below_the_root_needs_a_name(monkeypatch):
    monkeypatch.setattr("os.path.isdir", lambda _path: True)
    monkeypatch.setattr("os.path.isfile", lambda _path: False)
    monkeypatch.setattr("os.path.exists", lambda path: str(path) == "/1/saved_model.pb")
    with pytest.raises(InvalidArgument, match=r"/1 has no folder to call the model by; write NAME=/1\."):
        read_arguments(["/1"])
    assert read_arguments(["mine=/1"])[0].name == "mine"
