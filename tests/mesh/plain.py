"""Servers of plain grpcio that stand where a server of ours would, to do what ours does not."""

import contextlib
from concurrent.futures import ThreadPoolExecutor

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.mesh.deployed import AUTHORITY, MODEL


class Recorder:
    """Answers any unary call with its request, or refuses it, and remembers the metadata of each call."""

    def __init__(self, refusal=None):
        self.seen, self._refusal = [], refusal

    def __call__(self, request, context):
        self.seen.append(context.invocation_metadata())
        if self._refusal is not None:
            context.abort(self._refusal, "as told")
        return request

    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(self)


@contextlib.contextmanager
def listening(recorder, identity):
    """Yields the port of a server that says SERVING for the model, over mutual TLS in the name of an Identity."""
    server = grpc.server(ThreadPoolExecutor(4))
    servicer = health.HealthServicer()
    servicer.set(MODEL, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_generic_rpc_handlers([recorder])
    credentials = grpc.ssl_server_credentials([(identity.key, identity.certificate)], AUTHORITY.certificate, True)
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()
