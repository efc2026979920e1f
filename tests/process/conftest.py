"""Processes that end with their test, and one that all tests share."""

import itertools

import pytest

from servable import app, process
from servable.options import ServerOptions
from tests.models.exporting import placeholder, save_tf1, signature, tf, tf1_session, v1
from tests.process.launching import ServerProcess, free_port
from tests.serving import connect

CONFIG = """
model_config_list {{
{}
}}
"""
MODEL = """  config {{ name: "{}" base_path: "{}" model_platform: "tensorflow" }}"""


@pytest.fixture
def serve(request):
    """Starts `servable serve` with flags; the process ends with the test at the latest."""

    def start(*flags):
        server = ServerProcess(*flags)
        request.addfinalizer(server.kill)
        return server

    return start


@pytest.fixture(scope="session")
def model_config(tmp_path_factory):
    """Writes a --model_config_file for base paths by model name, and gives its path."""
    folder, numbers = tmp_path_factory.mktemp("configs"), itertools.count()

    def write(base_paths):
        path = folder / f"{next(numbers)}.config"
        path.write_text(CONFIG.format("\n".join(MODEL.format(*pair) for pair in base_paths.items())))
        return path

    return write


@pytest.fixture(scope="session")
def served(models, model_config, tmp_path_factory):
    """A process that serves half_plus_two and gate over TCP and a unix socket, with both ways to write flags."""
    base_paths = {name: models.base_path(name) for name in ("half_plus_two", "gate")}
    server = ServerProcess(
        f"--model_config_file={model_config(base_paths)}",
        "--grpc_socket_path", str(tmp_path_factory.mktemp("sockets") / "servable.sock"),
        "--enable_grpc_healthcheck_service",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=3600000,grpc.lb_policy_name=grpclb",
        "--flush_filesystem_caches=true",
        "--no_such_flag=1",
    )  # fmt: skip
    try:
        yield server.wait_until_serving()
    finally:
        server.kill()


@pytest.fixture(scope="session")
def profiled(models, model_config):
    """A server in this process with all that `servable serve` gives it, so with the profiler."""
    config = model_config({name: models.base_path(name) for name in ("half_plus_two", "gate")})
    options = ServerOptions(model_config_file=str(config), port=free_port(), bind_address="127.0.0.1")
    configuration = app.configure(options)
    server = app.Server(configuration, process.make_loader(options), process._make_profiler(options))
    server.start()
    running = connect(server, configuration.settings.addresses[0])
    yield running
    running.close()


@pytest.fixture(scope="session")
def endless_load(tmp_path_factory):
    """The base path of a model whose init op never ends."""
    base_path = tmp_path_factory.mktemp("endless")
    with tf1_session() as session:
        never = v1.FIFOQueue(1, tf.bool, shapes=[[]], name="never").dequeue(name="never_ends")
        x = placeholder(tf.float32, [None], "x")
        signatures = {"serving_default": signature({"x": x}, {"y": x + 1.0})}
        save_tf1(session, base_path / "1", signatures, main_op=never.op)
    return base_path
