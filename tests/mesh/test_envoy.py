"""A server that drains behind a real Envoy loses no call, whether Envoy tries calls again or not."""

import contextlib
import signal

import numpy as np
import pytest

from tests.batching.callers import PREDICT, outputs_of, request_bytes
from tests.mesh import envoy
from tests.mesh.callers import Callers, addresses, failed, round_robin
from tests.mesh.serving import pair
from tests.process.launching import ServerProcess
from tests.process.transport import PATIENCE_S, UNARY

pytestmark = pytest.mark.skipif(not envoy.IS_INSTALLED, reason=envoy.WHY_NOT)

REPLIES = 500
# Three times what Envoy needs to ask and to be answered.
DELAY_S = 3 * envoy.HEALTH_INTERVAL_S


@pytest.mark.behaviour("11.5", "ours: a drain costs no call of callers who know another server")
@pytest.mark.parametrize("lanes", [0, 1])
def test_once_envoy_has_heard_that_a_server_leaves_its_end_costs_no_call(lanes, tmp_path):
    with pair(lanes=lanes) as ((leaving, port), (_, other_port)), contextlib.ExitStack() as ending:
        balancer = envoy.Envoy([port, other_port], tmp_path)
        ending.callback(balancer.close)
        balancer.wait_until_healthy()
        groups = [Callers(address, UNARY, b"", count=3) for address in (balancer.plain, balancer.retrying)]
        for callers in groups:
            callers.await_replies(REPLIES)
        leaving.leave()
        balancer.wait_until_healthy(1)
        leaving.drain(PATIENCE_S)
        for callers in groups:
            callers.await_replies(REPLIES)
        assert [failed(callers.stop()) for callers in groups] == [{}, {}]


@pytest.mark.behaviour("11.5", "ours: a drain costs no call of callers who know another server")
def test_sigterm_of_a_server_costs_no_call(models, tmp_path):
    request = request_bytes("half_plus_two", "serving_default", {"x": np.array([2.0], np.float32)})
    base_path = models.base_path("half_plus_two")
    flags = "--model_name=half_plus_two", f"--model_base_path={base_path}", f"--drain_delay_s={DELAY_S}"
    with contextlib.ExitStack() as ending:
        servers = [ServerProcess(*flags, *more) for more in (["--enable_batching"], ["--grpc_lanes=0"], [])]
        for server in servers:
            ending.callback(server.kill)
        ports = [server.wait_until_serving().port for server in servers]
        balancer = envoy.Envoy(ports, tmp_path)
        ending.callback(balancer.close)
        balancer.wait_until_healthy()
        groups = [Callers(target, PREDICT, request, is_right=_is_right, **settings) for target, settings in (
            (balancer.plain, {"count": 6}),
            (balancer.retrying, {"count": 6}),
            (addresses(*ports), {"count": 3, "options": round_robin(health_checking=False)}),
            (addresses(*ports), {"count": 3, "options": round_robin(health_checking=True)}),
        )]  # fmt: skip
        # The last server goes on: somebody must answer.
        for server in servers[:-1]:
            for callers in groups:
                callers.await_replies(REPLIES)
            server.signal(signal.SIGTERM)
            assert server.wait() == 0
        for callers in groups:
            callers.await_replies(REPLIES)
        assert [failed(callers.stop()) for callers in groups] == [{}] * len(groups)
        assert all("stopped" in server.stderr.text() for server in servers[:-1])


def _is_right(reply):
    return outputs_of(reply)["y"].tolist() == [3.0]
