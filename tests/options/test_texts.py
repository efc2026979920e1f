"""The texts about flags: usage, the table of docs/flags.md, and notices in the log."""

import re

import pytest

from servable.options import FLAGS, Effect, markdown_table, notices, parse, usage


def line_of(name):
    lines = [line for line in usage().splitlines() if re.match(rf" +--{name}=", line)]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("name", FLAGS)
def test_the_usage_has_one_line_for_each_flag(name):
    about = FLAGS[name]
    for part in (about.default, f" {about.kind.value} ", about.meaning, about.reason):
        assert part in line_of(name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("port", "--port=8500 "),
        ("model_name", '--model_name="default" '),
        ("enable_profiler", "--enable_profiler=true "),
        ("load_retry_interval_micros", "--load_retry_interval_micros=60000000 "),
        ("per_process_gpu_memory_fraction", "--per_process_gpu_memory_fraction=0 "),
        ("grpc_max_threads", "--grpc_max_threads=4 x schedulable CPUs "),
        ("num_tflite_pools", "--num_tflite_pools=schedulable CPUs "),
    ],
)
def test_the_usage_shows_the_default(name, shown):
    assert shown in line_of(name)


def test_the_usage_ends_its_last_line():
    assert usage().endswith("\n")


def test_the_table_has_a_head_and_a_row_of_five_cells_for_each_flag():
    head, rule, *rows = markdown_table().splitlines()
    assert head == "| Flag | Type | Default | Meaning | Effect |"
    assert rule == "|---|---|---|---|---|"
    assert [re.match(r"\| `--(\w+)` \|", row)[1] for row in rows] == list(FLAGS)
    assert {row.count("|") for row in rows} == {6}


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("port", "int32 | `8500` | TCP port of the gRPC API; 0 listens on no TCP port. | yes |"),
        (
            "rest_api_num_threads",
            "int32 | 4 x schedulable CPUs | Threads that answer REST requests. | never: one thread carries HTTP, and "
            "models run on the threads that they run on for gRPC |",
        ),
        (
            "skip_initialize_tpu",
            "bool | `false` | Leave TPUs alone at start. | never: this server uses no TPU |",
        ),
    ],
)
def test_a_row_of_the_table(name, cells):
    assert f"| `--{name}` | {cells}\n" in markdown_table()


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
def test_a_flag_without_effect_is_noticed_once_and_in_the_order_of_the_table():
    parsed = parse(["--skip_initialize_tpu", "--platform_config_file=1", "--platform_config_file=2", "--port=1"])
    assert notices(parsed) == [
        "--platform_config_file has no effect yet: only the platform `tensorflow` is served.",
        "--skip_initialize_tpu has no meaning here: this server uses no TPU.",
    ]


@pytest.mark.parametrize("name", [name for name, about in FLAGS.items() if about.effect is Effect.EFFECTIVE])
def test_a_flag_with_an_effect_is_not_noticed(name):
    assert notices(parse([f"--{name}", "0"])) == []


def test_a_flag_that_was_not_set_is_not_noticed():
    assert notices(parse([])) == []


def test_a_command_line_that_failed_has_no_notices():
    assert notices(parse(["--rest_api_port=1", "--port=x"])) == []
