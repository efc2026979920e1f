"""GrpcServers in the test's own process, over methods that are plain functions: no model, no TensorFlow."""

import contextlib
import dataclasses
import threading
from types import MappingProxyType

import grpc

from servable.methods import without_context
from servable.transport.server import GrpcServer, ServerSettings

PATIENCE_S = 30.0
UNARY = "/test.Service/Call"


@dataclasses.dataclass
class Transport:
    """A server that listens, and a channel to it."""

    server: GrpcServer
    port: int
    channel: grpc.Channel

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def call(self, request=b"", path=UNARY, timeout=PATIENCE_S, **options):
        """Call and wait."""
        return self.channel.unary_unary(path)(request, timeout=timeout, **options)

    def begin(self, request=b"", path=UNARY, timeout=PATIENCE_S, **options):
        """Call and do not wait."""
        return self.channel.unary_unary(path).future(request, timeout=timeout, **options)


@contextlib.contextmanager
def serve(method=lambda request, time_left_s: request, **settings):
    """Yields a Transport that answers UNARY with a method."""
    server = GrpcServer({UNARY: without_context(method)}, ServerSettings(addresses=["127.0.0.1:0"], **settings))
    (port,) = server.start()
    try:
        with connect(f"127.0.0.1:{port}") as channel:
            yield Transport(server, port, channel)
    finally:
        server.stop()


def connect(address, **arguments):
    """A channel that shares its connection with no other, and tries nothing twice."""
    options = {"grpc.use_local_subchannel_pool": 1, "grpc.enable_retries": 0, "grpc.enable_http_proxy": 0, **arguments}
    return grpc.insecure_channel(address, options=list(options.items()))


class Gate:
    """A method that blocks each call until it is opened, and knows which are inside."""

    def __init__(self):
        self._open = threading.Event()
        self._inside = threading.Semaphore(0)
        self.seen = []

    def __call__(self, request, time_left_s):
        self.seen.append(request)
        self._inside.release()
        assert self._open.wait(PATIENCE_S)
        return request

    def await_arrival(self):
        """Wait until one more call is inside."""
        assert self._inside.acquire(timeout=PATIENCE_S)

    def open(self):
        self._open.set()


class NoModel:
    """A servable for an app.Server of which nobody asks anything."""

    signatures = MappingProxyType({})

    queue_limits = None

    def ready_runner(self, feeds, fetches):
        raise AssertionError("nobody asks")

    def runner(self, feeds, fetches):
        raise AssertionError("nobody asks")

    def close(self):
        pass
