"""app.Server with loaders that only pretend: what health says of services and models, and when ports open."""

import contextlib
import dataclasses
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from servable import app
from servable.errors import NotFound, Unavailable, Unknown
from servable.options import ServerOptions
from tests.process.launching import free_port, is_open
from tests.process.transport import PATIENCE_S, NoModel, connect

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
SERVICES = [
    "",
    "tensorflow.serving.PredictionService",
    "tensorflow.serving.ModelService",
    "PredictionService",
    "ModelService",
]


@pytest.fixture
def configuration(tmp_path, model_config):
    """Two models of one version each, on a port that is free now."""
    for name in ("ready", "other"):
        (tmp_path / name / "1").mkdir(parents=True)
    config = model_config({name: tmp_path / name for name in ("ready", "other")})
    return app.configure(ServerOptions(model_config_file=str(config), port=free_port(), bind_address="127.0.0.1"))


@contextlib.contextmanager
def started(configuration, load=lambda directory: NoModel()):
    """Yields a channel to a server that has started."""
    server = app.Server(configuration, load)
    server.start()
    try:
        with connect(configuration.settings.addresses[0]) as channel:
            yield channel
    finally:
        server.stop()


def check(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    return health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE_S).status


def watch(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    return next(health_pb2_grpc.HealthStub(channel).Watch(request, timeout=PATIENCE_S)).status


@pytest.mark.parametrize("ask", [check, watch])
def test_services_and_models_serve_once_started(configuration, ask):
    with started(configuration) as channel:
        names = [*SERVICES, "ready", "other"]
        assert {name: ask(channel, name) for name in names} == dict.fromkeys(names, SERVING)


@pytest.mark.parametrize("name", ["nobody", "tensorflow.serving.SessionService", "Ready", " "])
def test_a_name_that_is_not_known_is_told_so(configuration, name):
    with started(configuration) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            check(channel, name)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert watch(channel, name) == SERVICE_UNKNOWN


class Asker:
    """The context of a health call that is made without a server."""

    def set_code(self, code):
        raise AssertionError(code)


def test_no_port_is_open_and_nothing_serves_while_a_model_loads(configuration):
    loading, go_on = threading.Event(), threading.Event()

    def load(directory):
        loading.set()
        assert go_on.wait(PATIENCE_S)
        return NoModel()

    server = app.Server(configuration, load)
    start = threading.Thread(target=server.start)
    start.start()
    assert loading.wait(PATIENCE_S)
    statuses = [
        server._grpc.health._servicer.Check(health_pb2.HealthCheckRequest(service=name), Asker()).status
        for name in ("", "ready", "other")
    ]
    is_open_while_loading = is_open(port_of(configuration))
    go_on.set()
    start.join(PATIENCE_S)
    assert statuses == [NOT_SERVING] * 3
    assert not is_open_while_loading
    assert is_open(port_of(configuration))
    server.stop()


def test_one_model_that_cannot_be_loaded_ends_the_start_with_its_name_and_cause(configuration):
    def load(directory):
        if directory.parent.name == "other":
            raise NotFound(f"nothing at {directory}")
        return NoModel()

    server = app.Server(configuration, load)
    with pytest.raises(Unknown) as caught:
        server.start()
    path = next(model.base_path for model in configuration.models if model.name == "other")
    assert caught.value.message == (
        "1 servable(s) did not become available: "
        f"{{{{{{name: other version: 1}} due to error: NOT_FOUND: nothing at {path}/1}}, }}"
    )
    assert not is_open(port_of(configuration))


def test_a_loader_that_fails_in_an_unforeseen_way_ends_the_start_with_what_it_raised(configuration, caplog):
    def load(directory):
        raise ZeroDivisionError("of ours")

    with pytest.raises(Unknown, match="INTERNAL: ZeroDivisionError: of ours"):
        app.Server(configuration, load).start()
    assert "Traceback" in caplog.text


def test_a_base_path_without_versions_ends_the_start(configuration, tmp_path):
    (tmp_path / "other" / "1").rename(tmp_path / "other" / "first")
    with pytest.raises(Unknown) as caught:
        app.Server(configuration, lambda directory: NoModel()).start()
    assert f"no versions found under base path {tmp_path / 'other'}" in caught.value.message


def test_a_missing_base_path_ends_the_start_with_its_name(configuration, tmp_path):
    (tmp_path / "other").rename(tmp_path / "gone")
    with pytest.raises(NotFound) as caught:
        app.Server(configuration, lambda directory: NoModel()).start()
    path = tmp_path / "other"
    assert caught.value.message == (
        f"Could not find base path {path} for servable other with error NOT_FOUND: {path}; No such file or directory"
    )


def test_a_port_that_is_taken_is_told(configuration):
    with started(configuration):
        with pytest.raises(Unavailable) as caught:
            app.Server(configuration, lambda directory: NoModel()).start()
        assert caught.value.message == (
            f"Cannot listen on {configuration.settings.addresses[0]}: the address is in use or not this machine's."
        )


def test_two_servers_share_a_port_only_where_it_is_asked_for(configuration):
    shared = dataclasses.replace(
        configuration,
        settings=dataclasses.replace(configuration.settings, channel_arguments=[("grpc.so_reuseport", 1)]),
    )
    with started(shared), started(shared) as channel:
        assert check(channel, "ready") == SERVING


@pytest.mark.parametrize(
    ("bind_address", "address"),
    [("127.0.0.1", "127.0.0.1:8500"), ("::1", "[::1]:8500"), ("[::1]", "[::1]:8500"), ("localhost", "localhost:8500")],
)
def test_an_address_of_ipv6_needs_no_brackets(bind_address, address):
    configuration = app.configure(ServerOptions(model_base_path="/m", bind_address=bind_address))
    assert configuration.settings.addresses == [address]


def port_of(configuration):
    return int(configuration.settings.addresses[0].rpartition(":")[2])
