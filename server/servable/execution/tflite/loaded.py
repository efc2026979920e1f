"""A loaded TensorFlow Lite model: a servables.Servable on a pool of interpreters."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from servable.config.batching import QueueLimits
from servable.errors import Internal, InvalidArgument
from servable.execution import memory
from servable.execution.tflite.pool import SessionPool
from servable.execution.tflite.runner import TfliteRunner
from servable.signatures import Signature
from servable.tflite_model.signatures import Endpoint, Signatures
from servable.tflite_model.stored import TfliteModel

# A runner holds no memory to speak of; output filters let callers choose sets of tensors.
_MAX_RUNNERS: Final = 128

_Key = tuple[tuple[str, ...], tuple[str, ...]]


class LoadedTfliteModel:
    """See servables.Servable. Thread-safe."""

    def __init__(
        self,
        model: TfliteModel,
        offered: Signatures,
        signatures: Mapping[str, Signature],
        pool: SessionPool,
        queue_limits: QueueLimits | None = None,
    ) -> None:
        """Serve a model.

        Args:
            model: What is in its file.
            offered: What its tensor names stand for.
            signatures: All of them by key.
            pool: Its interpreters.
            queue_limits: How requests are batched; None if they are not.
        """
        self.signatures = signatures
        self.queue_limits = queue_limits
        self._model, self._offered, self._pool = model, offered, pool
        self._subgraphs = {own.key: model.subgraphs[own.subgraph] for own in model.signatures}
        self._lock = threading.Lock()
        self._runners: OrderedDict[_Key, TfliteRunner] = OrderedDict()

    def ready_runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> TfliteRunner | None:
        """The runner of these tensor names; see servables.Servable. To make one takes no time."""
        return self._runners.get((feeds, fetches)) or self.runner(feeds, fetches)

    def runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> TfliteRunner:
        """The runner of these tensor names; see servables.Servable.

        Raises:
            Internal: if the model has no such tensors.
            InvalidArgument: if there is nothing to fetch.
        """
        with self._lock:
            runner = self._runners.get((feeds, fetches))
            if runner is None:
                runner = self._runners[feeds, fetches] = self._make_runner(feeds, fetches)
                if len(self._runners) > _MAX_RUNNERS:
                    self._runners.popitem(last=False)
            return runner

    def close(self) -> None:
        """Give the version's memory back to the system. Runs under way end as they would."""
        with self._lock:
            self._runners.clear()
        self._pool.close()
        memory.give_back()

    def _make_runner(self, feeds: Sequence[str], fetches: Sequence[str]) -> TfliteRunner:
        fed = [(name, _find(self._offered.inputs, name, "Missing input TFLite tensor")) for name in feeds]
        fetched = [_find(self._offered.outputs, name, "Missing output TFLite tensor") for name in fetches]
        functions = {endpoint.function for endpoint in (*(endpoint for _, endpoint in fed), *fetched)}
        if not fetched:
            raise InvalidArgument("Must specify at least one target to fetch or execute.")
        if len(functions) > 1:
            raise Internal(f"The tensors {', '.join(fetches)} and {', '.join(feeds)} are of several functions")
        (function,) = functions
        subgraph = self._subgraphs[function] if function else self._model.main
        return TfliteRunner(self._pool, subgraph, fed, fetched, may_not_end=self._model.has_loops)


def _find(known: Mapping[str, Endpoint], name: str, text: str) -> Endpoint:
    endpoint = known.get(name)
    if endpoint is None:
        raise Internal(f"Unknown tensor '{name}'.\n\t{text}: {name}")
    return endpoint
