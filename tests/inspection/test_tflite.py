"""`servable inspect` of TensorFlow Lite models: as files, and in version directories."""

import pytest

from servable.errors import InvalidArgument, NotFound
from servable.execution.loader import SavedModelLoader
from servable.inspection import as_text, survey
from tests.models import tflite_files


def inspect(path):
    return survey.inspect(str(path), lambda _: ())


@pytest.fixture(scope="module")
def halves():
    return tflite_files.half_plus_two()


@pytest.fixture
def base_path(tmp_path, halves):
    path = tmp_path / "half"
    (path / "3").mkdir(parents=True)
    (path / "3" / "model.tflite").write_bytes(halves)
    return path


def test_a_version_and_a_file_are_described_alike(base_path):
    of_version, of_file = inspect(base_path), inspect(base_path / "3" / "model.tflite")
    assert (of_version.version, of_version.versions, of_file.version) == (3, (3,), None)
    assert of_version.signatures == of_file.signatures
    (signature,) = of_version.signatures
    assert [tensor.name for tensor in (*signature.inputs, *signature.outputs)] == [
        "serving_default_x",
        "PartitionedCall",
    ]
    assert signature.rpcs["Predict"].callable
    assert {warning.code for warning in of_version.warnings} == {"signature_left_out"}
    assert as_text.to_text(of_version).startswith("TensorFlow Lite model, version 3: 1 signature, 1 warning\n")


def test_ops_that_no_interpreter_has_are_warned_of(tmp_path, halves):
    def change(model):
        for code in model.operatorCodes:
            code.builtinCode, code.deprecatedBuiltinCode, code.customCode = 32, 32, b"FlexAsString"

    (tmp_path / "m.tflite").write_bytes(tflite_files.edit(halves, change))
    assert "missing_op" in {warning.code for warning in inspect(tmp_path / "m.tflite").warnings}


def test_a_file_that_is_no_model_is_said_to_be_none(tmp_path):
    (tmp_path / "m.tflite").write_bytes(b"no model")
    with pytest.raises(InvalidArgument, match="Cannot build FlatBufferModel from buffer"):
        inspect(tmp_path / "m.tflite")


@pytest.mark.behaviour(
    "7.5", "without the flag a folder with model.tflite only fails as a SavedModel; ours: with a hint"
)
def test_without_the_flag_the_load_names_it(base_path):
    with pytest.raises(NotFound) as failure:
        SavedModelLoader()(base_path / "3")
    assert failure.value.message.startswith("Specified file path does not appear to contain a SavedModel bundle")
    assert "which --prefer_tflite_model serves" in failure.value.message
