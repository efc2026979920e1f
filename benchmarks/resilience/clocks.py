"""A wall clock that jumps an hour either way, for the server's process; the monotonic clock goes on, as on a machine.

The clock of the machine is not ours to set: a shared library shifts what the process reads (wall_clock.c). What waits
in the kernel for a time of the wall clock is not woken by such a jump, as it would be by a real one.

Which clock is used by what: gRPC's timers, deadlines on the wire, batches, polls, drains and this program use the
monotonic clock, which never jumps. The wall clock is used by the lines of the log, Date over HTTP, certificates and
tokens, and by a lane between a call's arrival and its run: a call in flight at a jump forward is told
DEADLINE_EXCEEDED if it has a deadline sooner than the jump (transport/lane.py).
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Final

from benchmarks.resilience.callers import RIGHT, Callers, describe_losses, wrong
from benchmarks.resilience.lab import Lab
from benchmarks.resilience.results import Result

_HOUR_S: Final = 3600
_LONGEST_S: Final = 30.0
# A jump that expires calls in flight expires a few, not those that come later.
_MOST_EXPIRED: Final = 16


def build_library(folder: Path) -> Path | None:
    """The library for LD_PRELOAD; None without a C compiler."""
    compiler, library = shutil.which("cc"), folder / "wall_clock.so"
    if compiler is None:
        return None
    source = Path(__file__).with_name("wall_clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


def jump(lab: Lab) -> Result:
    """An hour forward, back, an hour back, and forward again, under calls with deadlines."""
    scenario = "the wall clock jumps an hour forward, back, back, forward"
    folder = lab.new_folder()
    library = build_library(folder)
    if library is None:
        return Result(scenario, "not measured: there is no C compiler")
    clock = WallClock(folder / "offset")
    environment = {"LD_PRELOAD": str(library), "WALL_CLOCK_OFFSET": str(clock.path)}
    base_path = lab.place(1)
    flags = ("--file_system_poll_wait_seconds=1",)
    slowest_s = 0.0
    with lab.server(base_path, *flags, environment=environment) as server, Callers(server) as callers:
        callers.wait_until_right(time.monotonic(), _LONGEST_S)
        for jumped_s in (_HOUR_S, 0, -_HOUR_S, 0):
            jumps_s = time.monotonic()
            clock.set(jumped_s)
            slowest_s = max(slowest_s, callers.wait_until_right(jumps_s, _LONGEST_S))
            time.sleep(lab.size.settle_s)
        clock.set(-_HOUR_S)
        added_s = time.monotonic()
        lab.add(base_path, 2)
        serves_new_s = callers.wait_until_right(added_s, _LONGEST_S, version=2)
        logged = _hours_in_log(server.text())
    outcomes = callers.outcomes()
    expired = sum(count for outcome, count in outcomes.items() if outcome in {"DEADLINE_EXCEEDED", "HTTP 504"})
    faults = wrong(outcomes) + [f"{count} {what}" for what, count in _others(outcomes).items()]
    faults += [f"{expired} calls expired"] * (expired > _MOST_EXPIRED)
    faults += ["polling stood still"] * (serves_new_s == float("inf"))
    faults += ["the server did not see the jumps"] * (logged < 2)
    figures = {"calls": outcomes.total(), "expired by a jump": expired, "a new version served after, s": serves_new_s}
    return Result(scenario, describe_losses(outcomes), slowest_s, faults, figures)


class WallClock:
    """How far a process's wall clock is off."""

    def __init__(self, path: Path) -> None:
        """Write a file that says not at all."""
        self.path = path
        self.set(0)

    def set(self, offset_s: int) -> None:
        """Jump; in place, since the process has mapped the file."""
        with self.path.open("r+b" if self.path.exists() else "w+b") as file:
            file.write(offset_s.to_bytes(8, "little", signed=True))


def _others(outcomes: Counter[str]) -> Counter[str]:
    return Counter({what: n for what, n in outcomes.items() if what not in {RIGHT, "DEADLINE_EXCEEDED", "HTTP 504"}})


def _hours_in_log(log: str) -> int:
    """How many hours the lines are of: the server's clock did jump."""
    return len({line[:13] for line in log.splitlines() if line[:2] == "20"})
