"""What flags make of a server, seen in what it is put together from."""

import pytest

from servable import app, process
from servable.options import ServerOptions
from tests.process.certificates import Authority, ssl_config

PROFILER = "/tensorflow.ProfilerService/"


def settings(**flags):
    return app.configure(ServerOptions(model_base_path="/models/m", **flags)).settings


def models(**flags):
    return [(model.name, model.base_path) for model in app.configure(ServerOptions(**flags)).models]


@pytest.mark.behaviour("5", "--saved_model_tags")
@pytest.mark.parametrize(
    ("flag", "tags"),
    [
        ("serve", ["serve"]),
        ("", ["serve"]),
        ("serve,gpu", ["serve", "gpu"]),
        ("serve, gpu ", ["serve", " gpu "]),
        ("serve,", ["serve", ""]),
    ],
)
def test_tags_are_split_at_commas_and_not_trimmed(flag, tags):
    assert process.make_cold_loader(ServerOptions(saved_model_tags=flag)).tags == tags


@pytest.mark.behaviour("5", "--tensorflow_session_parallelism")
def test_the_session_config_reaches_the_loader():
    config = process.make_cold_loader(ServerOptions(tensorflow_session_parallelism=3)).config
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (3, 3)


@pytest.mark.behaviour("5", "--grpc_max_threads")
@pytest.mark.parametrize(("flag", "threads"), [(1, 1), (7, 7), (0, 1), (-5, 1)])
def test_at_least_one_thread_serves(flag, threads):
    assert settings(grpc_max_threads=flag).worker_threads == threads


@pytest.mark.behaviour("5", "--grpc_channel_arguments")
@pytest.mark.behaviour("11.3", "channel arguments reach gRPC, the last of a key wins, unknown ones are accepted")
@pytest.mark.behaviour("13.1", "14 testGoodGrpcChannelArgs")
def test_channel_arguments_reach_the_server():
    arguments = settings(grpc_channel_arguments="grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb")
    assert arguments.channel_arguments == [("grpc.max_connection_age_ms", 2000), ("grpc.lb_policy_name", "grpclb")]


def test_errors_have_details_unless_their_flag_is_false():
    assert settings().error_details
    assert not settings(grpc_error_details=False).error_details


@pytest.mark.behaviour("5", "ours: --bind_address")
def test_by_default_the_server_speaks_clear_text_on_all_addresses_of_the_machine():
    assert not settings().is_encrypted
    assert settings().addresses == ["0.0.0.0:8500"]


@pytest.mark.behaviour("5", "--use_alts_credentials")
@pytest.mark.behaviour("5", "--ssl_config_file")
def test_tls_and_alts_are_never_clear_text(tmp_path):
    path = tmp_path / "ssl.config"
    path.write_text(ssl_config(Authority("ours").vouch_for("server")))
    assert settings(ssl_config_file=str(path)).is_encrypted
    assert settings(use_alts_credentials=True).is_encrypted


@pytest.mark.behaviour("1.1", "ProfilerService is there unless its flag is false")
@pytest.mark.behaviour("5", "--enable_profiler")
def test_the_profiler_has_its_flag():
    names = ["GetSnapshot", "Monitor", "Profile", "StartContinuousProfiling", "StopContinuousProfiling", "Terminate"]
    assert sorted(process._make_profiler(ServerOptions())) == [PROFILER + name for name in names]
    assert process._make_profiler(ServerOptions(enable_profiler=False)) == {}


@pytest.mark.behaviour("5", "--model_name")
@pytest.mark.behaviour("5", "--model_base_path")
def test_a_name_and_a_base_path_are_one_model():
    assert models(model_base_path="/models/m") == [("default", "/models/m")]
    assert models(model_name="m", model_base_path="/models/m/") == [("m", "/models/m/")]


@pytest.mark.behaviour("5", "--model_config_file")
def test_a_config_file_overrules_name_and_base_path(model_config):
    path = str(model_config({"a": "/models/a", "b": "/models/b"}))
    assert models(model_config_file=path, model_name="c", model_base_path="/models/c") == [
        ("a", "/models/a"),
        ("b", "/models/b"),
    ]
