"""Our contract against the descriptors that the wheels of TensorFlow and TensorFlow Serving ship."""

import pytest
from tensorflow.core.protobuf import meta_graph_pb2

from servable import wire
from tests.wire import facts, pools
from tests.wire.unshipped import ENUMS, MESSAGES, SERVICES

# Fields that the wheels have and we leave out, each message with its reason. They pass through us unread.
TRIMMED = {
    # Needs all of struct.proto; a signature that can be served has tensors for components.
    "tensorflow.TensorInfo.CompositeTensor": {"type_spec"},
    # Python objects, debug data, gradients, names of arguments: serving asks for none of them.
    "tensorflow.MetaGraphDef": {"object_graph_def"},
    "tensorflow.GraphDef": {"debug_info"},
    "tensorflow.NodeDef": {"experimental_debug_info", "experimental_type"},
    "tensorflow.FunctionDefLibrary": {"gradient", "registered_gradients"},
    "tensorflow.FunctionDef": {"arg_attr", "control_ret", "resource_arg_unique_id", "ret"},
    # TensorFlow knows its operations; what is asked here is which ones a graph needs.
    "tensorflow.OpDef": {
        *("input_arg", "output_arg", "control_output", "attr", "deprecation", "summary", "description"),
        *("is_aggregate", "is_commutative", "is_distributed_communication", "is_stateful"),
        "allows_uninitialized_input",
    },
    # Only SessionService reaches them, and no server offers it.
    "tensorflow.RunOptions": {"debug_options"},
    "tensorflow.RunMetadata": {"cost_graph", "step_stats"},
    # A trace is made and read by TensorFlow alone.
    "tensorflow.profiler.XSpace": {"planes"},
}

# What the wheels of 2.16 do not have yet, and those of 2.21 do.
FLOAT8 = ("FLOAT8_E4M3FNUZ", "FLOAT8_E4M3B11FNUZ", "FLOAT8_E5M2FNUZ")
NEWER = {
    *(f"tensorflow.DataType.DT_{name}" for name in (*FLOAT8, "INT2", "UINT2", "FLOAT4_E2M1FN")),
    *(f"tensorflow.DataType.DT_{name}_REF" for name in (*FLOAT8, "INT2", "UINT2", "FLOAT4_E2M1FN")),
    "tensorflow.ProfileOptions.TraceOptions",
    "tensorflow.ProfileOptions.trace_options",
    "tensorflow.ProfileOptions.AdvancedConfigValue",
    "tensorflow.ProfileOptions.advanced_configuration",
    "tensorflow.ProfileOptions.raise_error_on_start_failure",
    "tensorflow.ProfileOptions.session_id",
    "tensorflow.ProfileOptions.override_hostname",
    "tensorflow.serving.PlatformConfig",
    "tensorflow.serving.PlatformConfigMap",
    "tensorflow.serving.PredictRequest.RequestOptions",
    "tensorflow.serving.PredictRequest.RequestOptions.DeterministicMode",
    "tensorflow.serving.PredictRequest.RequestOptions.Handshake",
    "tensorflow.serving.PredictRequest.request_options",
    "tensorflow.serving.PredictStreamedOptions.RequestState.CANCEL",
    "tensorflow.serving.PredictStreamedOptions.return_single_response",
    "tensorflow.serving.LogMetadata.safe_aggregation_privacy_key",
    "tensorflow.serving.LoggingConfig.custom_logging_config",
    "tensorflow.serving.PerTaskSamplingConfig",
    "tensorflow.serving.SamplingConfig.per_task_sampling_configs",
}
MAY_LACK = NEWER if pools.SHIPPED_VERSION < (2, 21) else set()

OUR_MESSAGES = {message.full_name: message for message in facts.walk(pools.OURS)}
OUR_ENUMS = {enum.full_name: enum for enum in facts.enums(pools.OURS)}
OUR_SERVICES = {service.full_name: service for service in facts.services(pools.OURS)}


def assert_same(name, ours, theirs, trimmed=frozenset()):
    """Compare two tables of facts, but for what a wheel may lack and what we trimmed."""
    lacking = {key for key in ours.keys() - theirs.keys() if f"{name}.{key}" in MAY_LACK}
    assert {key: fact for key, fact in ours.items() if key not in lacking} == {
        key: fact for key, fact in theirs.items() if key not in trimmed
    }


@pytest.mark.behaviour("1.2", "messages, fields, numbers and types are those of the shipped API")
@pytest.mark.behaviour("1.3", "replies of GetModelStatus have no model_spec")
@pytest.mark.parametrize("name", sorted(OUR_MESSAGES.keys() - MESSAGES.keys() - MAY_LACK))
def test_a_message_has_the_fields_of_the_shipped_one(name):
    theirs = facts.fields(pools.SHIPPED.FindMessageTypeByName(name))
    trimmed = TRIMMED.get(name, set())
    assert trimmed <= theirs.keys(), "an entry of TRIMMED is stale"
    assert_same(name, facts.fields(OUR_MESSAGES[name]), theirs, trimmed)


@pytest.mark.behaviour("1.2", "messages, fields, numbers and types are those of the shipped API")
@pytest.mark.parametrize("name", sorted(OUR_ENUMS.keys() - ENUMS.keys() - MAY_LACK))
def test_an_enum_has_the_values_of_the_shipped_one(name):
    assert_same(name, facts.values(OUR_ENUMS[name]), facts.values(pools.SHIPPED.FindEnumTypeByName(name)))


@pytest.mark.behaviour("1.2", "messages, fields, numbers and types are those of the shipped API")
@pytest.mark.parametrize("name", sorted(OUR_SERVICES.keys() - SERVICES.keys()))
def test_a_service_has_the_methods_of_the_shipped_one(name):
    assert facts.methods(OUR_SERVICES[name]) == facts.methods(pools.SHIPPED.FindServiceByName(name))


@pytest.mark.behaviour("1.2", "messages, fields, numbers and types are those of the shipped API")
def test_nothing_of_the_serving_api_is_missing():
    assert {message.full_name for message in facts.walk(pools.SERVING_FILES)} <= OUR_MESSAGES.keys()
    assert {enum.full_name for enum in facts.enums(pools.SERVING_FILES)} <= OUR_ENUMS.keys()
    assert {service.full_name for service in facts.services(pools.SERVING_FILES)} <= OUR_SERVICES.keys()


def test_every_message_said_to_be_trimmed_is_ours():
    assert TRIMMED.keys() <= OUR_MESSAGES.keys()


def test_everything_said_to_be_newer_is_ours():
    tables = {name: facts.fields(message) for name, message in OUR_MESSAGES.items()}
    tables |= {name: facts.values(enum) for name, enum in OUR_ENUMS.items()}
    ours = {*tables, *(f"{name}.{key}" for name, table in tables.items() for key in table)}
    assert sorted(NEWER - ours) == []


def test_no_wheel_ships_what_is_said_to_be_unshipped():
    # All three kinds live in one namespace. google.rpc comes with grpcio-status, which others may install.
    names = [name for name in (*MESSAGES, *ENUMS, *SERVICES) if not name.startswith("google.rpc.")]
    assert [name for name in names if pools.is_shipped(name)] == []


def test_a_trimmed_field_passes_through_unread():
    shipped = meta_graph_pb2.TensorInfo()
    shipped.composite_tensor.type_spec.type_spec_class_name = "RaggedTensorSpec"
    shipped.composite_tensor.components.add(name="values:0")
    ours = wire.TensorInfo.FromString(shipped.SerializeToString())
    assert ours.composite_tensor.components[0].name == "values:0"
    assert meta_graph_pb2.TensorInfo.FromString(ours.SerializeToString()) == shipped
