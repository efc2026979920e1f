"""How many rows a batch should have where nobody has said it: judged by what a row costs in batches of each size. Pure.

More rows in a batch make each of them cheaper as a rule, and all of them wait for the whole. So batches may grow as
long as they are short. Where they take long, they must earn it: twice the rows have to make a row clearly cheaper. A
model whose runs cost steps rather than rows (an LSTM: 20 ms for one row, 45 for 16) keeps large batches by that rule,
and one whose rows cost the same in any company (MobileNetV2) gets small ones.
"""

from __future__ import annotations

from typing import Final

# Batches begin with so many rows.
_FIRST_EXPONENT: Final = 4
# A row that costs more than this share of what it costs in half the batch has not earned the time. Runs differ by some
# per cent.
_NO_CHEAPER: Final = 0.96
_CLEARLY_CHEAPER: Final = 0.85
# A size that did not earn its time is tried again after so many batches, and after twice as many each time.
_FIRST_PAUSE: Final = 8
_LONGEST_PAUSE: Final = 256
# After so many batches of other sizes a cost is not known any more: it may have been chance, or the model has changed.
_REMEMBERED: Final = 512
_WEIGHT: Final = 0.1
# So many batches of a size tell what a row costs in it.
_SAMPLES: Final = 4
_SHORTEST_S: Final = 1e-6


class BatchSizer:
    """The most rows of the next batch of one runner. Not thread-safe.

    Attributes:
        most_rows: So many; a power of two, or the limit.
    """

    def __init__(self, limit: int, long_s: float) -> None:
        """Begin with some rows.

        Args:
            limit: The most rows that a batch may ever have.
            long_s: A batch that takes longer must earn it.
        """
        self._limit, self._long_s = limit, long_s
        self._exponent = min(_FIRST_EXPONENT, (limit - 1).bit_length())
        # What a row costs in batches of more than half of 2**exponent rows.
        self._row_s: dict[int, float] = {}
        self._batches, self._noted_at, self._samples = 0, dict[int, int](), dict[int, int]()
        self._pause, self._batches_until_larger = _FIRST_PAUSE, 0
        self.most_rows = min(1 << self._exponent, limit)

    def note(self, rows: int, seconds: float) -> None:
        """A batch of so many rows took so long."""
        if rows < 1:
            return
        exponent = (rows - 1).bit_length()
        # A clock may give no time to a short run.
        self._follow(exponent, max(seconds, _SHORTEST_S) / rows)
        self._batches_until_larger = max(self._batches_until_larger - 1, 0)
        is_long = self._row_s[exponent] * rows > self._long_s
        if is_long and self._samples[exponent] < _SAMPLES:
            # One batch may be long by chance.
            return
        share, share_of_next = self._share_of_half(exponent), self._share_of_half(exponent + 1)
        # A batch that found no more requests says nothing of what more rows would cost.
        is_full = exponent == self._exponent and (1 << exponent) < self._limit
        if is_full and share_of_next is not None and share_of_next < _NO_CHEAPER:
            self._exponent += 1
        elif is_long and exponent and (share is None or share > _NO_CHEAPER):
            self._shrink_below(exponent, is_compared=share is not None)
        elif is_full and not self._batches_until_larger:
            # What is forgotten is measured anew.
            self._row_s.pop(exponent + 1, None)
            self._exponent += 1
        if is_long and share is not None and share < _CLEARLY_CHEAPER:
            # The size has earned its time beyond chance, so it was not for nothing that it was tried.
            self._pause = _FIRST_PAUSE
        self.most_rows = min(1 << self._exponent, self._limit)

    def _follow(self, exponent: int, row_s: float) -> None:
        self._batches += 1
        self._noted_at[exponent] = self._batches
        samples = self._samples[exponent] = self._samples.get(exponent, 0) + 1 if exponent in self._row_s else 1
        usual_s = self._row_s.setdefault(exponent, row_s)
        # The first run of a size prepares kernels: much shorter ones count at once, and longer ones may be chance.
        weight = 1.0 if row_s < usual_s / 2 else _WEIGHT
        if usual_s / 2 <= row_s <= usual_s:
            weight = max(1 / samples, _WEIGHT)
        self._row_s[exponent] = usual_s + weight * (min(row_s, 2 * usual_s) - usual_s)

    def _shrink_below(self, exponent: int, *, is_compared: bool) -> None:
        self._exponent = exponent - 1
        if is_compared:
            self._batches_until_larger, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE)

    def _share_of_half(self, exponent: int) -> float | None:
        """What a row costs in a batch of such a size, of what it costs in one of half the size; None if not known."""
        row_s, of_half_s = self._known(exponent), self._known(exponent - 1)
        return None if row_s is None or of_half_s is None else row_s / of_half_s

    def _known(self, exponent: int) -> float | None:
        """What a row costs in batches of such a size; None if that is not known any more."""
        if self._batches - self._noted_at.get(exponent, 0) > _REMEMBERED:
            self._row_s.pop(exponent, None)
        return self._row_s.get(exponent)
