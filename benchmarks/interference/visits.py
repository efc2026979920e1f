"""Measures: a neighbour disturbs a server from one process while the victims' callers call it from another."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import neighbours
import victims
from arrangements import Arrangement
from figures import Figures, Sample
from neighbours import NEIGHBOURS, Outcomes, Signals, Target
from victims import VICTIMS, Seen

_LONGEST_PREPARATION_S: Final = 60.0
_LONGEST_VISIT_S: Final = 200.0
# Long enough for a model's first runs, and for the estimates that a server makes of them.
_WARM_S: Final = 1.0


class Measurement:
    """The two processes, and the figures that they have measured so far.

    Attributes:
        figures: Of all visits.
    """

    def __init__(self, stack: ExitStack, figures: Figures, seconds: float, say: Callable[[str], None]) -> None:
        """Start the processes; they end with the stack."""
        context = get_context("spawn")
        self.figures = figures
        self._signals, self._seconds, self._say = Signals(context), seconds, say
        self._disturber = stack.enter_context(
            ProcessPoolExecutor(1, context, neighbours.keep_signals, (self._signals,))
        )
        self._caller = stack.enter_context(ProcessPoolExecutor(1, context))
        # Whatever fails, a neighbour that waits for `enough` must be released before its process is joined.
        stack.callback(self._signals.enough.set)

    def warm(self, arrangement: Arrangement, names: Sequence[str]) -> None:
        """Call the victims once, so that their first runs count nowhere."""
        for name in names:
            seen = self._call(arrangement, name, _WARM_S)
            self._note_faults(arrangement, "warm-up", name, seen.faults)

    def visit(self, arrangement: Arrangement, neighbour_name: str, names: Sequence[str]) -> None:
        """Call the victims one after the other beside a neighbour, then wait until the server is at rest."""
        neighbour = NEIGHBOURS[neighbour_name]
        if not arrangement.takes(neighbour):
            return
        seconds = {name: self._seconds * VICTIMS[name].stretch for name in names}
        target = Target(
            arrangement.addresses,
            arrangement.is_batched,
            checks_dtypes=bool(arrangement.mode),
            reloads=arrangement.reloads,
            seconds=sum(seconds.values()),
        )
        try:
            with self._disturbed(arrangement, neighbour_name, target):
                for name in names:
                    self._measure(arrangement, neighbour_name, name, seconds[name])
            for process in arrangement.processes:
                process.wait_until_idle()
        except (RuntimeError, concurrent.futures.TimeoutError) as error:
            self._note_faults(arrangement, neighbour_name, "neighbour", [str(error) or type(error).__name__])

    @contextmanager
    def _disturbed(self, arrangement: Arrangement, neighbour_name: str, target: Target) -> Iterator[None]:
        self._signals.disturbing.clear()
        self._signals.enough.clear()
        disturbing = self._disturber.submit(neighbours.disturb, neighbour_name, target)
        try:
            self._wait_for_disturbance(disturbing)
            begun_s = time.monotonic()
            yield
            taken_s = time.monotonic() - begun_s
        finally:
            self._signals.enough.set()
            outcomes = disturbing.result(_LONGEST_VISIT_S)
        faults = [name for name in outcomes if name.startswith("fault")]
        self._note_faults(arrangement, neighbour_name, "neighbour", faults)
        self.figures.note_outcomes(arrangement.name, neighbour_name, outcomes, taken_s)

    def _wait_for_disturbance(self, disturbing: Future[Outcomes]) -> None:
        give_up_s = time.monotonic() + _LONGEST_PREPARATION_S
        while not self._signals.disturbing.wait(0.1):
            if disturbing.done():
                raise RuntimeError(f"it ended before it disturbed: {dict(disturbing.result())}")
            if time.monotonic() > give_up_s:
                raise RuntimeError("it did not begin to disturb")

    def _measure(self, arrangement: Arrangement, neighbour_name: str, name: str, seconds: float) -> None:
        before = _cpu_ticks()
        seen = self._call(arrangement, name, seconds)
        idle, total = (after - earlier for after, earlier in zip(_cpu_ticks(), before, strict=True))
        self._note_faults(arrangement, neighbour_name, name, seen.faults)
        if seen.latencies_ms:
            sample = Sample.of(seen.latencies_ms, idle / max(total, 1))
            self.figures.add(arrangement.name, neighbour_name, name, sample)
            figures = f"{sample.p50_ms:8.2f} {sample.p99_ms:8.2f} {sample.worst_ms:8.2f} ms, idle {sample.idle:4.0%}"
            self._say(f"{neighbour_name:10} {name:10} {arrangement.name:24} {figures}")

    def _call(self, arrangement: Arrangement, name: str, seconds: float) -> Seen:
        address = arrangement.addresses[VICTIMS[name].model.name]
        return self._caller.submit(victims.call, address, name, seconds).result(_LONGEST_VISIT_S)

    def _note_faults(self, arrangement: Arrangement, neighbour: str, who: str, faults: Sequence[str]) -> None:
        if faults:
            self.figures.faults.append(f"{arrangement.name}, {neighbour}, {who}: {len(faults)} x {faults[0]}")
            self._say(f"FAILURE: {self.figures.faults[-1]}")


def run(
    measurement: Measurement,
    arrangements: Sequence[Arrangement],
    names: Mapping[str, Sequence[str]],
    rounds: int,
) -> None:
    """Visit all arrangements in turn, so often; `names` are those of the victims and of the neighbours."""
    for each in arrangements:
        measurement.warm(each, names["victims"])
    for number in range(rounds):
        for neighbour in names["neighbours"]:
            # Each round starts with another server, so that none always follows the same one.
            shift = number % max(len(arrangements), 1)
            for each in [*arrangements[shift:], *arrangements[:shift]]:
                measurement.visit(each, neighbour, names["victims"])


def _cpu_ticks() -> tuple[int, int]:
    """Of all CPUs so far: idle ones, and all. What the host has taken away counts as busy."""
    ticks = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
