"""Reading a version directory without TensorFlow: which file, and the error when there is none or a bad one."""

import subprocess
import sys

import pytest

from servable import saved_model, wire
from servable.errors import DataLoss, FailedPrecondition, InvalidArgument, NotFound, Unimplemented


def stored(*tag_sets):
    message = wire.SavedModel(saved_model_schema_version=1)
    for tags in tag_sets:
        message.meta_graphs.add().meta_info_def.tags.extend(tags)
    return message


def write(directory, message):
    (directory / "saved_model.pb").write_bytes(message.SerializeToString())
    return directory


def refusal(directory):
    with pytest.raises((DataLoss, FailedPrecondition, InvalidArgument, NotFound, Unimplemented)) as caught:
        saved_model.read(directory)
    return type(caught.value), caught.value.message


def test_the_binary_file_is_read(tmp_path):
    assert saved_model.read(write(tmp_path, stored(["serve"]))) == stored(["serve"])


@pytest.mark.behaviour("7.1", "saved_model.pb or saved_model.pbtxt")
def test_the_text_file_is_read_where_there_is_no_binary_one(tmp_path):
    text = 'saved_model_schema_version: 1 meta_graphs { meta_info_def { tags: "serve" } }'
    (tmp_path / "saved_model.pbtxt").write_text(text)
    assert saved_model.read(tmp_path) == stored(["serve"])
    assert saved_model.read(write(tmp_path, stored(["train"]))) == stored(["train"])


def test_fields_that_our_messages_lack_are_kept(tmp_path):
    unknown = b"\xfa\x07\x03abc"  # Field 127.
    (tmp_path / "saved_model.pb").write_bytes(stored(["serve"]).SerializeToString() + unknown)
    assert saved_model.read(tmp_path).SerializeToString().endswith(unknown)


@pytest.mark.behaviour("6.5", "a saved_model.pb that is cut, garbage or empty")
@pytest.mark.parametrize("content", [b"\xff" * 64, b"\x12\x05\x0a", b"not a protobuf message"])
def test_bytes_that_are_no_saved_model_are_data_loss(tmp_path, content):
    path = tmp_path / "saved_model.pb"
    path.write_bytes(content)
    assert refusal(tmp_path) == (
        DataLoss,
        f"Can't parse {path} as binary proto ({len(content)} bytes): the file is truncated or no SavedModel. "
        "Copy the version directory again.",
    )


@pytest.mark.parametrize("content", [b"", b"\x08\x01"])
def test_a_saved_model_without_a_meta_graph_is_data_loss(tmp_path, content):
    path = tmp_path / "saved_model.pb"
    path.write_bytes(content)
    assert refusal(tmp_path) == (
        DataLoss,
        f"{path} holds no meta graph: the file is empty or no SavedModel. Copy it again.",
    )


@pytest.mark.parametrize("content", ["meta_graphs {", "meta_graphs: 1", "\udcff"])
def test_a_text_that_does_not_parse_is_invalid(tmp_path, content):
    path = tmp_path / "saved_model.pbtxt"
    path.write_text(content, errors="surrogateescape")
    kind, message = refusal(tmp_path)
    assert kind is InvalidArgument
    assert message.startswith(f"Can't parse {path} as text proto: ")
    assert message.endswith(". Store the model as saved_model.pb if it is valid.")


@pytest.mark.behaviour("6.5", "no saved_model.pb")
def test_a_directory_without_either_is_not_found(tmp_path):
    for directory in (tmp_path, tmp_path / "missing"):
        assert refusal(directory) == (
            NotFound,
            "Specified file path does not appear to contain a SavedModel bundle (should have a file called "
            f"`saved_model.pb`)\nSpecified file path: {directory}",
        )


def test_a_file_is_no_directory(tmp_path):
    path = tmp_path / "1"
    path.write_text("no directory")
    assert refusal(path) == (FailedPrecondition, f"{path}; Not a directory")


@pytest.mark.behaviour("6.5", "a directory with export.meta")
def test_a_session_bundle_is_reported_as_one(tmp_path):
    (tmp_path / "export.meta").touch()
    assert refusal(tmp_path) == (
        Unimplemented,
        f"Session Bundle is deprecated and removed.\nExport the model of {tmp_path} again, as a SavedModel.",
    )


def test_a_saved_model_beside_an_export_meta_is_read(tmp_path):
    (tmp_path / "export.meta").touch()
    assert saved_model.read(write(tmp_path, stored(["serve"]))) == stored(["serve"])


def test_a_file_that_cannot_be_read_is_reported(tmp_path):
    (tmp_path / "saved_model.pb").mkdir()
    assert refusal(tmp_path) == (
        FailedPrecondition,
        f"{tmp_path}/saved_model.pb; Is a directory. The server must be allowed to read it.",
    )


def test_reading_needs_no_tensorflow(tmp_path):
    write(tmp_path, stored(["serve"]))
    code = (
        "import sys, pathlib; from servable import saved_model; "
        "saved_model.read(pathlib.Path(sys.argv[1])); print('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "False\n"
