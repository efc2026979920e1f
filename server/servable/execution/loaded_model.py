"""A loaded SavedModel: its signatures, and a runner for each set of tensor names that somebody asks for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future

from servable.config.batching import QueueLimits
from servable.execution import memory
from servable.execution.graph_session import GraphSession
from servable.execution.runner import SessionRunner
from servable.signatures import Signature

# Output filters let callers choose sets of tensors. Each set keeps a pruned graph, so there is an end to them.
MAX_RUNNERS = 128
# A pruned graph of a frozen model has its weights in it, and twice: as constants, and as kernels want them. So they may
# take so much, and there are as many as that allows, but for a few that each model may have.
_FROZEN_RUNNERS_BYTES = 1_000_000_000
MIN_FROZEN_RUNNERS = 8

_Key = tuple[tuple[str, ...], tuple[str, ...]]


class LoadedModel:
    """A routing.Servable on a TensorFlow session. Thread-safe."""

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
        self._most_runners = most_runners(frozen_bytes)
        self.signatures = signatures
        self.queue_limits = queue_limits
        self._session = session
        self._lock = threading.Lock()
        self._runners: OrderedDict[_Key, SessionRunner] = OrderedDict()
        self._preparing: dict[_Key, Future[SessionRunner]] = {}

    def ready_runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> SessionRunner | None:
        """The runner of these tensor names, if it is made already; see routing.Servable."""
        runner = self._runners.get((feeds, fetches))
        if runner is not None:
            runner.was_used = True
        return runner

    def runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> SessionRunner:
        """The runner of these tensor names; see routing.Servable.

        Made at first use: whoever comes meanwhile waits for it. The one that was not used for longest is dropped.
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
            # An error holds this frame. If the frame held the error in turn, no version would leave before Python
            # collects.
            del preparing

    def close(self) -> None:
        """Give the version's memory back to the system; for the last who holds it.

        Whoever comes later is refused. A run that is under way all the same ends, early where TensorFlow can stop it,
        and its memory is free after it.
        """
        with self._lock:
            self._runners.clear()
        self._session.close()
        memory.give_back()

    def _prepare(self, key: _Key, preparing: Future[SessionRunner]) -> None:
        # A large graph is optimised for seconds: not under the lock.
        try:
            runner = SessionRunner(self._session, *key)
        except BaseException as error:  # noqa: BLE001  Whoever waits must hear of it.
            with self._lock:
                del self._preparing[key]
            preparing.set_exception(error)
            del preparing  # As in `runner`.
            return
        with self._lock:
            del self._preparing[key]
            self._runners[key] = runner
            self._drop_unused()
        preparing.set_result(runner)

    def _drop_unused(self) -> None:
        """Keep to the limit. Who takes a ready runner has no lock to move it to the end, so a mark saves it once."""
        while len(self._runners) > self._most_runners:
            key, oldest = self._runners.popitem(last=False)
            if oldest.was_used:
                oldest.was_used = False
                self._runners[key] = oldest


def most_runners(frozen_bytes: int) -> int:
    """How many runners a model may keep, of whose variables so many bytes became constants."""
    if not frozen_bytes:
        return MAX_RUNNERS
    return min(max(_FROZEN_RUNNERS_BYTES // (2 * frozen_bytes), MIN_FROZEN_RUNNERS), MAX_RUNNERS)
