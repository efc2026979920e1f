"""The files of deploy/envoy, run by the real Envoy: three servers over mutual TLS, of which some leave, die or fail."""

import contextlib
import signal
import urllib.parse

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from tests.batching.callers import PREDICT, outputs_of, request_bytes
from tests.mesh import deployed, envoy, plain
from tests.mesh.callers import Callers, failed
from tests.process.launching import ServerProcess
from tests.process.transport import PATIENCE_S
from tests.serving import start

pytestmark = pytest.mark.skipif(not envoy.IS_INSTALLED, reason=envoy.WHY_NOT)

REPLIES = 500
# As deploy/envoy has it.
CONSECUTIVE_FAILURES = 20
# Three times what Envoy needs to ask and to be answered.
DELAY_S = 3 * deployed.HEALTH_INTERVAL_S
REQUEST = request_bytes(deployed.MODEL, "serving_default", {"x": np.array([2.0], np.float32)})


@pytest.fixture(scope="module")
def tls_flags(tmp_path_factory):
    """Flags of a server for mutual TLS, and their values."""
    folder = tmp_path_factory.mktemp("tls")
    deployed.write_identity(folder, deployed.SERVER)
    names = {"tls_certificate_file": "tls.crt", "tls_key_file": "tls.key", "tls_client_ca_file": "ca.crt"}
    return {flag: str(folder / name) for flag, name in names.items()}


@pytest.fixture(scope="module")
def pair(models, tls_flags):
    """The ports of two servers in this process that serve the model."""
    running = [start(models, deployed.MODEL, **tls_flags) for _ in range(2)]
    yield [port_of(server) for server in running]
    for server in running:
        server.close()


@pytest.fixture
def balancing(tmp_path):
    """Runs the Envoy of deploy/ before servers on up to three ports, until the end of the test."""
    with contextlib.ExitStack() as ending:
        yield lambda *ports: ending.enter_context(deployed.running(ports, tmp_path))


def port_of(server):
    return int(server.address.rpartition(":")[2])


def calling(balancer, request=REQUEST, **settings):
    settings = {"is_right": is_half_plus_two, "open_channel": deployed.opening(), **settings}
    return Callers(balancer.address, PREDICT, request, **settings)


def is_half_plus_two(reply):
    return outputs_of(reply)["y"].tolist() == [3.0]


def test_the_files_are_valid(tmp_path):
    deployed.write(tmp_path, [1, 2, 3], 4, 5)
    said = deployed.validated(tmp_path)
    assert f"configuration '{tmp_path}/envoy.yaml' OK" in said
    assert [line for line in said.splitlines() if "rejected" in line or "deprecated" in line.lower()] == []


@pytest.mark.behaviour("11.5", "ours: a drain costs no call of callers who know another server")
def test_a_server_that_drains_costs_no_call_and_one_that_is_killed_only_tries(models, tls_flags, balancing):
    flags = f"--model_name={deployed.MODEL}", f"--model_base_path={models.base_path(deployed.MODEL)}"
    more = [f"--drain_delay_s={DELAY_S}", *(f"--{name}={value}" for name, value in tls_flags.items())]
    with contextlib.ExitStack() as ending:
        servers = [ServerProcess(*flags, *more) for _ in range(3)]
        for server in servers:
            ending.callback(server.kill)
        leaving, dying, _ = servers
        balancer = balancing(*(server.wait_until_serving().port for server in servers))
        balancer.wait_for("membership_healthy", 3)
        groups = [calling(balancer, count=4) for _ in range(3)]
        await_all(groups)
        leaving.signal(signal.SIGTERM)
        assert leaving.wait() == 0
        await_all(groups)
        assert balancer.statistic("upstream_rq_retry") == 0
        dying.signal(signal.SIGKILL)
        await_all(groups)
        balancer.wait_for("membership_healthy", 1)
        await_all(groups)
        assert [failed(callers.stop()) for callers in groups] == [{}] * len(groups)
        assert balancer.statistic("upstream_rq_retry") > 0
        assert balancer.statistic("upstream_rq_retry_overflow") == 0
        assert balancer.statistic("upstream_rq_retry_limit_exceeded") == 0


def test_a_server_without_the_model_gets_no_call_though_it_serves(models, pair, tls_flags, balancing):
    other = start(models, "gate", **tls_flags)
    try:
        balancer = balancing(*pair, port_of(other))
        balancer.wait_for("membership_healthy", 2)
        with deployed.opening()(other.address) as channel:
            assert is_serving(channel, "")
        callers = calling(balancer)
        callers.await_replies(REPLIES)
        # NOT_FOUND is not tried again, so one call to that server would have failed.
        assert failed(callers.stop()) == {}
    finally:
        other.close()


def test_a_server_with_another_s_certificate_gets_no_call(pair, balancing):
    impostor = plain.Recorder()
    with plain.listening(impostor, deployed.AUTHORITY.vouch_for("x", "spiffe://example.org/x")) as port:
        balancer = balancing(*pair, port).wait_for("membership_healthy", 2)
        callers = calling(balancer)
        callers.await_replies(REPLIES)
        assert failed(callers.stop()) == {}
    assert impostor.seen == []


def test_a_server_that_says_that_it_serves_but_fails_is_ejected(pair, balancing):
    outlier = plain.Recorder(refusal=grpc.StatusCode.UNAVAILABLE)
    with plain.listening(outlier, deployed.SERVER) as port:
        balancer = balancing(*pair, port).wait_for("membership_healthy", 3)
        callers = calling(balancer)
        balancer.wait_for("outlier_detection.ejections_active", 1)
        callers.await_replies(REPLIES)
        refused = len(outlier.seen)
        callers.await_replies(REPLIES)
        assert failed(callers.stop()) == {}
    assert len(outlier.seen) == refused >= CONSECUTIVE_FAILURES


def test_the_server_learns_who_called_from_envoy_and_not_from_the_caller(balancing):
    recorder = plain.Recorder()
    with plain.listening(recorder, deployed.SERVER) as port:
        balancer = balancing(port).wait_for("membership_healthy", 1)
        forged = ("x-forwarded-client-cert", "URI=spiffe://example.org/caller/admin")
        with deployed.opening()(balancer.address) as channel:
            assert channel.unary_unary(PREDICT)(b"who", metadata=[forged], timeout=PATIENCE_S) == b"who"
            (line,) = balancer.wait_for_access_log()
    ((element,),) = [[value for key, value in call if key == forged[0]] for call in recorder.seen]
    parts = dict(part.split("=", 1) for part in element.split(";"))
    assert urllib.parse.unquote(parts["Cert"].strip('"')).encode() == deployed.CALLER.certificate
    assert "URI" not in parts
    assert "," not in element
    assert (line["caller"], line["grpc_status"], line["attempts"]) == ("spiffe://example.org/caller/shop", "OK", 1)


@pytest.mark.parametrize("identity", [None, deployed.AUTHORITY.vouch_for("y", "spiffe://example.org/servable")])
def test_who_is_no_caller_by_certificate_gets_no_connection(identity, pair, balancing):
    balancer = balancing(*pair).wait_for("membership_healthy", 2)
    with deployed.opening(identity)(balancer.address) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(PREDICT)(REQUEST, timeout=PATIENCE_S)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_calls_that_change_one_server_do_not_pass(pair, balancing):
    balancer = balancing(*pair).wait_for("membership_healthy", 2)
    with deployed.opening()(balancer.address) as channel:
        stub = model_service_pb2_grpc.ModelServiceStub(channel)
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = deployed.MODEL
        assert len(stub.GetModelStatus(status, timeout=PATIENCE_S).model_version_status) == 1
        assert is_serving(channel, deployed.MODEL)
        with pytest.raises(grpc.RpcError) as refused:
            stub.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(), timeout=PATIENCE_S)
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def await_all(groups):
    for callers in groups:
        callers.await_replies(REPLIES)


def is_serving(channel, service):
    request = health_pb2.HealthCheckRequest(service=service)
    reply = health_pb2_grpc.HealthStub(channel).Check(request, timeout=PATIENCE_S)
    return reply.status == health_pb2.HealthCheckResponse.SERVING
