"""Every flag of tensorflow_model_server with its type and default, written out, and ours."""

import dataclasses
import os

import pytest

from servable import options
from servable.options import FLAGS, Effect, Kind, ServerOptions

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

ORIGINAL = {
    "port": ("int32", 8500),
    "grpc_socket_path": ("string", ""),
    "rest_api_port": ("int32", 0),
    "rest_api_num_threads": ("int32", 4 * CPUS),
    "rest_api_timeout_in_ms": ("int32", 30000),
    "rest_api_enable_cors_support": ("bool", False),
    "enable_batching": ("bool", False),
    "allow_version_labels_for_unavailable_models": ("bool", False),
    "batching_parameters_file": ("string", ""),
    "enable_per_model_batching_parameters": ("bool", False),
    "model_config_file": ("string", ""),
    "model_config_file_poll_wait_seconds": ("int32", 0),
    "model_name": ("string", "default"),
    "model_base_path": ("string", ""),
    "num_load_threads": ("int32", 0),
    "num_unload_threads": ("int32", 0),
    "max_num_load_retries": ("int32", 5),
    "load_retry_interval_micros": ("int64", 60000000),
    "file_system_poll_wait_seconds": ("int32", 1),
    "flush_filesystem_caches": ("bool", True),
    "tensorflow_session_parallelism": ("int64", 0),
    "tensorflow_session_config_file": ("string", ""),
    "tensorflow_intra_op_parallelism": ("int64", 0),
    "tensorflow_inter_op_parallelism": ("int64", 0),
    "use_alts_credentials": ("bool", False),
    "ssl_config_file": ("string", ""),
    "platform_config_file": ("string", ""),
    "per_process_gpu_memory_fraction": ("float", 0.0),
    "saved_model_tags": ("string", "serve"),
    "grpc_channel_arguments": ("string", ""),
    "grpc_max_threads": ("int32", 4 * CPUS),
    "enable_model_warmup": ("bool", True),
    "num_request_iterations_for_warmup": ("int32", 0),
    "version": ("bool", False),
    "monitoring_config_file": ("string", ""),
    "remove_unused_fields_from_bundle_metagraph": ("bool", True),
    "prefer_tflite_model": ("bool", False),
    "num_tflite_pools": ("int32", CPUS),
    "num_tflite_interpreters_per_pool": ("int32", 1),
    "enable_signature_method_name_check": ("bool", False),
    "xla_cpu_compilation_enabled": ("bool", False),
    "xla_gpu_compilation_enabled": ("bool", False),
    "enable_profiler": ("bool", True),
    "thread_pool_factory_config_file": ("string", ""),
    "mixed_precision": ("string", ""),
    "skip_initialize_tpu": ("bool", False),
    "enable_grpc_healthcheck_service": ("bool", False),
    "enable_serialization_as_tensor_content": ("bool", False),
}
OURS = {
    "grpc_lanes": ("int32", 1),
    "grpc_error_details": ("bool", True),
    "grpc_max_message_mb": ("int32", 0),
    "grpc_max_decompressed_mb": ("int32", 0),
    "grpc_max_connection_age_s": ("float", 1800.0),
    "drain_delay_s": ("float", 8.0),
    "drain_timeout_s": ("float", 30.0),
    "log_level": ("string", "info"),
    "log_format": ("string", "text"),
    "access_log_ratio": ("float", -1.0),
    "access_log_slow_ms": ("int32", 1000),
    "access_log_max_per_s": ("int32", 1000),
    "metrics_port": ("int32", 0),
    "bind_address": ("string", "0.0.0.0"),
    "rest_api_max_body_mb": ("int32", 256),
    "rest_api_max_head_kb": ("int32", 256),
    "rest_api_max_pending_mb": ("int32", 1024),
    "rest_api_max_connections": ("int32", 4096),
    "tracing": ("string", "auto"),
    "rest_api_max_connection_age_s": ("float", 1800.0),
    "console": ("string", "auto"),
    "request_log": ("string", ""),
    "request_log_format": ("string", "tfrecord"),
    "request_log_sampling_rate": ("float", 1.0),
    "request_log_rotate_mb": ("int32", 64),
    "request_log_rotate_s": ("float", 300.0),
    "request_log_max_mb": ("int32", 1024),
    "allow_request_logging_by_reload": ("bool", False),
    "tls_certificate_file": ("string", ""),
    "tls_key_file": ("string", ""),
    "tls_client_ca_file": ("string", ""),
    "trusted_proxies": ("string", ""),
    "admin_port": ("int32", 0),
    "admin_http_port": ("int32", 0),
    "admin_bind_address": ("string", "127.0.0.1"),
    "authorization_file": ("string", ""),
    "authorization_poll_s": ("float", 5.0),
    "max_calls_in_flight": ("int32", 10000),
    "max_calls_in_flight_per_model": ("int32", 0),
    "max_calls_in_flight_per_caller": ("int32", 0),
    "max_queued_calls_per_model": ("int32", 0),
    "caller_metadata_key": ("string", ""),
    "max_request_mb_in_flight": ("int32", 0),
    "adaptive_concurrency": ("bool", False),
    "custom_op_libraries": ("string", ""),
    "freeze_variables_up_to_mb": ("int32", 64),
    "import": ("string", ""),
}
EVERY = {**ORIGINAL, **OURS}

PYTHON_TYPES = {"bool": bool, "int32": int, "int64": int, "float": float, "string": str}


@pytest.mark.behaviour("5", "there are the 48 flags of the original and ours")
def test_the_table_holds_the_48_flags_of_the_original_and_ours_and_no_other():
    assert len(ORIGINAL) == 48
    assert list(FLAGS) == list(EVERY)


@pytest.mark.behaviour("5", "--rest_api_port")
@pytest.mark.behaviour("5", "--rest_api_num_threads")
@pytest.mark.behaviour("5", "--rest_api_timeout_in_ms")
@pytest.mark.behaviour("5", "--rest_api_enable_cors_support")
@pytest.mark.behaviour("5", "--enable_batching")
@pytest.mark.behaviour("5", "--batching_parameters_file")
@pytest.mark.behaviour("5", "--enable_per_model_batching_parameters")
@pytest.mark.behaviour("5", "--flush_filesystem_caches")
@pytest.mark.behaviour("5", "--platform_config_file")
@pytest.mark.behaviour("5", "--enable_model_warmup")
@pytest.mark.behaviour("5", "--num_request_iterations_for_warmup")
@pytest.mark.behaviour("5", "--monitoring_config_file")
@pytest.mark.behaviour("5", "--remove_unused_fields_from_bundle_metagraph")
@pytest.mark.behaviour("5", "--prefer_tflite_model")
@pytest.mark.behaviour("5", "--num_tflite_pools")
@pytest.mark.behaviour("5", "--num_tflite_interpreters_per_pool")
@pytest.mark.behaviour("5", "--thread_pool_factory_config_file")
@pytest.mark.behaviour("5", "--skip_initialize_tpu")
@pytest.mark.behaviour("5", "--enable_grpc_healthcheck_service")
@pytest.mark.behaviour("5", "ours: --drain_delay_s")
@pytest.mark.parametrize("name", EVERY)
def test_a_flag_has_its_type_and_default(name):
    kind, default = EVERY[name]
    value = dict(zip(FLAGS, dataclasses.astuple(ServerOptions()), strict=True))[name]
    assert (FLAGS[name].kind, value) == (Kind(kind), default)
    assert type(value) is PYTHON_TYPES[kind]


@pytest.mark.parametrize("field", dataclasses.fields(ServerOptions), ids=lambda field: field.name)
def test_a_flag_is_annotated_with_its_type(field):
    assert field.type == PYTHON_TYPES[EVERY[field.name.removesuffix("_")][0]].__name__


@pytest.mark.parametrize("name", EVERY)
def test_a_reason_is_given_exactly_where_a_flag_has_no_effect(name):
    assert bool(FLAGS[name].reason) == (FLAGS[name].effect is not Effect.EFFECTIVE)


def test_options_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ServerOptions().port = 1


def test_cpus_are_those_that_the_process_may_use():
    assert options.schedulable_cpus() == CPUS


def test_all_cpus_count_where_the_system_knows_no_affinity(monkeypatch):
    monkeypatch.delattr(options.os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(options.os, "cpu_count", lambda: 7)
    assert ServerOptions().grpc_max_threads == 28
