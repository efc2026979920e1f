"""What a run shall do, as workers get it: a value that can be pickled."""

from __future__ import annotations

from dataclasses import dataclass

from servable_client._network import Network


@dataclass(frozen=True, slots=True)
class Plan:
    """A run.

    Attributes:
        network: The server.
        path: The full path of the method.
        request: The bytes of the request that all calls send.
        metadata: The headers of all calls.
        timeout_s: The deadline of a call, in seconds.
        concurrency: How many calls may be under way at once, over all processes.
        rate: Calls to send in a second, over all processes, on time whatever the server does; None sends the next
            call when one has ended (a closed loop).
        duration_s: How long to measure, in seconds.
        warmup_s: How long to send before that without counting, in seconds.
        processes: How many processes send.
    """

    network: Network
    path: str
    request: bytes
    metadata: tuple[tuple[str, str | bytes], ...]
    timeout_s: float
    concurrency: int
    rate: float | None
    duration_s: float
    warmup_s: float
    processes: int

    def slots(self, worker: int) -> int:
        """How many calls one of the processes may have under way."""
        return self.concurrency // self.processes + (worker < self.concurrency % self.processes)
