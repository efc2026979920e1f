"""One set of feeds and fetches of a session, ready to run: dtypes checked, deadlines kept, arrays out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import tensorflow as tf

from servable import wire
from servable.codec import dtypes
from servable.errors import DeadlineExceeded, InvalidArgument
from servable.execution import run_guard
from servable.execution.graph_session import GraphSession, translate
from servable.execution.runs import Arrays, TimedRun
from servable.run_costs import LongestRuns, RunCosts

# A run with a time limit costs a hand-over to TensorFlow's pool. It is taken only where it can matter: where
# a run may last for ever, or once took more than this share of the time that is left.
_SHARE_THAT_NEEDS_A_LIMIT = 0.1


class SessionRunner:
    """Runs one set of tensor names of a session. Safe to share between threads.

    Attributes:
        costs: What its runs cost; see routing.Runner.
        may_not_end: Whether a run may last for ever, however quick others were.
        was_used: Whether it ran since whoever keeps runners last unset it.
    """

    def __init__(self, session: GraphSession, feeds: Sequence[str], fetches: Sequence[str]) -> None:
        self._session, self._feeds, self._fetches = session, feeds, fetches
        self._run = session.prepare(feeds, fetches)
        self._timed_run: TimedRun | None = None
        self._wanted = _feed_order(session, feeds)
        # By position. NumPy keeps one object for each of its plain dtypes, so a look at who it is tells most feeds.
        self._usual_dtypes = [dtype and dtype.numpy for _, dtype in sorted(self._wanted, key=itemgetter(0))]
        self._feeds_strings = any(dtype is not None and dtype.is_string for _, dtype in self._wanted)
        self._longest = LongestRuns()
        self.costs = RunCosts()
        self.may_not_end = session.may_not_end
        self.was_used = False
        self.fetch_dtypes: Sequence[int] = [session.dtype_of(name) or wire.DT_INVALID for name in fetches]

    def run(self, feeds: Arrays, timeout_s: float | None) -> Arrays:
        """Run once; see routing.Runner.

        Raises:
            InvalidArgument: for arrays that `check` or `run_guard.check_arrays` refuses.
            ServingError: as TensorFlow raises it.
        """
        self.was_used = True
        for feed, usual in zip(feeds, self._usual_dtypes, strict=True):
            if feed.dtype is not usual:
                self.check(feeds)
                break
        sizes_bytes = [feed.nbytes for feed in feeds]
        if 0 in sizes_bytes or self._feeds_strings:
            run_guard.check_arrays(feeds)
        size_bytes, began_s = sum(sizes_bytes), time.monotonic()
        try:
            results = self._run_within(feeds, timeout_s, size_bytes)
        except (tf.errors.OpError, ValueError) as error:  # ValueError: Session.run's own check of a fed shape.
            self._longest.note_failure(size_bytes, time.monotonic() - began_s)
            raise translate(error) from error
        self._longest.note(size_bytes, time.monotonic() - began_s)
        for result in results:
            if type(result) is not np.ndarray:
                return [_as_array(result, dtype) for result, dtype in zip(results, self.fetch_dtypes, strict=True)]
        return results

    def _run_within(self, feeds: Arrays, timeout_s: float | None, size_bytes: int) -> Sequence[Any]:
        if timeout_s is None or self._is_surely_quick(timeout_s, size_bytes):
            return self._run(feeds)
        if timeout_s <= 0:
            raise DeadlineExceeded("Timed out waiting for notification")
        if self._timed_run is None:
            self._timed_run = self._session.prepare_timed(self._feeds, self._fetches)
        return self._timed_run(feeds, timeout_s)

    def _is_surely_quick(self, timeout_s: float, size_bytes: int) -> bool:
        longest_s = self._longest.estimate_s(size_bytes)
        return not self.may_not_end and longest_s <= timeout_s * _SHARE_THAT_NEEDS_A_LIMIT

    def check(self, feeds: Arrays) -> None:
        """Refuse arrays of other dtypes than their tensors'; see routing.Runner."""
        for index, (position, wanted) in enumerate(self._wanted):
            got = feeds[position].dtype
            if wanted is not None and got != wanted.numpy:
                raise InvalidArgument(
                    f"Expects arg[{index}] to be {wanted.name} but {dtypes.BY_NUMPY[got].name} is provided"
                )


def _feed_order(session: GraphSession, feeds: Sequence[str]) -> list[tuple[int, dtypes.Dtype | None]]:
    """Each feed's position and dtype, in the order in which DirectSession numbers arguments: by tensor name."""
    positions = sorted(range(len(feeds)), key=lambda position: feeds[position])
    return [(position, dtypes.BY_NUMBER.get(session.dtype_of(feeds[position]) or 0)) for position in positions]


def _as_array(result: Any, dtype: int) -> np.ndarray[Any, Any]:
    # A scalar comes as a NumPy scalar, or as bytes.
    return np.asarray(result, object if dtype == wire.DT_STRING else None)
