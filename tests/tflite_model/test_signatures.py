"""Which signatures a TensorFlow Lite model has: the original's rules, and what its file has on top."""

import contextlib
import random
from pathlib import Path

import pytest
import tensorflow as tf

from servable import wire
from servable.errors import AlreadyExists, Internal, InvalidArgument
from servable.tflite_model import stored
from servable.tflite_model.signatures import find_signatures
from tests.models import tflite_files

X, Y = "serving_default_x:0", "PartitionedCall:0"


def signatures(data):
    return find_signatures(stored.parse(data, Path("model.tflite")))


@pytest.fixture(scope="module")
def halves():
    return tflite_files.half_plus_two()


@pytest.mark.behaviour("7.5", "without SignatureDefs one is synthesised: aliases are tensor names up to the colon")
def test_the_synthesised_signature_has_the_names_of_tensors(halves):
    found = signatures(halves)
    (definition,) = found.definitions.values()
    assert list(found.definitions) == ["serving_default"]
    assert {alias: info.name for alias, info in definition.inputs.items()} == {"serving_default_x": X}
    assert {alias: info.name for alias, info in definition.outputs.items()} == {"PartitionedCall": Y}
    assert definition.method_name == "tensorflow/serving/predict"
    assert [dim.size for dim in definition.inputs["serving_default_x"].tensor_shape.dim] == [1, 1]
    assert definition.inputs["serving_default_x"].dtype == wire.DT_FLOAT


@pytest.mark.behaviour("7.5", "of outputs with one name before the colon the greater name wins")
def test_outputs_with_one_short_name_collapse():
    data = tflite_files.convert(lambda x: {"a": x + 1.0, "b": x * 2.0}, tflite_files.FLOATS)
    assert signatures(data).definitions["serving_default"].outputs["PartitionedCall"].name == "PartitionedCall:1"


@pytest.mark.behaviour("7.5", "SignatureDefs of the metadata are used; a tensor name may lack or have its :0")
@pytest.mark.parametrize(("stored_name", "named"), [("x", "x:0"), ("x", "x"), (X, X)])
def test_stored_definitions_are_used_and_their_names_repaired(halves, stored_name, named):
    data = tflite_files.with_definitions(
        tflite_files.rename(halves, {X: stored_name, Y: "y"}),
        {"serving_default": tflite_files.definition({"x": named}, {"y": "y:0"})},
    )
    definition = signatures(data).definitions["serving_default"]
    assert (definition.inputs["x"].name, definition.outputs["y"].name) == (stored_name, "y")


@pytest.mark.behaviour("7.5", "a SignatureDef with an unknown tensor fails the load")
@pytest.mark.parametrize("side", ["input", "output"])
def test_an_unknown_tensor_fails(halves, side):
    names = {"input": ({"a": "none:0"}, {"y": Y}), "output": ({"x": X}, {"a": "none:0"})}[side]
    data = tflite_files.with_definitions(halves, {"k": tflite_files.definition(*names)})
    with pytest.raises(Internal) as failure:
        signatures(data)
    assert failure.value.message == f"Unknown tensor 'none:0'.\n\tSignature {side} a references an unknown tensor"


@pytest.mark.behaviour("7.5", "SignatureDefs that do not parse fail the load")
@pytest.mark.parametrize("content", [b"", b"\xff" * 20, b"\x01\x02\x03", b"no flexbuffer at all"])
def test_broken_definitions_fail(halves, content):
    with pytest.raises(InvalidArgument, match=r"^INVALID_ARGUMENT: Invalid SignatureDefs found in TfLite model: "):
        signatures(tflite_files.with_metadata(halves, content))


@pytest.mark.behaviour("7.5", "a type that is not served fails the load, by its number")
@pytest.mark.parametrize(("type_", "number"), [(1, 10), (10, 11), (12, 13), (15, 16), (16, 17)])
def test_other_types_fail(halves, type_, number):
    with pytest.raises(Internal, match=rf"^INTERNAL: Unknown TfLite type: {number}\n"):
        signatures(tflite_files.retype(halves, type_))


@pytest.mark.behaviour("7.5", "an input without a name, or with another's, fails the load")
def test_names_are_needed_and_differ():
    data = tflite_files.convert(
        lambda a, b: {"y": a + b}, *(tf.TensorSpec([1], tf.float32, name=name) for name in ("a", "b"))
    )
    with pytest.raises(Internal, match=r"^INTERNAL: Input name missing for tensor index: \d"):
        signatures(tflite_files.rename(data, {"serving_default_a:0": ""}))
    with pytest.raises(
        AlreadyExists, match=r"^ALREADY_EXISTS: Input tensor name: serving_default_b:0 has multiple indices"
    ):
        signatures(tflite_files.rename(data, {"serving_default_a:0": "serving_default_b:0"}))


@pytest.mark.behaviour("7.5", "ours: the file's own signatures are served under keys that are free")
def test_own_signatures_are_added_under_free_keys(halves, tmp_path):
    found = signatures(tflite_files.two_functions(tmp_path))
    assert set(found.definitions) == {"serving_default", "double", "lookup"}
    assert [dim.size for dim in found.definitions["lookup"].inputs["row"].tensor_shape.dim] == [-1]
    assert found.left_out == {}
    assert signatures(halves).left_out == {"serving_default": "its key is taken"}


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 40, b"\x08\0\0\0TFL3" + b"\xff" * 40])
def test_what_is_no_model_is_said_to_be_none(data):
    with pytest.raises(InvalidArgument, match=r"^INVALID_ARGUMENT: Cannot build FlatBufferModel from buffer\."):
        stored.parse(data, Path("model.tflite"))


def test_mutated_files_are_read_or_refused(halves):
    """Whatever bytes a file has, reading it ends with a model or with InvalidArgument, in little time."""
    chance = random.Random(0)
    for _ in range(2000):
        data = bytearray(halves)
        for _ in range(chance.choice([1, 2, 8])):
            data[chance.randrange(len(data))] = chance.choice([0, 1, 127, 128, 255])
        with contextlib.suppress(InvalidArgument, Internal, AlreadyExists):
            signatures(bytes(data[: chance.choice([len(data), chance.randrange(len(data))])]))
