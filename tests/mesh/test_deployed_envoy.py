"""The files of deploy/envoy, run by the real Envoy: three servers over mutual TLS, of which some leave, die or fail."""

import collections
import contextlib
import json
import signal

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from tests.batching.callers import PREDICT, outputs_of, request_bytes
from tests.mesh import deployed, envoy, plain
from tests.mesh.callers import Callers, failed
from tests.process.certificates import ssl_config
from tests.process.launching import ServerProcess
from tests.process.transport import PATIENCE_S
from tests.serving import start

pytestmark = pytest.mark.skipif(not envoy.IS_INSTALLED, reason=envoy.WHY_NOT)

REPLIES = 500
# Three times what Envoy needs to ask and to be answered.
DELAY_S = 3 * deployed.HEALTH_INTERVAL_S
REQUEST = request_bytes(deployed.MODEL, "serving_default", {"x": np.array([2.0], np.float32)})


@pytest.fixture(scope="module")
def ssl_config_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "ssl.config"
    path.write_text(ssl_config(deployed.SERVER, deployed.AUTHORITY.certificate, client_verify=True))
    return str(path)


@pytest.fixture(scope="module")
def pair(models, ssl_config_file):
    """The ports of two servers in this process that serve the model."""
    running = [start(models, deployed.MODEL, ssl_config_file=ssl_config_file) for _ in range(2)]
    yield [port_of(server) for server in running]
    for server in running:
        server.close()


@pytest.fixture
def balancing(tmp_path):
    """Runs the Envoy of deploy/ before servers on three ports, until the end of the test."""
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
def test_a_server_that_drains_costs_no_call_and_one_that_is_killed_only_tries(models, ssl_config_file, balancing):
    flags = f"--model_name={deployed.MODEL}", f"--model_base_path={models.base_path(deployed.MODEL)}"
    more = f"--ssl_config_file={ssl_config_file}", f"--drain_delay_s={DELAY_S}"
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
        tried_again = balancer.statistic("upstream_rq_retry")
    assert tried_again > 0
    assert balancer_attempts(balancer) == tried_again


def await_all(groups):
    for callers in groups:
        callers.await_replies(REPLIES)


def balancer_attempts(balancer):
    """How often calls were tried again, by the access log."""
    lines = [json.loads(line) for line in balancer.log.read_text().splitlines() if line.startswith("{")]
    return sum(int(line["attempts"]) - 1 for line in lines)
