"""What runs cost, by their size: the one estimate that decides where a run happens.

An estimate is a guess, and whoever follows it may hold up others. So it is bounded by construction:

- One estimate stands for the sizes between two powers of two. A size that was not measured itself has none: that a
  model answers one row in 100 us says nothing of 150,000 rows.
- Only runs that were completed are noted. A refused request takes next to nothing and says nothing of a run.
- An estimate is trusted after a few runs that nobody waited behind, and for a minute after the latest one.
- While a run on a lane takes longer than its estimate allows, the estimate is suspended. If it took far longer in the
  end, the trust is withdrawn, and each time it is, twice as many runs must prove the estimate anew.

What a run takes may depend on its values, which no size tells; `transport.watchdog` bounds what such a run can do.
"""

from __future__ import annotations

import math
import time
from typing import Final

# So many runs prove a size; the shortest of them counts, since the first ones may prepare kernels.
_FIRST_PROOF: Final = 3
_SECOND_PROOF: Final = 16
_LONGEST_PROOF: Final = 4096
# After so many runs of a trusted estimate half of the proof is forgiven.
_RUNS_TO_FORGIVE: Final = 4096
_TRUSTED_FOR_S: Final = 60.0
# A run of a trusted estimate takes 1 ms at most (see batching.dispatch). The threads of a busy machine may be held up
# for a few; a run that takes longer than this was no such run.
_OVERRUN_S: Final = 0.008
# What is expected sinks to short runs fast and rises to long ones slowly: what was measured includes waits for the
# interpreter and for processors, and nothing makes a run shorter than it is.
_SINKS: Final = 0.3
_RISES: Final = 0.1
# To ask for the CPU of a thread is a call of the system, so one of so many runs is measured.
_RUNS_A_CPU_SAMPLE: Final = 16
# A run that waited for the interpreter says nothing of the graph: one alone moves an estimate by no more than this.
_LONGEST_STEP: Final = 2.0
_SMALLEST_STEP_S: Final = 1e-4


class RunCost:
    """The estimate for one size. Threads may note at the same time.

    A note that is lost to another thread's does no harm. A note that restores the trust in the moment in which another
    thread suspends it leads to one more run that takes too long, which suspends it again.

    Attributes:
        trusted_until_s: Until when the times hold (time.monotonic); 0 if they do not.
        run_s: What a run takes.
        cpu_s: How much of that is work of the thread that runs it.
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
        # Runs that took longer than the estimate allows and have not ended yet; a list, since it changes in one step.
        self._overdue: list[None] = []

    def note(self, seconds: float, now_s: float, *, was_overdue: bool = False) -> None:
        """A run was completed.

        Args:
            seconds: What it took.
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
        """Whether the CPU of the run that begins is to be noted as well."""
        self._runs += 1
        return not self.trusted_until_s or not self._runs % _RUNS_A_CPU_SAMPLE

    def note_cpu(self, seconds: float) -> None:
        """A run took so much CPU of its thread; to be noted before the run is."""
        self.cpu_s = min(seconds, self.cpu_s) if self._is_new else _follow(self.cpu_s, seconds)

    def note_failure(self, seconds: float, *, was_overdue: bool) -> None:
        """A run was refused or failed: this proves nothing, unless that it takes long to fail."""
        if was_overdue and seconds > _OVERRUN_S:
            self._withdraw()

    def suspend(self) -> None:
        """A run takes longer than the estimate allows: trust it no more until `resume`. Any thread may call this."""
        self._overdue.append(None)
        self.trusted_until_s = 0.0

    def resume(self) -> None:
        """The run has ended, and was noted or is to be."""
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
        """Prove an estimate as runs of such a size would."""
        cost = self.of(size_bytes)
        for _ in range(_FIRST_PROOF):
            cost.note_cpu(seconds)
            cost.note(seconds, time.monotonic())


class LongestRuns:
    """The longest runs of late, by size: what a deadline has to reckon with. Threads may note at the same time."""

    __slots__ = ("_has_run", "_largest", "_longest_s")

    # What is remembered of the longest run fades, so that one slow start does not count for ever.
    _FADING: Final = 0.95

    def __init__(self) -> None:
        self._longest_s: dict[int, float] = {}
        # The largest size that tells something of still larger ones: the first run of all prepares the graph.
        self._has_run, self._largest = False, 0

    def note(self, size_bytes: int, seconds: float) -> None:
        """A run of such a size was completed."""
        exponent = size_bytes.bit_length()
        self._longest_s[exponent] = max(self._longest_s.get(exponent, 0.0) * self._FADING, seconds)
        if self._has_run:
            self._largest = max(self._largest, exponent)
        self._has_run = True

    def note_failure(self, size_bytes: int, seconds: float) -> None:
        """A run was refused, failed or was given up: another one may take as long, but none is short for that."""
        exponent = size_bytes.bit_length()
        if seconds > self._longest_s.get(exponent, 0.0):
            self._longest_s[exponent] = seconds

    def estimate_s(self, size_bytes: int) -> float:
        """What a run of such a size may take; 0 if nothing is known.

        Runs of a size that was not seen take as long as the next larger one's, or longer than the largest one's in
        proportion.
        """
        exponent, largest = size_bytes.bit_length(), self._largest
        longest_s = self._longest_s.get(exponent)
        if longest_s is not None:
            return longest_s
        if exponent > largest:
            return self._longest_s.get(largest, 0.0) * 2.0 ** (exponent - largest)
        return next((self._longest_s[known] for known in range(exponent, largest + 1) if known in self._longest_s), 0.0)
