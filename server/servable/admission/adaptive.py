"""How many calls a model may have in flight, learnt from how long they take.

A gradient limiter, of the family of Netflix's concurrency-limits (`Gradient2Limit`) and Envoy's adaptive concurrency
filter. Calls are looked at in windows, each of which says by its quantile of latencies how long calls take now. That
is compared with the same quantile of calls that were alone, the baseline: as long as it is at most `tolerance` times
the baseline, a limit that is used up grows, by at most half its square root, and else it shrinks in proportion.

The baseline is what such limiters get wrong. One that is averaged over all calls rises with an overload that lasts,
and the limit with it; the least latency ever seen never rises, so that a model which has become slower for good keeps
the smallest limit. Here only calls that were alone count, as in Envoy's filter: now and then a probe lets in one call
at a time (`least`), for so few calls and so seldom that it costs `probe_share` of the time. A limit that has fallen
to the least is a probe in itself, so that it cannot stay there once calls alone take as long as those counted.

Latencies grow with batches as well as with queues, and both count: a larger batch is worth its latency up to the same
tolerance. That is why the tolerance is higher than elsewhere (Netflix: 1.5), and why the square root is a speed and no
allowance: as an allowance it would add 140 % to what is tolerated at a limit of 3, and 11 % at 100.

Nobody's calls steer it alone. A quantile ignores a few calls however slow; a mix of many kinds of calls is in the
baseline as in the windows. A probe ends when it has taken too long, and calls from before it that do not end are left
out of its count, so that a call that hangs holds up neither. What failed by its caller's fault says nothing.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from servable.errors import Code

_TIMED_OUT: Final = frozenset({Code.DEADLINE_EXCEEDED, Code.CANCELLED})
_MOST_SHRINKAGE: Final = 0.5
# A baseline that is so many times too high or low is replaced at once. Less may be chance, and is averaged.
_FAR_OFF: Final = 3.0
# More refused calls than these, in proportion to those that ended, are an overload: a burst now and then is none.
_FEW_REFUSED: Final = 0.03


@dataclass(frozen=True)
class AdaptiveSettings:
    """How an AdaptiveLimit learns. All are ratios and counts: times follow from the latencies measured.

    Attributes:
        least: The limit never falls below it, and probes let in as many.
        most: The limit never rises above it.
        initial: The limit until something has been learnt.
        tolerance: How many times as long as alone calls may take.
        quantile: Which latency of a window, and of a probe, is looked at.
        window_calls: A window has as many calls, or twice the limit if that is more.
        probe_calls: A probe has as many calls.
        probe_share: The part of the time that probes may take.
    """

    least: int = 1
    most: int = 1024
    initial: int = 16
    tolerance: float = 2.85
    quantile: float = 0.9
    window_calls: int = 100
    probe_calls: int = 30
    probe_share: float = 0.02

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.initial <= self.most:
            raise ValueError(f"1 <= least <= initial <= most does not hold: {self}")
        if self.tolerance <= 1 or not 0 < self.quantile < 1 or not 0 < self.probe_share < 1:
            raise ValueError(f"tolerance must be above 1, quantile and probe_share between 0 and 1: {self}")
        if self.window_calls < 1 or self.probe_calls < 1:
            raise ValueError(f"window_calls and probe_calls must be at least 1: {self}")


_USUAL: Final = AdaptiveSettings()


class _Window(NamedTuple):
    seconds: float | None
    """The quantile looked at; None if no call succeeded."""
    drop_share: float
    refused_share: float
    """In proportion to calls that ended: it may be above 1."""


class AdaptiveLimit:
    """How many calls may be in flight, learnt from how long they take. Thread-safe."""

    def __init__(self, settings: AdaptiveSettings = _USUAL, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with the initial limit.

        Args:
            settings: How to learn.
            clock: Seconds, never going back.
        """
        self._settings, self._clock = settings, clock
        self._lock = threading.Lock()
        self._in_flight = 0
        self._learnt = float(settings.initial)
        self._limit = settings.initial
        self._baseline_s: float | None = None
        self._is_baseline_measured = False
        self._usual_drops = 0.0
        # Of the current window or probe.
        self._seconds: list[float] = []
        self._drops = 0
        self._refused = 0
        self._is_alone = False
        self._alone: list[float] = []
        # Of probes.
        self._probe_began_s: float | None = None
        self._probed = 0
        self._stragglers = 0
        self._next_probe_s = -math.inf

    @property
    def limit(self) -> int:
        """How many calls may be in flight now: the least while a probe runs."""
        return self._limit

    @property
    def in_flight(self) -> int:
        """How many calls have begun and not ended."""
        return self._in_flight

    @property
    def baseline_s(self) -> float | None:
        """How long calls take alone, in seconds, by the quantile looked at; None before anything is known."""
        return self._baseline_s

    def try_begin(self) -> bool:
        """Take a place for a call, which must then be given back by `end`; False if there is none."""
        with self._lock:
            if self._in_flight - self._stragglers < self._limit and self._in_flight < self._settings.most:
                self._is_alone = not self._in_flight
                self._in_flight += 1
                self._probed += 1
                return True
            self._note_refused()
            return False

    def note_refused(self) -> None:
        """See a call that was refused for its caller's sake: the calls in flight are as many as may be."""
        with self._lock:
            self._note_refused()

    def _note_refused(self) -> None:
        self._refused += 1
        if self._probe_began_s is not None:
            self._hurry(self._clock(), self._probe_began_s)

    def end(self, code: Code, seconds: float) -> None:
        """Give the place back, and learn from the call.

        Args:
            code: How it ended. Only calls that succeeded say how long calls take. What was too late for its caller,
                or found the model's queue full, is a drop. Everything else says nothing.
            seconds: How long it took.

        Raises:
            RuntimeError: if no call is in flight.
        """
        with self._lock:
            if self._in_flight <= 0:
                raise RuntimeError("a call ended that had not begun")
            self._in_flight -= 1
            if self._probe_began_s is not None and self._clock() - seconds < self._probe_began_s:
                self._stragglers = max(0, self._stragglers - 1)
                return
            if code is Code.OK:
                if 0 < seconds < math.inf:
                    self._seconds.append(seconds)
                    if self._is_alone:
                        self._alone.append(seconds)
            elif self._is_drop(code, seconds):
                self._drops += 1
            if len(self._seconds) + self._drops >= self._calls_to_see:
                self._learn(self._clock())

    @property
    def _calls_to_see(self) -> int:
        if self._probe_began_s is not None:
            return self._settings.probe_calls
        return max(self._settings.window_calls, 2 * self._limit)

    def _is_drop(self, code: Code, seconds: float) -> bool:
        # A caller chooses its deadline: one that no call could have held says nothing.
        if code in _TIMED_OUT:
            return self._baseline_s is not None and seconds > self._baseline_s
        return code is Code.UNAVAILABLE

    def _learn(self, now_s: float) -> None:
        if self._probe_began_s is None:
            self._learn_limit(now_s)
        else:
            self._learn_baseline(now_s, self._probe_began_s)

    def _learn_limit(self, now_s: float) -> None:
        window = self._take_window()
        self._learn_at_leisure(window)
        is_overloaded = window.refused_share > _FEW_REFUSED
        if window.drop_share > (1 + self._usual_drops) / 2:
            self._shrink(_MOST_SHRINKAGE)
        elif window.seconds is not None and self._baseline_s is not None:
            gradient = self._settings.tolerance * self._baseline_s / window.seconds
            if gradient < 1:
                self._shrink(max(gradient, _MOST_SHRINKAGE))
            elif is_overloaded:
                self._grow(gradient)
        if self._limit <= self._settings.least or (is_overloaded and now_s >= self._next_probe_s):
            self._begin_probe(now_s)

    def _learn_baseline(self, now_s: float, began_s: float) -> None:
        window = self._take_window()
        self._usual_drops = window.drop_share
        if window.seconds is not None:
            self._measure_baseline(window.seconds)
        self._end_probe(now_s, began_s)

    def _learn_at_leisure(self, window: _Window) -> None:
        """Learn how long calls take alone, without a probe."""
        if window.refused_share:
            # Calls that are alone in spite of an overload are the short ones.
            self._alone.clear()
        elif len(self._alone) >= self._settings.probe_calls:
            self._measure_baseline(self._quantile_of(self._alone))
            self._alone.clear()
        old_s, new_s = self._baseline_s, window.seconds
        if new_s is not None and (old_s is None or new_s < old_s / (_FAR_OFF if self._is_baseline_measured else 1)):
            # Calls that had company took less than calls alone are said to take.
            self._baseline_s = new_s

    def _measure_baseline(self, quantile_s: float) -> None:
        old_s = self._baseline_s
        if old_s is None or not self._is_baseline_measured or not 1 / _FAR_OFF < quantile_s / old_s < _FAR_OFF:
            self._baseline_s = quantile_s
        else:
            self._baseline_s = math.sqrt(old_s * quantile_s)
        self._is_baseline_measured = True

    def _take_window(self) -> _Window:
        """What the window or probe says; begins the next."""
        seconds, drops, refused = self._seconds, self._drops, self._refused
        self._seconds, self._drops, self._refused = [], 0, 0
        calls = max(1, len(seconds) + drops)
        return _Window(self._quantile_of(seconds) if seconds else None, drops / calls, refused / calls)

    def _quantile_of(self, seconds: list[float]) -> float:
        return sorted(seconds)[min(len(seconds) - 1, int(self._settings.quantile * len(seconds)))]

    def _shrink(self, gradient: float) -> None:
        self._set(self._learnt * (1 + gradient) / 2)

    def _grow(self, gradient: float) -> None:
        # In proportion, as it shrinks, or chance would keep a large limit too low; half as fast, as queues hurt more.
        self._set(self._learnt + min(self._learnt * (gradient - 1) / 4, math.sqrt(self._learnt) / 2))

    def _set(self, limit: float) -> None:
        self._learnt = min(max(limit, float(self._settings.least)), float(self._settings.most))
        self._limit = int(self._learnt)

    def _begin_probe(self, now_s: float) -> None:
        self._probe_began_s, self._limit = now_s, self._settings.least
        self._probed = self._stragglers = 0

    def _end_probe(self, now_s: float, began_s: float) -> None:
        self._next_probe_s = now_s + (now_s - began_s) / self._settings.probe_share
        self._probe_began_s, self._stragglers = None, 0
        if self._learnt < self._settings.least + 1:
            # It was at the least before, and is to leave it: the next window shows whether it may.
            self._learnt = self._settings.least + 1.0
        self._set(self._learnt)

    def _hurry(self, now_s: float, began_s: float) -> None:
        """End a probe that takes too long; leave calls out of its count that were there before it and do not end."""
        tolerable_s = self._settings.tolerance * (self._baseline_s or 0.0)
        if now_s - began_s > self._settings.probe_calls * tolerable_s:
            if 2 * len(self._seconds) >= self._settings.probe_calls:
                self._learn_baseline(now_s, began_s)
            else:
                self._abandon_probe(now_s, began_s)
        elif not self._probed and now_s - began_s > 2 * tolerable_s:
            self._stragglers = self._in_flight

    def _abandon_probe(self, now_s: float, began_s: float) -> None:
        window = self._take_window()
        if self._learnt < self._settings.least + 1 and self._baseline_s is not None:
            # Even with the least limit calls take longer than is known.
            if window.seconds is None:
                self._baseline_s *= 2
            else:
                self._measure_baseline(window.seconds)
        self._end_probe(now_s, began_s)
