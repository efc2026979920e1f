"""All lanes of a server: they serve the hot methods on gRPC's core itself, without grpcio's server.

grpcio's server spends several times as much CPU on a call as the core does. A lane (see `transport.lane`) takes the
calls of its methods from the same core server instead, so that ports, TLS, limits and all other methods stay with
grpcio's server.

The core's Python API is private: only `transport.core` uses it. A trial tries once all that a lane relies on, with a
server and a client of its own. If anything fails, there are no lanes, and grpcio's server serves alone.

One lane is the default, since on tiny graphs two lanes contend for the interpreter. Completion queues can be added only
before the server starts, so one spare lane is made: when a lane can no longer poll its queue, the spare takes the
calls, the log says so, and health reports NOT_SERVING.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from servable.errors import NotFound
from servable.methods import Gate, LaneMethod, Reply
from servable.transport import status
from servable.transport.arrivals import Arrivals
from servable.transport.status import DETAILS_KEY, TrailingMetadata
from servable.transport.watchdog import LaneWatchdog, Watchdog

if TYPE_CHECKING:
    from servable.transport.core import Core
    from servable.transport.lane import Lane

_log = logging.getLogger(__name__)

# By default the core cancels calls once more than 1,000 of them wait for a lane or one has waited for 30 s.
# grpcio's server takes all calls and queues them for its pool; calls shall wait for a busy lane likewise.
_MANY = 2147483647
CHANNEL_ARGUMENTS: Sequence[tuple[str, int]] = (
    ("grpc.server.max_pending_requests", _MANY),
    ("grpc.server.max_pending_requests_hard_limit", _MANY),
    ("grpc.server_max_unrequested_time_in_server", _MANY),
)
"""Arguments that a server with lanes needs."""


@dataclass(frozen=True)
class LaneSupervision:
    """Who is called when something is wrong with a lane or a call.

    Attributes:
        on_overrun: Called with the id of a lane's thread that is in a method for too long, once the lane has another
            thread.
        on_death: Called with what to log when a lane has ended for good.
        watchdog: Sees that no method blocks a lane for long; None for a `watchdog.Watchdog`.
        trailing_metadata: Called with the error of a call, for what is sent beside its message.
        gate: Refuses calls as they arrive; None if none is refused.
    """

    on_overrun: Callable[[int], None] = lambda _thread_id: None
    on_death: Callable[[str], None] = _log.critical
    watchdog: LaneWatchdog | None = None
    trailing_metadata: TrailingMetadata = status.trailing_metadata
    gate: Gate | None = None


class Lanes:
    """Several lanes for the same methods. Make them before the server starts, and start them after it has started."""

    def __init__(
        self,
        server: Core,
        methods: Mapping[str, LaneMethod],
        count: int,
        arrivals: Arrivals,
        supervision: LaneSupervision | None = None,
    ) -> None:
        """Take the methods over from the server's handlers.

        Args:
            server: The core of a server that has not started.
            methods: By full path. The server's own handlers see none of their calls any more.
            count: How many lanes serve them.
            arrivals: Where calls begin, and where a drain holds them.
            supervision: Who is called when something is wrong with a lane.
        """
        from servable.transport.lane import Lane, LaneSetting

        for path in methods:
            server.register(path)
        self._supervision = supervision or LaneSupervision()
        self._watchdog = self._supervision.watchdog or Watchdog(self._supervision.on_overrun)
        shared = LaneSetting(
            methods,
            arrivals,
            self._watchdog,
            self._on_death,
            self._supervision.trailing_metadata,
            self._supervision.gate,
        )
        # One more as a spare, since queues can be added only now.
        self._lanes = [Lane(server, shared, f"lane {number}") for number in range(count + 1)]
        self._spares = self._lanes[count:]
        for lane in self._lanes[:count]:
            lane.others = [other for other in self._lanes[:count] if other is not lane]

    def start(self) -> None:
        """Take calls. Call this as soon as the server has started: calls arrive from then on, and wait."""
        for lane in self._lanes:
            if lane not in self._spares:
                lane.start()
        self._watchdog.start(self._lanes)

    def _on_death(self, lane: Lane) -> None:
        """Start the spare lane; called by a lane that can no longer poll its queue, on that lane's thread."""
        self._supervision.on_death(
            f"{lane.name} has ended, since gRPC's completion queue cannot be polled; calls go another way, as long as"
            " there is one. Restart the server."
        )
        try:
            spare = self._spares.pop()
        except IndexError:
            return
        spare.start()

    def are_busy(self) -> bool:
        """Whether a lane runs a method at this moment, so that it has not taken the calls behind it yet."""
        return any(lane.busy for lane in self._lanes)

    def count_open_calls(self) -> int:
        """How many calls have arrived and not ended."""
        return sum(lane.open_calls for lane in self._lanes)

    def count_aborted_calls(self) -> int:
        """How many calls have ended before they were answered."""
        return sum(lane.aborted_calls for lane in self._lanes)

    def busy_s(self) -> Mapping[str, float]:
        """How long each lane was in methods, by its name."""
        return {lane.name: lane.busy_s for lane in self._lanes if lane not in self._spares}

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads, which end once the server's shutdown is complete; False if one has not ended."""
        ends_at = time.monotonic() + timeout_s
        self._watchdog.stop()
        return all(lane.join(max(ends_at - time.monotonic(), 0)) for lane in self._lanes)


def open_lanes(
    server: grpc.Server,
    methods: Mapping[str, LaneMethod],
    count: int,
    arrivals: Arrivals,
    supervision: LaneSupervision | None = None,
) -> Lanes | None:
    """Lanes for a server that has not started; None if `count` is 0, or if lanes do not work with this grpcio."""
    if not count or not are_possible():
        return None
    from servable.transport.core import Core

    return Lanes(Core(server), methods, count, arrivals, supervision)


@functools.cache
def are_possible() -> bool:
    """Whether lanes work with this grpcio, by one trial; if they do not, a line of the log says why."""
    try:
        _try_lanes()
    except Exception as error:
        _log.warning("No lanes: grpcio %s does not work as they need it to: %r", grpc.__version__, error)
        return False
    return True


# Of the trial. A machine may be very busy while a server starts.
_PATIENCE_S = 10.0
_ECHO, _FAIL, _HOLD = "/servable.Trial/Echo", "/servable.Trial/Fail", "/servable.Trial/Hold"


def _try_lanes() -> None:
    """Try all that a lane relies on in gRPC's core, on a server with one lane.

    Raises:
        Exception: of any kind, if anything is not as expected.
    """
    from servable.transport.core import Core

    server = grpc.server(ThreadPoolExecutor(1, "lane trial"), options=[("grpc.so_reuseport", 0)])
    kept = _KeptCall()
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
    _expect(stopped.wait(_PATIENCE_S) and lanes.join(_PATIENCE_S), "the lane ends after the server's shutdown")


def _echo(request: bytes, time_left_s: float | None, reply: Reply) -> None:
    reply.send(request + (b" late" if time_left_s is None or not 0 < time_left_s < 2 * _PATIENCE_S else b""))


def _fail(_request: bytes, time_left_s: float | None, _reply: Reply) -> None:
    raise NotFound(f"{time_left_s}", {"key": "value"})


class _KeptCall:
    """A method that keeps its reply and does not answer."""

    def __init__(self) -> None:
        self._reply: Reply | None = None
        self.has_come = threading.Event()

    def __call__(self, _request: bytes, _time_left_s: float | None, reply: Reply) -> None:
        self._reply = reply
        self.has_come.set()

    def ends(self) -> bool:
        """Whether the reply learns in time that the call has ended; answers it afterwards, which must do no harm."""
        reply, ends_at = self._reply, time.monotonic() + _PATIENCE_S
        if reply is None:
            return False
        while reply.is_active() and time.monotonic() < ends_at:
            time.sleep(0.001)  # There is no event to wait for.
        is_over = not reply.is_active()
        reply.send(b"nobody waits for it")
        return is_over


def _try_answers(channel: grpc.Channel) -> None:
    metadata = (("key", "value"), ("key-bin", b"\0"))
    answer = channel.unary_unary(_ECHO)(b"echo", timeout=_PATIENCE_S, metadata=metadata, wait_for_ready=True)
    _expect(answer == b"echo", "a message is received and sent back, with a deadline")
    error = channel.unary_unary(_FAIL).future(b"").exception(_PATIENCE_S)
    _expect(error.code() is grpc.StatusCode.NOT_FOUND, "an error has its code")
    _expect(error.details() == "None", "a call without a deadline has none")
    _expect([key for key, _ in error.trailing_metadata()] == [DETAILS_KEY], "an error has its trailing metadata")


def _try_cancellation(channel: grpc.Channel, kept: _KeptCall) -> None:
    call = channel.unary_unary(_HOLD).future(b"")
    _expect(kept.has_come.wait(_PATIENCE_S), "a reply can be kept")
    call.cancel()
    _expect(kept.ends(), "a call that its client cancels ends at the server")


def _expect(condition: bool, what: str) -> None:
    if not condition:
        raise RuntimeError(f"it is not so that {what}")
