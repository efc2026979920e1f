"""Messages in JSON, as protobuf's C++ writes them."""

import json

import pytest
from google.protobuf import json_format

from servable import wire
from servable.codec.json import messages


def tensor_info(**fields):
    return wire.TensorInfo(name="x:0", dtype=wire.DT_FLOAT, **fields)


@pytest.mark.behaviour(
    "9.8", "the JSON of a message has fields with defaults, indents of one space and a last new line"
)
def test_the_layout_of_a_status():
    response = wire.GetModelStatusResponse()
    response.model_version_status.add(version=123, state=30).status.SetInParent()
    assert messages.write(response) == (
        '{\n "model_version_status": [\n  {\n   "version": "123",\n   "state": "AVAILABLE",\n'
        '   "status": {\n    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )


@pytest.mark.behaviour(
    "9.8", "the JSON of a message has fields with defaults, indents of one space and a last new line"
)
def test_a_message_without_fields():
    assert messages.write(wire.GetModelStatusResponse()) == '{\n "model_version_status": []\n}\n'
    assert messages.write(wire.ServerLiveRequest() if hasattr(wire, "ServerLiveRequest") else wire.Any()) in {
        "{}\n",
        '{\n "type_url": "",\n "value": ""\n}\n',
    }


@pytest.mark.behaviour("9.8", "absent messages and members of oneofs are left out; 64-bit integers are strings")
def test_fields_with_presence_are_left_out_if_absent():
    spec = wire.ModelSpec(name="m")
    assert json.loads(messages.write(spec)) == {"name": "m", "signature_name": ""}
    spec.version.value = 2**53 + 1
    assert json.loads(messages.write(spec)) == {"name": "m", "signature_name": "", "version": "9007199254740993"}


@pytest.mark.behaviour("9.8", "what HTML may take for something else is escaped")
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<>&", '"\\u003c\\u003e&"'),
        ('"\\\n\x01', '"\\"\\\\\\n\\u0001"'),
        ("\x7f\x9f\xad\u200b\u2028\ufeff", '"\\u007f\\u009f\\u00ad\\u200b\\u2028\\ufeff"'),
        ("é😀", '"é😀"'),
        ("\U000e0001", '"\\udb40\\udc01"'),
    ],
)
def test_escapes(text, written):
    assert messages.write(wire.ModelSpec(name=text)).splitlines()[1] == f' "name": {written},'
    assert json.loads(messages.write(wire.ModelSpec(name=text)))["name"] == text


@pytest.mark.behaviour("9.8", "the JSON of a message means what protobuf's own JSON means")
def test_a_signature_reads_back():
    """Maps, enums, floats that are not finite, bytes, and numbers of all sizes."""
    definition = wire.SignatureDef(method_name="tensorflow/serving/predict")
    definition.inputs["x"].CopyFrom(tensor_info(tensor_shape=wire.TensorShapeProto(unknown_rank=True)))
    definition.inputs["<é>"].CopyFrom(wire.TensorInfo(dtype=999))
    default = definition.defaults["x"]
    default.dtype = wire.DT_DOUBLE
    default.float_val.extend([0.1, 1.5, 3.0, 1e-45, 3.4e38, float("nan"), float("inf"), float("-inf")])
    default.double_val.extend([0.1, 1e300, 5e-324])
    default.string_val.extend([b"\xff", b""])
    default.int64_val.append(-(2**63))
    default.uint64_val.append(2**64 - 1)
    default.bool_val.append(True)
    definition.outputs["y"].coo_sparse.values_tensor_name = "v:0"
    read = json_format.Parse(messages.write(definition), wire.SignatureDef())
    assert read.SerializeToString(deterministic=True) == definition.SerializeToString(deterministic=True)
