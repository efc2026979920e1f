"""The cost of runs by their size: the estimates by which `batching.dispatch` decides where a run happens.

An estimate may be wrong, and a run on a lane that takes longer than its estimate holds up other calls. So estimates are
bounded by construction:

- One estimate stands for the sizes between two powers of two. A size without measured runs has no estimate: a model
  that answers one row in 100 us may take any time for 150,000 rows.
- Only completed runs are noted. A refused request takes next to no time, and its time does not count.
- An estimate is trusted after a few runs on other threads than lanes, and for a minute after the latest run.
- While a run on a lane takes longer than its estimate allows, the estimate is suspended. If the run took far longer in
  the end, the trust is withdrawn, and each time twice as many runs must prove the estimate anew.

The time of a run may depend on its values, which the size does not show; `transport.watchdog` bounds the effect of such
a run.
"""

from __future__ import annotations

import math
import time
from typing import Final

# The number of runs that prove an estimate. The shortest of them counts, since the first ones may prepare kernels.
_FIRST_PROOF: Final = 3
_SECOND_PROOF: Final = 16
_LONGEST_PROOF: Final = 4096
# After so many runs of a trusted estimate the number of runs for the next proof is halved.
_RUNS_TO_FORGIVE: Final = 4096
_TRUSTED_FOR_S: Final = 60.0
# Runs with a trusted estimate on a lane take 1 ms at most (see batching.dispatch). On a busy machine a thread may be
# delayed for a few ms; if a run took longer than this, its estimate was wrong.
_OVERRUN_S: Final = 0.008
# The weights by which an estimate falls to shorter runs and rises to longer ones. It rises slowly, since measured times
# include waits for the interpreter and for processors; it falls fast, since nothing makes a run seem shorter.
_SINKS: Final = 0.3
_RISES: Final = 0.1
# Reading the CPU time of a thread is a system call, so one of so many runs is measured.
_RUNS_A_CPU_SAMPLE: Final = 16
# A run may have waited for the interpreter; so at most this multiple of the estimate, plus a step, counts of its time.
_LONGEST_STEP: Final = 2.0
_SMALLEST_STEP_S: Final = 1e-4


class RunCost:
    """The estimate for one size. Threads may note runs at the same time.

    If two threads note at once, one note may be lost; that does no harm. If a thread that notes a run restores the
    trust just when the watchdog's thread suspends it, one more run may take too long, which suspends it again.

    Attributes:
        trusted_until_s: Until when the estimate is trusted (time.monotonic); 0 if it is not.
        run_s: The time that a run takes.
        cpu_s: The CPU time that the thread of a run spends on it.
    """

    __slots__ = (
        "_is_new",
        "_overdue",
        "_proof",
        "_runs",
        "_to_prove",
        "_trusted_runs",
        "cpu_s",
        "run_s",
        "trusted_until_s",
    )

    def __init__(self) -> None:
        self.trusted_until_s = 0.0
        self.run_s = self.cpu_s = math.inf
        self._is_new, self._runs = True, 0
        self._proof, self._to_prove = _SECOND_PROOF, _FIRST_PROOF
        self._trusted_runs = 0
        # One item for each run that took longer than the estimate allows and has not ended yet. Several threads change
        # the count: `append` and `pop` are atomic under the GIL, `+= 1` is not.
        self._overdue: list[None] = []

    def note(self, seconds: float, now_s: float, *, was_overdue: bool = False) -> None:
        """Note that a run was completed.

        Args:
            seconds: The time that it took.
            now_s: The time (time.monotonic).
            was_overdue: Whether the estimate was suspended for it.
        """
        self.run_s = min(seconds, self.run_s) if self._is_new else _follow(self.run_s, seconds)
        if was_overdue and seconds > _OVERRUN_S:
            self._withdraw()
        elif self._to_prove > 1:
            self._to_prove -= 1
        else:
            self._trust(now_s)

    def wants_cpu(self) -> bool:
        """Whether the CPU time of the run that begins is to be noted as well."""
        self._runs += 1
        return not self.trusted_until_s or not self._runs % _RUNS_A_CPU_SAMPLE

    def note_cpu(self, seconds: float) -> None:
        """Note the CPU time that a run took on its thread. Call this before `note`."""
        self.cpu_s = min(seconds, self.cpu_s) if self._is_new else _follow(self.cpu_s, seconds)

    def note_failure(self, seconds: float, *, was_overdue: bool) -> None:
        """Note that a run was refused or failed. This adds no trust; it withdraws it if the run took too long."""
        if was_overdue and seconds > _OVERRUN_S:
            self._withdraw()

    def suspend(self) -> None:
        """Trust the estimate no more until `resume`: a run takes longer than it allows. Any thread may call this."""
        self._overdue.append(None)
        self.trusted_until_s = 0.0

    def resume(self) -> None:
        """End a suspension: its run has ended. The run itself is noted separately, before or after this."""
        self._overdue.pop()

    def _trust(self, now_s: float) -> None:
        self._to_prove, self._is_new = 0, False
        if not self._overdue:
            self.trusted_until_s = now_s + _TRUSTED_FOR_S
        self._trusted_runs += 1
        if self._trusted_runs >= _RUNS_TO_FORGIVE:
            self._trusted_runs, self._proof = 0, max(self._proof // 2, _SECOND_PROOF)

    def _withdraw(self) -> None:
        self._to_prove, self._trusted_runs = self._proof, 0
        self._proof = min(self._proof * 2, _LONGEST_PROOF)
        self.trusted_until_s = 0.0


def _follow(expected_s: float, seconds: float) -> float:
    """An estimate, moved towards a measured time."""
    weight = _SINKS if seconds < expected_s else _RISES
    return expected_s + weight * (min(seconds, _LONGEST_STEP * expected_s + _SMALLEST_STEP_S) - expected_s)


class RunCosts:
    """The estimates of one runner, one for each power of two of the bytes. Safe to share between threads."""

    __slots__ = ("_by_exponent",)

    def __init__(self) -> None:
        self._by_exponent: dict[int, RunCost] = {}

    def of(self, size_bytes: int) -> RunCost:
        """The estimate for runs of such a size; the same object for all sizes up to the next power of two."""
        exponent = size_bytes.bit_length()
        cost = self._by_exponent.get(exponent)
        return cost if cost is not None else self._by_exponent.setdefault(exponent, RunCost())

    def assume(self, size_bytes: int, seconds: float) -> None:
        """Make an estimate trusted, as completed runs of such a size would."""
        cost = self.of(size_bytes)
        for _ in range(_FIRST_PROOF):
            cost.note_cpu(seconds)
            cost.note(seconds, time.monotonic())


class LongestRuns:
    """The longest recent runs by size, to decide whether a run needs a time limit. Threads may note runs at once."""

    __slots__ = ("_has_run", "_largest", "_longest_s")

    # The longest time shrinks by this factor with each run, so that one slow first run does not count for ever.
    _FADING: Final = 0.95

    def __init__(self) -> None:
        self._longest_s: dict[int, float] = {}
        # The largest size from which the time of larger ones is estimated. The very first run does not count, since it
        # prepares the graph.
        self._has_run, self._largest = False, 0

    def note(self, size_bytes: int, seconds: float) -> None:
        """Note that a run of such a size was completed."""
        exponent = size_bytes.bit_length()
        self._longest_s[exponent] = max(self._longest_s.get(exponent, 0.0) * self._FADING, seconds)
        if self._has_run:
            self._largest = max(self._largest, exponent)
        self._has_run = True

    def note_failure(self, size_bytes: int, seconds: float) -> None:
        """Note that a run was refused, failed or given up. It raises the longest time, but never lowers it."""
        exponent = size_bytes.bit_length()
        if seconds > self._longest_s.get(exponent, 0.0):
            self._longest_s[exponent] = seconds

    def estimate_s(self, size_bytes: int) -> float:
        """The time that a run of such a size may take; 0 if no run was noted.

        For a size without runs it is the time of the next larger size; beyond the largest size it grows in proportion.
        """
        exponent, largest = size_bytes.bit_length(), self._largest
        longest_s = self._longest_s.get(exponent)
        if longest_s is not None:
            return longest_s
        if exponent > largest:
            return self._longest_s.get(largest, 0.0) * 2.0 ** (exponent - largest)
        return next((self._longest_s[known] for known in range(exponent, largest + 1) if known in self._longest_s), 0.0)
