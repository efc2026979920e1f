"""How the declared inputs and outputs of a signature are reported."""

import pytest

from servable import wire
from servable.inspection import report
from tests.inspection.making import tensor
from tests.models.exporting import tf
from tests.models.odd_models import DTYPES


@pytest.mark.parametrize("name", DTYPES)
def test_a_dtype_is_named_as_tensorflow_names_it(name):
    dtype = tf.as_dtype(name)
    assert report.name_dtype(dtype.as_datatype_enum) == dtype.name


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (wire.DT_FLOAT_REF, "float32_ref"),
        (wire.DT_RESOURCE, "resource"),
        (wire.DT_INVALID, "invalid"),
        (77, "dtype_77"),
        (-1, "dtype_-1"),
        (999, "dtype_999"),
    ],
)
def test_references_and_unknown_numbers_have_a_name_too(number, name):
    assert report.name_dtype(number) == name


@pytest.mark.parametrize(
    ("text", "shape", "written"),
    [
        ("float32[?,3]", (None, 3), "[?, 3]"),
        ("float32[]", (), "[]"),
        ("float32[0]", (0,), "[0]"),
        ("float32[...]", None, "any shape"),
    ],
)
def test_a_shape_keeps_its_open_axes(text, shape, written):
    (described,) = report.describe_tensors({"x": tensor(text, "x:0")})
    assert described.shape == shape
    assert report.format_shape(described.shape) == written


def test_tensors_come_by_name_and_know_their_default():
    infos = {"b": tensor("string[?]", "b:0"), "a": tensor("int64[]", "f:1")}
    first, second = report.describe_tensors(infos, {"b"})
    assert (first.name, first.dtype, first.tensor_name, first.has_default) == ("a", "int64", "f:1", False)
    assert (second.name, second.has_default) == ("b", True)


def test_a_shape_that_is_not_declared_is_no_scalar():
    (described,) = report.describe_tensors({"x": wire.TensorInfo(name="x:0", dtype=wire.DT_FLOAT)})
    assert described.shape is None


def test_a_sparse_tensor_has_no_name():
    sparse = wire.TensorInfo(coo_sparse=wire.TensorInfo.CooSparse(values_tensor_name="v:0"), dtype=wire.DT_INT64)
    (described,) = report.describe_tensors({"ids": sparse})
    assert described.tensor_name == ""
