"""Which package an op is from, and the advice made of it."""

import pytest

from servable import op_packages
from servable.op_packages import Package


@pytest.mark.parametrize(
    ("op", "module"),
    [
        ("WhitespaceTokenizeWithOffsets", "tensorflow_text"),
        ("TFText>WhitespaceTokenizeWithOffsetsV2", "tensorflow_text"),
        ("SentencepieceOp", "tensorflow_text"),
        ("SentencepieceTokenizeOp", "tensorflow_text"),
        ("SimpleMLInferenceOpWithHandle", "tensorflow_decision_forests"),
        ("IO>DecodeWebP", "tensorflow_io"),
        ("Addons>Resampler", "tensorflow_addons"),
        ("TFRA>CuckooHashTableFind", "tensorflow_recommenders_addons"),
    ],
)
def test_an_op_of_a_well_known_package_is_listed_with_its_module(op, module):
    assert op_packages.find(op).module == module
    assert f"{op}: from {module}" in op_packages.advise([op])


# As tried with TensorFlow 2.16.1, 2.19.0 and 2.21.0; docs/custom-ops.md says which of them worked.
@pytest.mark.parametrize(
    ("op", "flag"),
    [
        ("TFText>WhitespaceTokenizeWithOffsetsV2", "--import=tensorflow_text"),
        ("TFRA>CuckooHashTableFind", "--import=tensorflow_recommenders_addons"),
        (
            "SimpleMLInferenceOpWithHandle",
            "--custom_op_libraries=SITE-PACKAGES/tensorflow_decision_forests/tensorflow/ops/inference/inference.so",
        ),
        ("IO>DecodeWebP", "--custom_op_libraries=SITE-PACKAGES/tensorflow_io/python/ops/libtensorflow_io.so"),
    ],
)
def test_a_package_is_brought_by_the_flag_that_was_tried(op, flag):
    assert op_packages.find(op).flag == flag
    assert f"; bring it with {flag}, after `pip install " in op_packages.advise([op])


def test_a_library_of_a_package_that_is_installed_is_named_by_its_path(tmp_path, monkeypatch):
    (tmp_path / "with_ops").mkdir()
    (tmp_path / "with_ops" / "__init__.py").write_text("raise RuntimeError('not to be imported')")
    monkeypatch.syspath_prepend(tmp_path)
    package = Package("with_ops", "with-ops", "ops/all.so")
    assert package.flag == f"--custom_op_libraries={tmp_path}/with_ops/ops/all.so"


def test_a_package_that_is_made_for_one_tensorflow_does_not_replace_the_servers():
    advice = op_packages.advise(["SimpleMLInferenceOpWithHandle"])
    assert "`pip install --no-deps tensorflow-decision-forests`" in advice
    assert advice.endswith("1.12.0, the last, with 2.19.")


def test_a_package_that_works_with_no_supported_tensorflow_is_not_recommended():
    advice = op_packages.advise(["Addons>Resampler"])
    assert advice.startswith("Addons>Resampler: from tensorflow_addons, of which no release works with TensorFlow 2.16")
    assert "pip install" not in advice


@pytest.mark.parametrize("op", ["HalveTheInput", "", "tftext>x", "MatMul", "WhitespaceTokenize"])
def test_any_other_op_has_no_package(op):
    assert op_packages.find(op) is None


def test_ops_are_listed_by_package_and_the_others_last():
    advice = op_packages.advise(["IO>A", "Mine", "IO>B", "RougeL", "Another"])
    assert advice.index("IO>A, IO>B: from tensorflow_io;") < advice.index("RougeL: from tensorflow_text;")
    assert advice.endswith(
        "Bring Another, Mine with --custom_op_libraries=LIBRARY.so, or with --import=MODULE if a Python package "
        "registers them."
    )


def test_a_package_that_is_there_need_not_be_installed():
    assert Package("json", "json").is_installed
    assert not Package("no_such_module", "no-such-module").is_installed
