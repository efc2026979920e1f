"""Text-format files, and the errors of those that cannot be read."""

import errno

import pytest

from servable import wire
from servable.config import text_proto
from servable.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ServingError,
    Unknown,
)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "config"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def refusal(path, **options):
    with pytest.raises(ServingError) as caught:
        text_proto.read(path, wire.ModelServerConfig, **options)
    return type(caught.value), caught.value.message


def test_a_file_is_read_as_the_message(write):
    path = write('model_config_list { config { name: "m" base_path: "/m" } }')
    [model] = text_proto.read(path, wire.ModelServerConfig).model_config_list.config
    assert (model.name, model.base_path) == ("m", "/m")


def test_comments_and_separators_between_fields_are_allowed(write):
    path = write('# models\nmodel_config_list: { config: { name: "m", base_path: "/m"; }, }  # end')
    assert len(text_proto.read(path, wire.ModelServerConfig).model_config_list.config) == 1


def test_text_beyond_ascii_is_read(write):
    path = write('model_config_list { config { name: "mödel" } }')
    assert text_proto.read(path, wire.ModelServerConfig).model_config_list.config[0].name == "mödel"


def test_an_any_of_a_known_type_is_read(write):
    path = write('custom_model_config { [type.googleapis.com/tensorflow.serving.ModelSpec] { name: "m" } }')
    assert text_proto.read(path, wire.ModelServerConfig).custom_model_config.type_url.endswith("ModelSpec")


@pytest.mark.parametrize("content", ["# nothing\n", "\n", " "])
def test_a_file_without_fields_is_an_empty_message(write, content):
    assert text_proto.read(write(content), wire.ModelServerConfig) == wire.ModelServerConfig()


def test_a_missing_file_is_not_found():
    assert refusal("/no/such/file") == (NotFound, "/no/such/file; No such file or directory")


def test_an_empty_file_is_an_invalid_argument(write):
    path = write("")
    assert refusal(path) == (InvalidArgument, f"{path}; Invalid argument")


def test_a_directory_is_named_as_one(tmp_path):
    assert refusal(str(tmp_path)) == (FailedPrecondition, f"{tmp_path}; Is a directory")


def test_a_path_through_a_file_is_named_as_one(write):
    path = write("x") + "/config"
    assert refusal(path) == (FailedPrecondition, f"{path}; Not a directory")


def test_too_long_a_path_is_named_as_one():
    path = "/" + "x" * 5000
    assert refusal(path) == (InvalidArgument, f"{path}; File name too long")


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (errno.EACCES, PermissionDenied, "/f; Permission denied"),
        (errno.EPERM, PermissionDenied, "/f; Operation not permitted"),
        (errno.EIO, Unknown, "/f; Input/output error"),
    ],
)
def test_other_errors_of_the_system_keep_their_code_and_text(number, error, message):
    made = text_proto.system_error("/f", number)
    assert (type(made), made.message) == (error, message)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "improperly formatted file",
            '1:1: Message type "tensorflow.serving.ModelServerConfig" has no field named "improperly".',
        ),
        ("model_config_list {\n  config { name: 5 } }", "2:18: Expected string but found: '5'"),
        ("model_config_list {", '1:19: Expected "}".'),
        (
            'model_config_list { config { name: "a" name: "b" } }',
            '1:46: Message type "tensorflow.serving.ModelConfig" should not have multiple "name" fields.',
        ),
        (
            "custom_model_config { [type.googleapis.com/no.Such] { } }",
            "Type no.Such not found in descriptor pool",
        ),
        (b"# one\nmodel_config_list { # \xff", "2:23: The text is not UTF-8."),
    ],
)
def test_text_that_cannot_be_parsed_is_refused_and_explained_on_stderr(write, capsys, content, line):
    path = write(content)
    assert refusal(path) == (InvalidArgument, f"Invalid protobuf file: '{path}'")
    printed = capsys.readouterr()
    assert printed.err == f"Error parsing text-format tensorflow.serving.ModelServerConfig: {line}\n"
    assert printed.out == ""


@pytest.mark.parametrize("content", ['name: "hunter2', "hunter2: 1", 'name { "hunter2" }', "x: 1 # hunter2"])
def test_the_text_of_a_secret_file_is_not_shown(write, capsys, content):
    path = write(content)
    assert refusal(path, secret=True) == (InvalidArgument, f"Invalid protobuf file: '{path}'")
    printed = capsys.readouterr().err
    assert printed.startswith("Error parsing text-format tensorflow.serving.ModelServerConfig: 1:")
    assert "hunter2" not in printed
