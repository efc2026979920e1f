"""xDS: a control plane tells clients of gRPC where the servers are. Servers that take part in it are not offered."""

import contextlib
import os
import signal
import subprocess
import sys

import grpc
import pytest

from tests.mesh import xds
from tests.mesh.callers import Callers, failed
from tests.mesh.serving import Counted, listening
from tests.process.launching import PATIENCE_S, free_port
from tests.process.transport import UNARY, connect

REPLIES = 300
REQUEST = b"a call"
VERSION = tuple(map(int, grpc.__version__.split(".")[:2]))
# 1.66 and 1.74 were seen not to; in between nobody has looked.
ABORTS_SINCE = (1, 85)
# Nothing of ours: a server that answers every call with an error.
XDS_SERVER = """
import sys
from concurrent.futures import ThreadPoolExecutor
import grpc

class Refusing(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self.refuse)

    def refuse(self, request, context):
        context.abort(grpc.StatusCode.NOT_FOUND, "no such model")

server = grpc.server(ThreadPoolExecutor(2), [Refusing()], xds=True)
server.add_secure_port(sys.argv[1], grpc.xds_server_credentials(grpc.insecure_server_credentials()))
server.start()
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    """gRPC asks the control plane itself, whatever proxy the machine uses."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.mark.behaviour("11.5", "ours: a drain costs no call of callers who know another server")
@pytest.mark.parametrize("lanes", [0, 1])
def test_clients_that_a_control_plane_guides_lose_no_call_in_a_drain(lanes, monkeypatch):
    with contextlib.ExitStack() as ending:
        methods = [Counted() for _ in range(3)]
        servers = [ending.enter_context(listening("127.0.0.1:0", lanes=lanes, method=method)) for method in methods]
        ports = [port for _, port in servers]
        control_plane, bootstrap = ending.enter_context(xds.running(ports))
        monkeypatch.setenv("GRPC_XDS_BOOTSTRAP_CONFIG", bootstrap)
        callers = Callers(xds.TARGET, UNARY, REQUEST, is_right=lambda reply: reply == REQUEST[::-1])
        callers.await_replies(REPLIES)
        assert all(method.count >= REPLIES // 6 for method in methods)
        (leaving, port), *_ = servers
        leaving.leave()
        control_plane.await_not_serving(port)
        control_plane.remove(port)
        callers.await_replies(REPLIES)
        leaving.drain(PATIENCE_S)
        callers.await_replies(REPLIES)
        assert failed(callers.stop()) == {}


@pytest.mark.skipif(VERSION < ABORTS_SINCE, reason="grpcio before 1.85 was not affected")
def test_servers_that_take_part_in_xds_still_abort_at_their_first_error_status(tmp_path):
    port = free_port()
    with xds.running(server_port=port) as (_, bootstrap):
        address, environment = f"127.0.0.1:{port}", {**os.environ, "GRPC_XDS_BOOTSTRAP_CONFIG": bootstrap}
        command = [sys.executable, "-c", XDS_SERVER, address]
        pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
        # A core is dumped there, if any.
        with subprocess.Popen(command, **pipes, env=environment, cwd=tmp_path) as server:
            with connect(address) as channel:
                call = channel.unary_unary(UNARY).future(b"", wait_for_ready=True, timeout=PATIENCE_S)
                code = call.code()
            if code is grpc.StatusCode.NOT_FOUND:
                server.kill()
                pytest.fail("xDS servers heal: offer them")
            _, said = server.communicate(timeout=PATIENCE_S)
    assert (code, server.returncode) == (grpc.StatusCode.UNAVAILABLE, -signal.SIGABRT), said.decode()
