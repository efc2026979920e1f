"""Gives memory back to the system after requests that took much of it.

`memory.prepare` lets glibc keep what is freed, since runs of large graphs would otherwise fetch their memory anew each
time. So what a huge request took would stay for good. The reclaimer looks at the resident memory now and then, and
has freed memory returned once that has grown and grows no more. It counts nothing on the way of a request, and sees
whatever takes memory: requests, replies, JSON, and the tensors between.

Memory that is taken again at once was in use: then it waits longer and longer before it returns any more, and not as
long when the process has little else to do. Resident memory does not say what of it is free. So where nothing came
back, since a call still held it, that is tried a few times more, at the same pauses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_MIB: Final = 1 << 20
_LOOK_S: Final = 1.0
# What less would be worth is not known to matter; a model's steady work takes about as much.
_LEAST_BYTES: Final = 64 * _MIB
# Growth between two looks below this is none.
_STILL_BYTES: Final = 4 * _MIB
_FIRST_PAUSE_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0
_LONGEST_IDLE_PAUSE_S: Final = 6.0
# A process that uses less of a CPU than this has little to do.
_IDLE_SHARE: Final = 0.2
# Memory that is taken again within so many pauses was in use.
_PAUSES_UNTIL_QUIET: Final = 3


class Reclaimer:
    """Decides when memory is given back. Used by one thread: `turn` is a `loops.Turn`."""

    def __init__(
        self, resident_bytes: Callable[[], int], cpu_seconds: Callable[[], float], give_back: Callable[[], None]
    ) -> None:
        """Watch from now on.

        Args:
            resident_bytes: What the process has of the machine's memory.
            cpu_seconds: The CPU time that it has used.
            give_back: Returns freed memory to the system.
        """
        self._resident_bytes, self._cpu_seconds, self._give_back = resident_bytes, cpu_seconds, give_back
        self._last_cpu_s = cpu_seconds()
        # What the process has when nothing is there to return, as far as is known.
        self._floor_bytes = self._last_bytes = resident_bytes()
        self._gave_at_s: float | None = None
        self._pause_s = _FIRST_PAUSE_S

    def turn(self, now_s: float) -> float:
        """Look, and give back if it is time; see `loops.Turn`."""
        now_bytes, before_bytes = self._resident_bytes(), self._last_bytes
        self._last_bytes = now_bytes
        self._floor_bytes = min(self._floor_bytes, now_bytes)
        cpu_s, before_cpu_s = self._cpu_seconds(), self._last_cpu_s
        self._last_cpu_s = cpu_s
        is_still = now_bytes - before_bytes < _STILL_BYTES
        pause_s = self._pause_s
        if cpu_s - before_cpu_s < _IDLE_SHARE * _LOOK_S:
            pause_s = min(pause_s, _LONGEST_IDLE_PAUSE_S)
        has_paused = self._gave_at_s is None or now_s - self._gave_at_s >= pause_s
        if now_bytes - self._floor_bytes >= _LEAST_BYTES and is_still and has_paused:
            self._give(now_s)
        return now_s + _LOOK_S

    def _give(self, now_s: float) -> None:
        gave_at_s = self._gave_at_s
        is_soon = gave_at_s is not None and now_s - gave_at_s < _PAUSES_UNTIL_QUIET * self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S) if is_soon else _FIRST_PAUSE_S
        before_bytes = self._resident_bytes()
        self._give_back()
        self._gave_at_s, self._last_bytes = now_s, self._resident_bytes()
        if self._pause_s == _LONGEST_PAUSE_S and before_bytes - self._last_bytes < _LEAST_BYTES:
            self._floor_bytes = self._last_bytes
