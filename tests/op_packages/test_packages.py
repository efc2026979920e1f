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
    assert f"{op}: from {module}; bring it with --import={module}" in op_packages.advise([op])


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
