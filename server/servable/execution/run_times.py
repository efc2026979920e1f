"""What is remembered of how long runs took: the longest of late, and the usual."""

from __future__ import annotations

from typing import Final

# What is remembered of the longest run fades, so that one slow start does not count for ever.
_FADING: Final = 0.95
_WEIGHT: Final = 0.1
# A run that waited for the interpreter says nothing of the graph: one alone moves the usual time by no more than this.
_LONGEST_STEP: Final = 2.0
_SMALLEST_STEP_S: Final = 1e-4


class RunTimes:
    """The times of one runner. Threads may note at the same time: a lost note does no harm.

    Attributes:
        longest_s: The longest run, fading.
        usual_s: What runs take as a rule; None before the second, since TensorFlow prepares the graph in the first.
    """

    __slots__ = ("_has_run", "longest_s", "usual_s")

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.usual_s: float | None = None
        self._has_run = False

    def note(self, seconds: float) -> None:
        """Remember a run."""
        self.longest_s = max(self.longest_s * _FADING, seconds)
        usual_s = self.usual_s
        if usual_s is not None:
            self.usual_s = usual_s + _WEIGHT * (min(seconds, _LONGEST_STEP * usual_s + _SMALLEST_STEP_S) - usual_s)
        elif self._has_run:
            self.usual_s = seconds
        self._has_run = True
