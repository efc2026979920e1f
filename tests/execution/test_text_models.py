"""A SavedModel stored as text loads whole, functions and all."""

from __future__ import annotations

import shutil

import numpy as np
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

from servable.execution.loader import SavedModelLoader


def test_a_model_with_functions_loads_from_text(models, tmp_path):
    directory = shutil.copytree(models.version_path("matmul_tf2"), tmp_path / "1")
    binary = directory / "saved_model.pb"
    stored = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    (directory / "saved_model.pbtxt").write_text(text_format.MessageToString(stored))
    binary.unlink()

    loaded = SavedModelLoader()(directory)

    signature = loaded.signatures["serving_default"]
    runner = loaded.runner(tuple(signature.inputs.values()), tuple(signature.outputs.values()))
    (result,) = runner.run([np.array([[2.0]], np.float32)], None)
    assert result.tolist() == [[2.0, 4.0]]
