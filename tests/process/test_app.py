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
    "inference.GRPCInferenceService",
    "PredictionService",
    "ModelService",
]


@pytest.fixture
def configuration(tmp_path, model_config):
    """Two models of one version each, on a port that is free now."""
    for name in ("ready", "other"):
        (tmp_path / name / "1").mkdir(parents=True)
    config = model_config({name: tmp_path / name for name in ("ready", "other")})
    return app.configure(
        ServerOptions(model_config_file=str(config), port=free_port(), bind_address="127.0.0.1", max_num_load_retries=0)
    )


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


@pytest.mark.behaviour("1.1", "health knows the original's names, and says NOT_FOUND to others")
@pytest.mark.behaviour(
    "1.1",
    "ours: health is on without its flag, knows full service names and each model, and nothing serves "
    "before it is ready",
)
@pytest.mark.behaviour("5", "--enable_grpc_healthcheck_service")
@pytest.mark.parametrize("ask", [check, watch])
def test_services_and_models_serve_once_started(configuration, ask):
    with started(configuration) as channel:
        names = [*SERVICES, "ready", "other"]
        assert {name: ask(channel, name) for name in names} == dict.fromkeys(names, SERVING)


@pytest.mark.behaviour("1.1", "health knows the original's names, and says NOT_FOUND to others")
@pytest.mark.behaviour("1.1", "a health name that is not known is NOT_FOUND to Check and SERVICE_UNKNOWN to Watch")
@pytest.mark.parametrize("name", ["nobody", "tensorflow.serving.SessionService", "Ready", " "])
def test_an_unknown_name_is_reported_as_unknown(configuration, name):
    with started(configuration) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            check(channel, name)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert watch(channel, name) == SERVICE_UNKNOWN


class Asker:
    """The context of a health call that is made without a server."""

    def set_code(self, code):
        raise AssertionError(code)


@pytest.mark.behaviour(
    "1.1",
    "ours: health is on without its flag, knows full service names and each model, and nothing serves "
    "before it is ready",
)
@pytest.mark.behaviour("5", "no port is open before the first models are loaded")
@pytest.mark.behaviour("12", "server still loading its first models")
@pytest.mark.behaviour("12", "connection: a server that loads its first models has no port")
@pytest.mark.behaviour("13.14", "247 CreateWaitsTillModelsAvailable")
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


def fail(directory):
    raise NotFound(f"nothing at {directory}")


def fail_other(directory):
    return fail(directory) if directory.parent.name == "other" else NoModel()


@pytest.mark.behaviour("6.5", "the text of a start that fails names each model with its cause")
@pytest.mark.behaviour("13.14", "258 ErroringModel")
def test_models_that_cannot_be_loaded_end_the_start_with_their_names_and_causes(configuration, tmp_path):
    server = app.Server(configuration, fail)
    with pytest.raises(Unknown) as caught:
        server.start()
    assert caught.value.message == (
        "2 servable(s) did not become available: {"
        f"{{{{name: ready version: 1}} due to error: NOT_FOUND: nothing at {tmp_path}/ready/1}}, "
        f"{{{{name: other version: 1}} due to error: NOT_FOUND: nothing at {tmp_path}/other/1}}, }}"
    )
    assert not is_open(port_of(configuration))


@pytest.mark.behaviour("5", "ours: a model that cannot be loaded holds up no start as long as another one serves")
def test_a_model_that_cannot_be_loaded_holds_up_no_start_as_long_as_another_serves(configuration, caplog):
    with started(configuration, fail_other) as channel:
        assert {name: check(channel, name) for name in ("", "ready", "other")} == {
            "": SERVING,
            "ready": SERVING,
            "other": NOT_SERVING,
        }
    assert "other does not serve yet; the server starts without it" in caplog.text


@pytest.mark.behaviour("5", "ours: a model that cannot be loaded holds up no start as long as another one serves")
def test_a_model_that_is_tried_again_holds_up_no_start_as_long_as_another_serves(configuration):
    patient = dataclasses.replace(configuration.options, max_num_load_retries=5)
    with started(dataclasses.replace(configuration, options=patient), fail_other) as channel:
        assert check(channel, "other") == NOT_SERVING


@pytest.mark.behaviour("5", "--max_num_load_retries")
def test_all_tries_are_made_before_the_start_fails(configuration):
    tries = []

    def load(directory):
        tries.append(directory.parent.name)
        return fail(directory)

    impatient = dataclasses.replace(configuration.options, max_num_load_retries=2, load_retry_interval_micros=0)
    with pytest.raises(Unknown):
        app.Server(dataclasses.replace(configuration, options=impatient), load).start()
    assert sorted(tries) == ["other"] * 3 + ["ready"] * 3


def test_a_loader_that_fails_in_an_unforeseen_way_ends_the_start_with_what_it_raised(configuration, caplog):
    def load(directory):
        raise ZeroDivisionError("of ours")

    with pytest.raises(Unknown, match="INTERNAL: ZeroDivisionError: of ours"):
        app.Server(configuration, load).start()
    assert "Traceback" in caplog.text


def hide_version(base_path):
    (base_path / "1").rename(base_path / "first")
    return f"NOT_FOUND: no versions found under base path {base_path}"


def remove(base_path):
    (base_path / "1").rmdir()
    base_path.rmdir()
    return (
        f"NOT_FOUND: Could not find base path {base_path} for servable {base_path.name} with error "
        f"NOT_FOUND: {base_path}; No such file or directory"
    )


@pytest.mark.behaviour("5", "--model_base_path")
@pytest.mark.behaviour(
    "6.4", "no numeric child is a warning with advice; ours: it holds up no start of others, and alone ends it"
)
@pytest.mark.behaviour("6.4", "a base path that is missing; ours: it holds up no start of others, and alone ends it")
@pytest.mark.parametrize("spoil", [hide_version, remove])
def test_base_paths_without_versions_end_the_start_at_once_if_nothing_else_serves(configuration, tmp_path, spoil):
    ready, other = (spoil(tmp_path / name) for name in ("ready", "other"))
    with pytest.raises(Unknown) as caught:
        app.Server(configuration, lambda directory: NoModel()).start()
    assert caught.value.message == (
        "2 servable(s) did not become available: "
        f"{{{{ready due to error: {ready}}}, {{other due to error: {other}}}, }}"
    )


@pytest.mark.behaviour(
    "6.4", "no numeric child is a warning with advice; ours: it holds up no start of others, and alone ends it"
)
@pytest.mark.behaviour("6.4", "a base path that is missing; ours: it holds up no start of others, and alone ends it")
@pytest.mark.parametrize("spoil", [hide_version, remove])
def test_a_base_path_without_versions_holds_up_no_start_as_long_as_another_model_serves(
    configuration, tmp_path, spoil, caplog
):
    spoil(tmp_path / "other")
    with started(configuration) as channel:
        assert check(channel, "other") == NOT_SERVING
        assert check(channel, "ready") == SERVING
    assert "other does not serve yet; the server starts without it" in caplog.text


def test_a_port_that_is_taken_is_an_error(configuration):
    with started(configuration):
        with pytest.raises(Unavailable) as caught:
            app.Server(configuration, lambda directory: NoModel()).start()
        assert caught.value.message == (
            f"Cannot listen on {configuration.settings.addresses[0]}: the address is in use or not this machine's."
        )


@pytest.mark.behaviour("5", "--grpc_channel_arguments")
def test_two_servers_share_a_port_only_where_it_is_asked_for(configuration):
    shared = dataclasses.replace(
        configuration,
        settings=dataclasses.replace(configuration.settings, channel_arguments=[("grpc.so_reuseport", 1)]),
    )
    with started(shared), started(shared) as channel:
        assert check(channel, "ready") == SERVING


@pytest.mark.behaviour("5", "ours: --bind_address")
@pytest.mark.parametrize(
    ("bind_address", "address"),
    [("127.0.0.1", "127.0.0.1:8500"), ("::1", "[::1]:8500"), ("[::1]", "[::1]:8500"), ("localhost", "localhost:8500")],
)
def test_an_address_of_ipv6_needs_no_brackets(bind_address, address):
    configuration = app.configure(ServerOptions(model_base_path="/m", bind_address=bind_address))
    assert configuration.settings.addresses == [address]


def port_of(configuration):
    return int(configuration.settings.addresses[0].rpartition(":")[2])
