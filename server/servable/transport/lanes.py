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
from typing import TYPE_CHECKING

import grpc

from servable.methods import LaneMethod
from servable.transport.refusals import Refusals

if TYPE_CHECKING:
    from servable.transport.core import Core

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


class Lanes:
    """Some lanes for the same methods. Make them before the server starts, start them after it."""

    def __init__(
        self,
        server: Core,
        methods: Mapping[str, LaneMethod],
        count: int,
        refusals: Refusals,
        on_idle: Callable[[], None] | None = None,
    ) -> None:
        """Take the methods over.

        Args:
            server: The core of a server that has not started.
            methods: By full path. The server's own handlers see no call of theirs any more.
            count: How many threads run them.
            refusals: Where calls are noted that a drain refuses.
            on_idle: Called on a lane's thread when methods have kept replies and no other call is there, or nothing
                else waits in its queue. A lane that always has something in its queue never calls it, so a method
                that gathers must know when it is enough.
        """
        from servable.transport.lane import Lane

        for path in methods:
            server.register(path)
        self._refusals = refusals
        self._lanes = [Lane(server, methods, self._refusals, on_idle, f"lane {n}") for n in range(count)]

    def start(self) -> None:
        """Take calls; as soon as the server has started, since calls wait until then."""
        for lane in self._lanes:
            lane.start()

    def refuse(self) -> None:
        """Refuse all calls from now on, those too that are in a queue and were not seen yet."""
        for lane in self._lanes:
            lane.refusing = True

    def are_busy(self) -> bool:
        """Whether a lane runs a method right now, so that the calls behind it have not been refused yet."""
        return any(lane.busy for lane in self._lanes)

    def close(self, grace_s: float) -> None:
        """Refuse all calls from now on, and return when none has come for a moment or the grace is over."""
        self.refuse()
        self._refusals.await_quiet(grace_s, self.are_busy)

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads, which end after the server's shutdown is complete; False if one has not ended."""
        ends_at = time.monotonic() + timeout_s
        return all(lane.join(max(ends_at - time.monotonic(), 0)) for lane in self._lanes)


def open_lanes(
    server: grpc.Server,
    methods: Mapping[str, LaneMethod],
    count: int,
    refusals: Refusals,
    on_idle: Callable[[], None] | None = None,
) -> Lanes | None:
    """Lanes for a server that has not started; None if none are wanted, or if this grpcio cannot have them."""
    if not count or not are_possible():
        return None
    from servable.transport.core import Core

    return Lanes(Core(server), methods, count, refusals, on_idle)


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
