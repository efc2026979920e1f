"""A loaded SavedModel: its signatures, and a runner for each set of tensor names that somebody asks for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

from servable.execution.graph_session import GraphSession
from servable.execution.runner import SessionRunner
from servable.signatures import Signature

# Output filters let callers choose sets of tensors. Each set keeps a pruned graph, so there is an end to
# them.
MAX_RUNNERS = 128


class LoadedModel:
    """A routing.Servable on a TensorFlow session. Thread-safe."""

    def __init__(self, session: GraphSession, signatures: Mapping[str, Signature]) -> None:
        self.signatures = signatures
        self._session = session
        self._runners: OrderedDict[tuple[tuple[str, ...], tuple[str, ...]], SessionRunner] = OrderedDict()
        self._lock = threading.Lock()

    def runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> SessionRunner:
        """The runner of these tensor names; see routing.Servable. Made at first use, the least used is dropped."""
        key = (feeds, fetches)
        with self._lock:
            runner = self._runners.get(key)
            if runner is not None:
                self._runners.move_to_end(key)
                return runner
        # Preparing may optimise a large graph for seconds: not under the lock.
        made = SessionRunner(self._session, feeds, fetches)
        with self._lock:
            runner = self._runners.setdefault(key, made)
            if len(self._runners) > MAX_RUNNERS:
                self._runners.popitem(last=False)
        return runner

    def close(self) -> None:
        """Give back the session's memory. No run may be under way."""
        self._session.close()
