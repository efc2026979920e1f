"""The HTTP side of app.Server: when its port opens, what health says, and what a start without it is like."""

import contextlib
import dataclasses
import logging
import socket

import pytest

from servable import app
from servable.options import ServerOptions
from tests.process.launching import free_port, is_open
from tests.process.transport import NoModel
from tests.transport.http.serving import PATIENCE_S, Client, ask, get


@pytest.fixture
def configure(tmp_path, model_config):
    """Makes a configuration of one model, by flags."""
    (tmp_path / "m" / "1").mkdir(parents=True)

    def make(**flags):
        usual = {"model_config_file": str(model_config({"m": tmp_path / "m"})), "port": free_port()}
        usual |= {"rest_api_port": free_port(), "bind_address": "127.0.0.1", "max_num_load_retries": 0}
        return app.configure(ServerOptions(**(usual | flags)))

    return make


@contextlib.contextmanager
def started(configuration):
    """Yields a server that has started."""
    server = app.Server(configuration, lambda directory: NoModel())
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_the_port_is_open_once_the_server_has_started_and_says_so(configure):
    configuration = configure()
    with started(configuration) as server:
        (port,) = server.http_ports
        assert port == configuration.options.rest_api_port
        assert f"serving on http://127.0.0.1:{port} (REST)" in server.describe()
        for target in ("/healthz", "/readyz", "/v1/models/m/ready"):
            assert ask(port, get(target)).status == 200
        assert ask(port, get("/v1/models/unknown/ready")).status == 404
    assert not is_open(port)


def test_a_server_that_leaves_is_alive_and_not_ready(configure):
    with started(configure()) as server:
        (port,) = server.http_ports
        server.leave()
        assert ask(port, get("/healthz")).status == 200
        assert ask(port, get("/readyz")).status == 503


def test_a_drain_closes_the_port(configure):
    configuration = configure()
    configuration = dataclasses.replace(
        configuration,
        http=dataclasses.replace(
            configuration.http, limits=dataclasses.replace(configuration.http.limits, drain_idle_s=0.1)
        ),
    )
    with started(configuration) as server:
        (port,) = server.http_ports
        with Client(port) as client:
            client.ask(get("/healthz"))
            server.drain(PATIENCE_S)
            assert client.is_closed()
        assert not is_open(port)


@pytest.mark.behaviour("9.1", "if the HTTP port cannot be bound, that is logged, and gRPC serves alone")
def test_without_its_http_port_a_server_goes_on(configure, caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        configuration = configure(rest_api_port=taken.getsockname()[1])
        with caplog.at_level(logging.ERROR), started(configuration) as server:
            assert server.http_ports == []
            assert is_open(configuration.options.port)
    assert "Failed to start HTTP Server: Cannot listen on 127.0.0.1" in caplog.text


@pytest.mark.behaviour("9.1", "with the port of gRPC as its own, HTTP is left out, and that is logged")
def test_http_cannot_have_the_port_of_grpc(configure, caplog):
    port = free_port()
    with caplog.at_level(logging.ERROR):
        assert configure(port=port, rest_api_port=port).http is None
    assert "server_options.http_port cannot be same as grpc_port." in caplog.text


@pytest.mark.behaviour("5", "--rest_api_port")
def test_without_its_flag_there_is_no_http(configure):
    with started(configure(rest_api_port=0)) as server:
        assert server.http_ports == []


def test_flags_bound_what_a_client_sends(configure):
    limits = configure(
        rest_api_max_body_mb=3, rest_api_max_head_kb=2, rest_api_max_pending_mb=4, rest_api_max_connections=5
    ).http.limits
    assert (limits.body_bytes, limits.head_bytes) == (3 << 20, 2 << 10)
    assert (limits.pending_bytes, limits.connections) == (4 << 20, 5)


@pytest.mark.behaviour("9.1", "all addresses of IPv6 and IPv4 are listened on")
def test_by_default_all_addresses_are_listened_on(configure):
    assert configure(bind_address=ServerOptions().bind_address).http.host == ""
    assert configure(bind_address="[::1]").http.host == "::1"
