"""Lanes under a grpc.Server in the test's own process, over methods that are plain functions."""

import contextlib
import dataclasses
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

from servable.methods import without_context
from servable.transport.arrivals import Arrivals
from servable.transport.core import Core
from servable.transport.handlers import MethodHandlers
from servable.transport.lanes import CHANNEL_ARGUMENTS, Lanes, LaneSupervision
from tests.process.transport import PATIENCE_S, UNARY, connect

PUBLIC = "/test.Service/Public"


@dataclasses.dataclass
class LaneServer:
    """A server that listens, and a channel to it."""

    server: grpc.Server
    lanes: Lanes
    arrivals: Arrivals
    address: str
    channel: grpc.Channel

    @property
    def port(self):
        return int(self.address.rpartition(":")[2])

    def call(self, request=b"", path=UNARY, timeout=PATIENCE_S, **options):
        """Call and wait."""
        return self.channel.unary_unary(path)(request, timeout=timeout, **options)

    def begin(self, request=b"", path=UNARY, timeout=PATIENCE_S, **options):
        """Call and do not wait."""
        return self.channel.unary_unary(path).future(request, timeout=timeout, **options)

    def error_of(self, request=b"", **options):
        """The error of a call."""
        return self.begin(request, **options).exception(PATIENCE_S)

    def paused(self, grace_s=PATIENCE_S):
        """A context in which calls are held, as in a drain."""
        return self.arrivals.paused(grace_s, self.lanes.are_busy)

    def drain(self, grace_s=PATIENCE_S):
        """In the order of transport.server."""
        ends_at = time.monotonic() + grace_s
        with self.paused(grace_s):
            stopped = self.server.stop(max(ends_at - time.monotonic(), 0))
        stopped.wait()
        assert self.lanes.join(PATIENCE_S)

    def stop(self):
        """End all calls."""
        stopped = self.server.stop(0)
        assert stopped.wait(PATIENCE_S)
        assert self.lanes.join(PATIENCE_S)


class NoWatchdog:
    """Watches no lane."""

    is_asleep = False

    def start(self, lanes):
        pass

    def stop(self):
        pass


def inline(method):
    """A lane's method that answers on the lane's thread."""

    def answer(request, time_left_s, reply):
        reply.send(method(request, time_left_s))

    return answer


@contextlib.contextmanager
def serve(method=lambda request, time_left_s, reply: reply.send(request), **settings):
    """Yields a LaneServer that answers UNARY with a lane's method, and PUBLIC, as an echo, past the lanes."""
    with serve_methods({UNARY: method}, **settings) as server:
        yield server


@contextlib.contextmanager
def serve_methods(
    methods, *, count=1, options=(), address="127.0.0.1:0", credentials=None, watchdog=None, on_death=None, **supervised
):
    """Yields a LaneServer that answers these methods on lanes, by path, and PUBLIC past them.

    No watchdog watches the lanes unless one is given: a method blocks its lane for as long as it takes. More arguments
    are fields of LaneSupervision.
    """
    with ThreadPoolExecutor(2) as pool:
        handlers = MethodHandlers({PUBLIC: lambda request, _time_left_s, _context: request}, {}, pool)
        server = grpc.server(pool, handlers=[handlers], options=[*CHANNEL_ARGUMENTS, *options])
        callbacks = {} if on_death is None else {"on_death": on_death}
        supervision = LaneSupervision(watchdog=watchdog or NoWatchdog(), **callbacks, **supervised)
        arrivals = Arrivals()
        lanes = Lanes(Core(server), methods, count, arrivals, supervision)
        bind = server.add_secure_port if credentials else server.add_insecure_port
        port = bind(address, *[credentials] if credentials else [])
        if address.startswith("127"):
            address = f"127.0.0.1:{port}"
        server.start()
        lanes.start()
        with connect(address) as channel:
            running = LaneServer(server, lanes, arrivals, address, channel)
            try:
                yield running
            finally:
                running.stop()


@contextlib.contextmanager
def serve_publicly(method):
    """Yields a channel to a server of grpcio's own, for what lanes must answer alike."""
    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=[MethodHandlers({UNARY: without_context(method)}, {}, pool)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with connect(f"127.0.0.1:{port}") as channel:
                yield channel
        finally:
            server.stop(0).wait(PATIENCE_S)


class Keeper:
    """A method that keeps its replies, in order of their arrival."""

    def __init__(self):
        self._arrived = threading.Semaphore(0)
        self.requests, self.replies = [], []

    def __call__(self, request, time_left_s, reply):
        self.requests.append(request)
        self.replies.append(reply)
        self._arrived.release()

    def await_arrival(self):
        """The reply of one more call."""
        assert self._arrived.acquire(timeout=PATIENCE_S)
        return self.replies[-1]


def blocking(gate):
    """A lane's method of a tests.process.transport.Gate, which blocks the lane itself."""
    return inline(gate)


def await_end(reply):
    """Wait until the call of a reply is over."""
    ends_at = time.monotonic() + PATIENCE_S
    while reply.is_active():
        assert time.monotonic() < ends_at
        time.sleep(0.001)
