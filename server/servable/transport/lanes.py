"""Lanes: the hot methods past grpcio's server, on gRPC's core itself.

grpcio's server spends several times as much on a call as the core does. A lane takes the calls of its methods from the
same core server instead, so that ports, TLS, limits and everything rare stay where they are.
The core's Python API is private. It is tried once, on a server of its own; if it does not do what it should, there
are no lanes and the public path serves alone.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from servable.methods import LaneMethod
from servable.transport.arrivals import Arrivals
from servable.transport.watchdog import LaneWatchdog, Watchdog

if TYPE_CHECKING:
    from servable.transport.core import Core
    from servable.transport.lane import Lane

_log = logging.getLogger(__name__)

# The core drops calls, as CANCELLED, once more than 1,000 of them wait for a lane or one has waited for 30 s.
# grpcio's server takes all that come, and they wait in its pool; so should they wait for a lane that is busy.
_MANY = 2147483647
CHANNEL_ARGUMENTS: Sequence[tuple[str, int]] = (
    ("grpc.server.max_pending_requests", _MANY),
    ("grpc.server.max_pending_requests_hard_limit", _MANY),
    ("grpc.server_max_unrequested_time_in_server", _MANY),
)
"""What a server with lanes must be made with."""


@dataclass(frozen=True)
class LaneSupervision:
    """Who looks after lanes.

    Attributes:
        on_overrun: Called with the id of a lane's thread that is in a method for too long. The lane has another one.
        on_death: Called with what to log when a lane has ended for good.
        watchdog: Sees that no method blocks a lane for long; None for the usual one.
    """

    on_overrun: Callable[[int], None] = lambda _thread_id: None
    on_death: Callable[[str], None] = _log.critical
    watchdog: LaneWatchdog | None = None


class Lanes:
    """Some lanes for the same methods. Make them before the server starts, start them after it."""

    def __init__(
        self,
        server: Core,
        methods: Mapping[str, LaneMethod],
        count: int,
        arrivals: Arrivals,
        supervision: LaneSupervision | None = None,
    ) -> None:
        """Take the methods over.

        Args:
            server: The core of a server that has not started.
            methods: By full path. The server's own handlers see no call of theirs any more.
            count: How many threads run them.
            arrivals: Where calls begin, and where a drain holds them.
            supervision: Who looks after the lanes.
        """
        from servable.transport.lane import Lane, LaneSetting

        for path in methods:
            server.register(path)
        self._supervision = supervision or LaneSupervision()
        self._watchdog = self._supervision.watchdog or Watchdog(self._supervision.on_overrun)
        shared = LaneSetting(methods, arrivals, self._watchdog, self._on_death)
        # Queues can be added only now, so one more lane stands by for the first that dies.
        self._lanes = [Lane(server, shared, f"lane {number}") for number in range(count + 1)]
        self._spares = self._lanes[count:]

    def start(self) -> None:
        """Take calls; as soon as the server has started, since calls wait until then."""
        for lane in self._lanes:
            if lane not in self._spares:
                lane.start()
        self._watchdog.start(self._lanes)

    def _on_death(self, lane: Lane) -> None:
        """A lane can poll no more, and says so on its own thread: its calls go to the one that stands by."""
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
        """Whether a lane runs a method right now, so that the calls behind it have not been picked up yet."""
        return any(lane.busy for lane in self._lanes)

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads, which end after the server's shutdown is complete; False if one has not ended."""
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
    """Lanes for a server that has not started; None if none are wanted, or if this grpcio cannot have them."""
    if not count or not are_possible():
        return None
    from servable.transport.core import Core

    return Lanes(Core(server), methods, count, arrivals, supervision)


@functools.cache
def are_possible() -> bool:
    """Whether lanes work with this grpcio, as tried once; if not, the log has a line that says why."""
    try:
        from servable.transport import lane_trial

        lane_trial.run()
    except Exception as error:
        _log.warning("No lanes: grpcio %s does not work as they need it to: %r", grpc.__version__, error)
        return False
    return True
