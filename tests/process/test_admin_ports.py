"""Management on ports of its own: there it is answered, elsewhere it does not exist; the rest is on both."""

import contextlib
import socket
import threading

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from servable import app
from servable.errors import Unavailable
from servable.options import ServerOptions
from tests.process.launching import free_port, is_open
from tests.process.transport import NoModel, connect
from tests.transport.http.serving import PATIENCE_S, ask, get

PROFILE = "/tensorflow.ProfilerService/Monitor"
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def configure(tmp_path, model_config):
    """Makes a configuration of one model with REST, metrics and console, by flags."""
    (tmp_path / "m" / "1").mkdir(parents=True)
    monitoring = tmp_path / "monitoring"
    monitoring.write_text("prometheus_config { enable: true }")

    def make(**flags):
        usual = {"model_config_file": str(model_config({"m": tmp_path / "m"})), "port": free_port()}
        usual |= {"rest_api_port": free_port(), "bind_address": "127.0.0.1", "console": "true"}
        usual |= {"monitoring_config_file": str(monitoring), "grpc_socket_path": str(tmp_path / "s.sock")}
        return app.configure(ServerOptions(**(usual | flags)))

    return make


@contextlib.contextmanager
def started(configuration, profile=lambda request, time_left_s: request):
    """Yields a server that has started."""
    server = app.Server(configuration, lambda directory: NoModel(), {PROFILE: profile})
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def both(configure):
    """A server with both admin ports."""
    with started(configure(admin_port=free_port(), admin_http_port=free_port())) as server:
        yield server


def public(server):
    return server._configuration.settings.addresses


def admin(server):
    return [f"127.0.0.1:{port}" for port in server.admin_ports]


def code_of(address, ask_):
    with connect(address) as channel:
        try:
            ask_(channel)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def reload_(channel):
    request = model_management_pb2.ReloadConfigRequest()
    request.config.model_config_list.SetInParent()
    return model_service_pb2_grpc.ModelServiceStub(channel).HandleReloadConfigRequest(request, timeout=PATIENCE_S)


def profile(channel):
    return channel.unary_unary(PROFILE)(b"", timeout=PATIENCE_S)


def ask_status(channel):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "m"
    return model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(request, timeout=PATIENCE_S)


def predict(channel):
    return channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(b"", timeout=PATIENCE_S)


def health(address):
    with connect(address) as channel:
        request = health_pb2.HealthCheckRequest(service="m")
        return health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE_S).status


@pytest.mark.parametrize("manage", [profile, reload_])
def test_management_over_grpc_is_answered_on_its_port_and_exists_nowhere_else(manage, both):
    assert [code_of(address, manage) for address in public(both)] == [grpc.StatusCode.UNIMPLEMENTED] * 2
    assert [code_of(address, manage) for address in admin(both)] == [grpc.StatusCode.OK]


def test_status_and_health_are_on_both_and_inference_is_not(both):
    for address in (*public(both), *admin(both)):
        assert code_of(address, ask_status) == grpc.StatusCode.OK
        assert health(address) == SERVING
    assert [code_of(address, predict) for address in admin(both)] == [grpc.StatusCode.UNIMPLEMENTED]
    assert code_of(public(both)[0], predict) == grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("target", ["/", "/console", "/console/models", "/monitoring/prometheus/metrics", "/metrics"])
def test_metrics_and_console_are_answered_on_the_http_port_for_management_only(target, both):
    (open_to_all,), (for_admins,) = both.http_ports, both.admin_http_ports
    assert ask(open_to_all, get(target, "Host: localhost")).status == 404
    assert ask(for_admins, get(target, "Host: localhost")).status in {200, 302}


@pytest.mark.parametrize("target", ["/healthz", "/readyz", "/v1/models/m", "/v1/models/m/ready", "/openapi.json"])
def test_the_rest_of_http_is_on_both(target, both):
    for port in (*both.http_ports, *both.admin_http_ports):
        assert ask(port, get(target)).status == 200


@pytest.mark.parametrize("flag", ["admin_port", "admin_http_port"])
def test_one_admin_port_takes_all_management_off_the_other_ports(flag, configure):
    with started(configure(**{flag: free_port()})) as server:
        for manage in (profile, reload_):
            assert code_of(public(server)[0], manage) == grpc.StatusCode.UNIMPLEMENTED
        for target in ("/", "/monitoring/prometheus/metrics"):
            assert ask(server.http_ports[0], get(target, "Host: localhost")).status == 404


def test_without_admin_ports_management_is_where_it_was(configure):
    with started(configure()) as server:
        assert code_of(public(server)[0], profile) == grpc.StatusCode.OK
        assert ask(server.http_ports[0], get("/monitoring/prometheus/metrics")).status == 200
        assert (server.admin_ports, server.admin_http_ports) == ([], [])


def test_a_port_for_metrics_only_stays(configure):
    with started(configure(admin_port=free_port(), metrics_port=free_port())) as server:
        assert ask(server.metrics_ports[0], get("/metrics")).status == 200


def test_the_admin_ports_listen_on_this_machine_only_unless_a_flag_says_otherwise(configure):
    flags = {"bind_address": "0.0.0.0", "admin_port": 81, "admin_http_port": 82}
    configuration = configure(**flags)
    assert configuration.admin.addresses == ["127.0.0.1:81"]
    assert configuration.admin_http.host == "127.0.0.1"
    configuration = configure(**flags, admin_bind_address="::")
    assert configuration.admin.addresses == ["[::]:81"]
    assert configuration.admin_http.host == "::"


def test_the_server_says_where_management_is(both):
    lines = both.describe()
    (grpc_port,), (http_port,), (rest_port,) = both.admin_ports, both.admin_http_ports, both.http_ports
    assert f"management on 127.0.0.1:{grpc_port} (gRPC)" in lines
    assert f"management on http://127.0.0.1:{http_port} (HTTP)" in lines
    assert f"console on http://127.0.0.1:{http_port}/" in lines
    assert f"console on http://127.0.0.1:{rest_port}/" not in lines


def test_what_is_on_no_port_is_said_with_advice_that_helps(configure):
    flags = {"admin_port": free_port(), "admin_http_port": free_port()}
    for missing, what in (("admin_port", "reload and profiler"), ("admin_http_port", "the metrics")):
        with started(configure(**{flag: port for flag, port in flags.items() if flag != missing})) as server:
            (line,) = [line for line in server.describe() if "on no port" in line]
            assert line.startswith(what)
            assert line.endswith(f": --{missing} has them")
    with started(configure(**flags)) as server:
        assert not [line for line in server.describe() if "on no port" in line]


def test_an_admin_port_that_is_taken_lets_nothing_start(configure):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        configuration = configure(admin_port=taken.getsockname()[1])
        server = app.Server(configuration, lambda directory: NoModel())
        with pytest.raises(Unavailable, match=r"Cannot listen on 127\.0\.0\.1"):
            server.start()
    assert not is_open(configuration.options.port)


def test_before_a_drain_both_say_not_serving(both):
    both.leave()
    for address in (*public(both), *admin(both)):
        assert health(address) == NOT_SERVING
        assert code_of(address, ask_status) == grpc.StatusCode.OK


def test_a_drain_waits_for_management_calls_and_closes_the_ports(configure):
    inside, gate = threading.Event(), threading.Event()

    def wait(request, _time_left_s):
        inside.set()
        assert gate.wait(PATIENCE_S)
        return request

    with started(configure(admin_port=free_port(), admin_http_port=free_port()), wait) as server:
        (port,), (http_port,) = server.admin_ports, server.admin_http_ports
        with connect(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary(PROFILE).future(b"slow", timeout=PATIENCE_S)
            assert inside.wait(PATIENCE_S)
            drain = threading.Thread(target=server.drain, args=[PATIENCE_S])
            drain.start()
            gate.set()
            assert call.result(PATIENCE_S) == b"slow"
            drain.join(PATIENCE_S)
            assert not drain.is_alive()
        assert not is_open(port)
        assert not is_open(http_port)


def test_a_stop_closes_the_ports(configure):
    with started(configure(admin_port=free_port(), admin_http_port=free_port())) as server:
        ports = (*server.admin_ports, *server.admin_http_ports)
        assert all(map(is_open, ports))
    assert not any(map(is_open, ports))
