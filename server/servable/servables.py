"""What a request may ask of a loaded version: the protocols that `execution` implements, and the handle of a version.

`lifecycle` makes handles, `routing` finds them, APIs hold them while they answer. This module does not know how a
version is loaded or run.

Calls in flight are not counted: each holds its version's `Handle` as a plain reference, so no request pays for it and
no count can be wrong. When the last reference is gone, Python calls a finalizer, which posts to the manager. So nothing
may hold a handle longer than its call, nor drop it sooner; a test holds every API to that, errors included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from servable.config.batching import QueueLimits
from servable.run_costs import RunCosts
from servable.signatures import Signature


class Runner(Protocol):
    """One set of feeds and fetches of a graph, ready to run. Safe to share between threads."""

    costs: RunCosts
    """Estimates of what its runs cost. `batching.timed_runs` times each run and notes it here."""

    @property
    def may_not_end(self) -> bool:
        """Whether a run may never end, however short earlier runs were: the graph has loops, or ops that wait."""

    @property
    def batches_itself(self) -> bool:
        """Whether the graph has batching ops: its runs wait in them for others, so several should run at once."""

    @property
    def fetch_dtypes(self) -> Sequence[int]:
        """The tensorflow.DataType of each fetch."""

    def check(self, feeds: Sequence[np.ndarray[Any, Any]]) -> None:
        """Check arrays as `run` does before it runs.

        Raises:
            InvalidArgument: if an array has another dtype than its tensor.
        """

    def run(self, feeds: Sequence[np.ndarray[Any, Any]], timeout_s: float | None) -> Sequence[np.ndarray[Any, Any]]:
        """Run once.

        Args:
            feeds: One array for each feed, in the order that the runner was asked for.
            timeout_s: Time until the caller stops waiting; None for no bound.

        Returns:
            One array for each fetch, in order.

        Raises:
            ServingError: with the code and text of TensorFlow.
        """


class Servable(Protocol):
    """One loaded version of a model. Safe to share between threads."""

    @property
    def signatures(self) -> Mapping[str, Signature]:
        """All signatures by key."""

    @property
    def queue_limits(self) -> QueueLimits | None:
        """How its requests are batched; None if they are not."""

    def ready_runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> Runner | None:
        """The runner for these tensor names if it has been prepared already; else None, at once."""

    def runner(self, feeds: tuple[str, ...], fetches: tuple[str, ...]) -> Runner:
        """The runner for these tensor names, prepared at the first call, which may take seconds.

        Raises:
            ServingError: if the graph has no such tensors.
        """

    def close(self) -> None:
        """Release its memory. Called once, when no call holds a handle of it any more."""


@dataclass(frozen=True)
class Handle:
    """A loaded version under its name and number.

    An API holds the handle from the parsed request to the finished reply. A version that is to be unloaded is closed
    when nothing refers to its handle any more.
    """

    __slots__ = ("__weakref__", "name", "servable", "version")

    name: str
    version: int
    servable: Servable
