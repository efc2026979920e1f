"""A loaded SavedModel: its signatures, and a runner for each set of tensor names that requests ask for.

A runner is prepared at first use, and a model keeps at most MAX_RUNNERS: output filters let callers choose sets of
tensors, and each set keeps a pruned graph.

A runner checks dtypes itself: a callable of TensorFlow reports a wrong dtype in other words than the original's
`DirectSession::Run` ("Expects arg[0] to be float but bool is provided"). Arguments are numbered by sorted tensor name,
as there.

A deadline becomes a time limit of a run only where it can matter. A limit costs a hand-over to TensorFlow's thread pool
and a second copy of the prepared graph. So a runner takes one only if the graph has loops or ops that wait for others,
or if a recent run took more than a tenth of the time that is left.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from operator import itemgetter
from typing import Any

import numpy as np
import tensorflow as tf

from servable import wire
from servable.codec import dtypes
from servable.config.batching import QueueLimits
from servable.errors import DeadlineExceeded, InvalidArgument
from servable.execution import memory, run_guard
from servable.execution.graph_session import GraphSession, translate
from servable.execution.runs import Arrays, TimedRun
from servable.run_costs import LongestRuns, RunCosts
from servable.signatures import Signature

MAX_RUNNERS = 128
# A pruned graph of a frozen model holds the weights twice: as constants, and in the order that kernels want. So these
# graphs may take so much together; but each model may have MIN_FROZEN_RUNNERS, however large it is.
_FROZEN_RUNNERS_BYTES = 1_000_000_000
MIN_FROZEN_RUNNERS = 8

# The share of the time that is left above which a recent run makes the next one take a time limit.
_SHARE_THAT_NEEDS_A_LIMIT = 0.1

_RESOURCE = dtypes.OPAQUE[wire.DT_RESOURCE].numpy
_VARIANT = dtypes.OPAQUE[wire.DT_VARIANT].numpy
# The container of resources that stand for tensors which a session keeps between runs.
_TENSOR_HANDLES = "TensorHandle"

_Key = tuple[tuple[str, ...], tuple[str, ...]]


class LoadedModel:
    """A servables.Servable on a TensorFlow session. Thread-safe."""

    def __init__(
        self,
        session: GraphSession,
        signatures: Mapping[str, Signature],
        queue_limits: QueueLimits | None = None,
        *,
        frozen_bytes: int = 0,
    ) -> None:
        """Serve a session.

        Args:
            session: The model's.
            signatures: All of them by key.
            queue_limits: How requests are batched; None if they are not.
            frozen_bytes: What the variables take that became constants.
        """
        self._max_runners = max_runners(frozen_bytes)
        self.signatures = signatures
        self.queue_limits = queue_limits
        self._session = session
        self._lock = threading.Lock()
        self._runners: OrderedDict[_Key, SessionRunner] = OrderedDict()
        self._preparing: dict[_Key, Future[SessionRunner]] = {}

    def ready_runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> SessionRunner | None:
        """The runner of these tensor names, if it is made already; see servables.Servable."""
        runner = self._runners.get((feeds, fetches))
        if runner is not None:
            runner.was_used = True
        return runner

    def runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> SessionRunner:
        """The runner of these tensor names; see servables.Servable.

        It is made at first use; other threads that ask for it meanwhile wait. The least recently used one is dropped.
        """
        key = (feeds, fetches)
        with self._lock:
            runner = self._runners.get(key)
            if runner is not None:
                self._runners.move_to_end(key)
                return runner
            preparing = self._preparing.get(key)
            is_first = preparing is None
            if preparing is None:
                preparing = self._preparing[key] = Future()
        if is_first:
            self._prepare(key, preparing)
        try:
            return preparing.result()
        finally:
            # The traceback of an error refers to this frame. If the frame referred to the error in turn, by the
            # future, the cycle would keep the version in memory until Python collects garbage.
            del preparing

    def close(self) -> None:
        """Give the version's memory back to the system. Called when nothing refers to the version any more.

        Later calls are refused. A run that is under way all the same ends, early where TensorFlow can stop it, and its
        memory is free after it.
        """
        with self._lock:
            self._runners.clear()
        self._session.close()
        memory.give_back()

    def _prepare(self, key: _Key, preparing: Future[SessionRunner]) -> None:
        # TensorFlow optimises a large graph for seconds, so the lock is not held meanwhile.
        try:
            runner = SessionRunner(self._session, *key)
        except BaseException as error:  # noqa: BLE001  The threads that wait for the future get it.
            with self._lock:
                del self._preparing[key]
            preparing.set_exception(error)
            del preparing  # As in `runner`.
            return
        with self._lock:
            del self._preparing[key]
            self._runners[key] = runner
            self._evict_runners()
        preparing.set_result(runner)

    def _evict_runners(self) -> None:
        """Second-chance eviction: a recently used runner gets one more round.

        `ready_runner` takes no lock, so it cannot move a runner to the end; it sets `was_used` instead.
        """
        while len(self._runners) > self._max_runners:
            key, oldest = self._runners.popitem(last=False)
            if oldest.was_used:
                oldest.was_used = False
                self._runners[key] = oldest


def max_runners(frozen_bytes: int) -> int:
    """How many runners a model may keep, by the bytes that its frozen variables take."""
    if not frozen_bytes:
        return MAX_RUNNERS
    return min(max(_FROZEN_RUNNERS_BYTES // (2 * frozen_bytes), MIN_FROZEN_RUNNERS), MAX_RUNNERS)


class SessionRunner:
    """Runs one set of tensor names of a session: checks dtypes, keeps deadlines. Safe to share between threads.

    Attributes:
        costs: What its runs cost; see servables.Runner.
        may_not_end: Whether a run may last for ever, however quick others were.
        batches_itself: Whether runs wait for each other in the graph; see servables.Runner.
        was_used: Whether it ran since the owner of the runner last cleared this.
    """

    def __init__(self, session: GraphSession, feeds: Sequence[str], fetches: Sequence[str]) -> None:
        self._session, self._feeds, self._fetches = session, feeds, fetches
        self._run = session.prepare(feeds, fetches)
        self._timed_run: TimedRun | None = None
        self._wanted = _feed_order(session, feeds)
        # By position. NumPy has one object for each of its plain dtypes, so comparing identities recognises most feeds.
        self._usual_dtypes = [dtype and dtype.numpy for _, dtype in sorted(self._wanted, key=itemgetter(0))]
        self._feeds_strings = any(dtype is not None and dtype.is_string for _, dtype in self._wanted)
        self._longest = LongestRuns()
        self.costs = RunCosts()
        self.may_not_end = session.may_not_end
        self.batches_itself = session.batches_itself
        self.was_used = False
        self.fetch_dtypes: Sequence[int] = [session.dtype_of(name) or wire.DT_INVALID for name in fetches]

    def run(self, feeds: Arrays, timeout_s: float | None) -> Arrays:
        """Run once; see servables.Runner.

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
        if timeout_s is None or self._needs_no_limit(timeout_s, size_bytes):
            return self._run(feeds)
        if timeout_s <= 0:
            raise DeadlineExceeded("Timed out waiting for notification")
        if self._timed_run is None:
            self._timed_run = self._session.prepare_timed(self._feeds, self._fetches)
        return self._timed_run(feeds, timeout_s)

    def _needs_no_limit(self, timeout_s: float, size_bytes: int) -> bool:
        longest_s = self._longest.estimate_s(size_bytes)
        return not self.may_not_end and longest_s <= timeout_s * _SHARE_THAT_NEEDS_A_LIMIT

    def check(self, feeds: Arrays) -> None:
        """Refuse arrays of other dtypes than their tensors'; see servables.Runner."""
        for feed in feeds:
            if feed.dtype == _RESOURCE:
                # DirectSession looks at resources before it looks at dtypes.
                raise InvalidArgument(_refuse_resource(feed))
        for index, (position, wanted) in enumerate(self._wanted):
            got = feeds[position].dtype
            if wanted is None and got == _VARIANT:
                raise InvalidArgument(f"{self._feeds[position]} takes a variant, which no request can feed")
            if wanted is not None and got != wanted.numpy:
                raise InvalidArgument(
                    f"Expects arg[{index}] to be {wanted.name} but {dtypes.BY_NUMPY[got].name} is provided"
                )


def _feed_order(session: GraphSession, feeds: Sequence[str]) -> list[tuple[int, dtypes.Dtype | None]]:
    """Each feed's position and dtype, in the order in which DirectSession numbers arguments: by tensor name."""
    positions = sorted(range(len(feeds)), key=lambda position: feeds[position])
    return [(position, dtypes.BY_NUMBER.get(session.dtype_of(feeds[position]) or 0)) for position in positions]


def _refuse_resource(feed: np.ndarray[Any, Any]) -> str:
    handle = (feed.flat[0][0] if feed.size else None) or wire.ResourceHandleProto()
    if handle.container == _TENSOR_HANDLES:
        return f"The tensor with handle '{handle.name}' is not in the session store."
    return (
        f"Invalid resource type hash code: {handle.hash_code}(name: {handle.name} type: {handle.maybe_type_name}). "
        "Perhaps a resource tensor was being provided as a feed? That is not currently allowed. Please file an issue "
        "at https://github.com/tensorflow/tensorflow/issues/new, ideally with a short code snippet that leads to this "
        "error message."
    )


def _as_array(result: Any, dtype: int) -> np.ndarray[Any, Any]:
    # A scalar comes as a NumPy scalar, or as bytes.
    return np.asarray(result, object if dtype == wire.DT_STRING else None)
