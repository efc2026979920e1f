"""The wire module as the rest of the house uses it."""

import ast
from pathlib import Path

import pytest
from google.protobuf import text_format

from servable import wire

FOLDER = Path(wire.__file__).parent
CLIENT = Path(__file__).parents[2] / "client" / "servable_client"


def stub_names():
    """Return the names that wire.pyi declares at its top level."""
    for node in ast.parse((FOLDER / "wire.pyi").read_text()).body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id


def test_the_module_has_every_name_that_its_types_declare():
    assert [name for name in stub_names() if not hasattr(wire, name)] == []


@pytest.mark.parametrize("name", ["wire.binpb", "wire.py", "wire.pyi"])
def test_server_and_client_have_the_same_file(name):
    assert (FOLDER / name).read_bytes() == (CLIENT / name).read_bytes()


def test_a_reply_of_any_kind_is_packed_and_unpacked():
    packed = wire.Any()
    packed.Pack(wire.SignatureDefMap(signature_def={"s": wire.SignatureDef(method_name="m")}))
    unpacked = wire.SignatureDefMap()
    assert packed.type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    assert packed.Unpack(unpacked)
    assert unpacked.signature_def["s"].method_name == "m"


def test_a_text_config_is_parsed_down_to_what_an_any_holds():
    text = """
        platform_configs { key: "tensorflow" value { source_adapter_config {
            [type.googleapis.com/tensorflow.serving.BatchingParameters] { max_batch_size { value: 3 } }
        } } }
    """
    parsed = text_format.Parse(text, wire.PlatformConfigMap(), descriptor_pool=wire.POOL)
    batching = wire.BatchingParameters()
    assert parsed.platform_configs["tensorflow"].source_adapter_config.Unpack(batching)
    assert batching.max_batch_size.value == 3


def test_an_unknown_field_is_kept():
    # Field 2000, a varint: no message has it.
    unknown = b"\x80\x7d\x01"
    assert wire.ModelSpec.FromString(unknown).SerializeToString() == unknown


def test_enums_name_their_values_and_leave_them_as_constants():
    assert wire.DataType.Name(wire.DT_FLOAT) == "DT_FLOAT"
    assert wire.ModelVersionStatus.State.Value("AVAILABLE") == wire.ModelVersionStatus.AVAILABLE


def test_a_service_is_found_by_its_full_name():
    service = wire.POOL.FindServiceByName("tensorflow.serving.ModelService")
    assert [method.name for method in service.methods] == ["GetModelStatus", "HandleReloadConfigRequest"]
