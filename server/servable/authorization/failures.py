"""How many wrong signatures a peer may send: a bound on the time that checking them takes.

A flood of tokens with wrong signatures would cost a check each, on the thread that answers calls. So each peer has an
allowance that fills up again with time. When it is spent, tokens of that peer that have not been seen before are
refused without a look; those that have been verified are known, and go on. Behind a proxy all callers are one peer, so
the allowance is larger than what callers with outdated keys need, and is back within seconds.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from servable.errors import ResourceExhausted

_MOST_AT_ONCE: Final = 200.0
_REFILL_PER_S: Final = 50.0
_MOST_PEERS: Final = 1024


class FailureBudget:
    """The allowances of all peers. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nobody has failed yet.

        Args:
            clock: Seconds that never go back.
        """
        self._clock = clock
        self._lock = threading.Lock()
        # By host: what has been spent, and when that was true. Who has not failed for the longest time comes first.
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, peer: str) -> None:
        """See whether a peer may send one more.

        Raises:
            ResourceExhausted: If its allowance is spent.
        """
        if self._spent and self._read(_host(peer)) > _MOST_AT_ONCE - 1:
            raise ResourceExhausted(
                "Too many tokens with wrong signatures came from this address; try again in a second"
            )

    def note(self, peer: str) -> None:
        """Count a wrong signature."""
        host = _host(peer)
        with self._lock:
            self._spent[host] = (self._read(host) + 1, self._clock())
            self._spent.move_to_end(host)
            if len(self._spent) > _MOST_PEERS:
                self._spent.popitem(last=False)

    def _read(self, host: str) -> float:
        spent, then_s = self._spent.get(host, (0.0, 0.0))
        return max(spent - (self._clock() - then_s) * _REFILL_PER_S, 0.0)


def _host(peer: str) -> str:
    """A peer without its port, which is another for each connection."""
    return peer.rpartition(":")[0] if peer.startswith(("ipv4:", "ipv6:")) else peer
