"""A trial of lanes: a server with one lane and a client, through all that a lane relies on in gRPC's core."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

from servable.errors import NotFound
from servable.methods import Reply
from servable.transport.arrivals import Arrivals
from servable.transport.core import Core
from servable.transport.lanes import Lanes
from servable.transport.status import DETAILS_KEY

# A machine may be very busy while a server starts.
_PATIENCE_S = 10.0
_ECHO, _FAIL, _HOLD = "/servable.Trial/Echo", "/servable.Trial/Fail", "/servable.Trial/Hold"


def run() -> None:
    """Try it all.

    Raises:
        Exception: of any kind, if anything is not as it should be.
    """
    server = grpc.server(ThreadPoolExecutor(1, "lane trial"), options=[("grpc.so_reuseport", 0)])
    kept = _Kept()
    lanes = Lanes(Core(server), {_ECHO: _echo, _FAIL: _fail, _HOLD: kept}, 1, Arrivals())
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    lanes.start()
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0), ("grpc.enable_retries", 0)]
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            _try_answers(channel)
            _try_cancellation(channel, kept)
    finally:
        stopped = server.stop(0)
    _insist(stopped.wait(_PATIENCE_S) and lanes.join(_PATIENCE_S), "the lane ends after the server's shutdown")


def _echo(request: bytes, time_left_s: float | None, reply: Reply) -> None:
    reply.send(request + (b" late" if time_left_s is None or not 0 < time_left_s < 2 * _PATIENCE_S else b""))


def _fail(_request: bytes, time_left_s: float | None, _reply: Reply) -> None:
    raise NotFound(f"{time_left_s}", {"key": "value"})


class _Kept:
    """A method that keeps its reply."""

    def __init__(self) -> None:
        self._reply: Reply | None = None
        self.has_come = threading.Event()

    def __call__(self, _request: bytes, _time_left_s: float | None, reply: Reply) -> None:
        self._reply = reply
        self.has_come.set()

    def ends(self) -> bool:
        """Whether the call of the reply ends, by itself and in time; then answer it all the same."""
        reply, ends_at = self._reply, time.monotonic() + _PATIENCE_S
        if reply is None:
            return False
        while reply.is_active() and time.monotonic() < ends_at:
            time.sleep(0.001)  # Nothing but the reply tells.
        is_over = not reply.is_active()
        reply.send(b"nobody waits for it")
        return is_over


def _try_answers(channel: grpc.Channel) -> None:
    metadata = (("key", "value"), ("key-bin", b"\0"))
    answer = channel.unary_unary(_ECHO)(b"echo", timeout=_PATIENCE_S, metadata=metadata, wait_for_ready=True)
    _insist(answer == b"echo", "a message comes and goes, with a deadline")
    error = channel.unary_unary(_FAIL).future(b"").exception(_PATIENCE_S)
    _insist(error.code() is grpc.StatusCode.NOT_FOUND, "an error has its code")
    _insist(error.details() == "None", "a call without a deadline has none")
    _insist([key for key, _ in error.trailing_metadata()] == [DETAILS_KEY], "an error has its trailing metadata")


def _try_cancellation(channel: grpc.Channel, kept: _Kept) -> None:
    call = channel.unary_unary(_HOLD).future(b"")
    _insist(kept.has_come.wait(_PATIENCE_S), "a reply can be kept")
    call.cancel()
    _insist(kept.ends(), "a call's end is told when its client cancels it")


def _insist(condition: bool, what: str) -> None:
    if not condition:
        raise RuntimeError(f"it is not so that {what}")
