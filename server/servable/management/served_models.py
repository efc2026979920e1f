"""The models that are configured, and how one config takes the place of another while requests go on.

It must not know gRPC or TensorFlow, nor how versions load. Source of the behaviour: TensorFlow Serving,
model_servers/server_core.cc (ReloadConfig, UpdateModelVersionLabelMap, WaitUntilModelsAvailable).
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Final, Protocol

from servable.config.models import ModelConfig
from servable.errors import DeadlineExceeded, FailedPrecondition, ServingError, Unknown
from servable.lifecycle.arrivals import Arrivals
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.states import ServableId, State
from servable.routing import Labels, Router

# A large model may need minutes to load; one that hangs must not keep the others from serving for ever.
_LONGEST_WAIT_FOR_OTHERS_S: Final = 600.0

Problems = Mapping[str, ServingError]
"""What keeps a model without any version, by its name."""


class Watch(Protocol):
    """Watches base paths, on a thread of its own."""

    def __call__(self, models: Sequence[ModelConfig], /) -> Future[Problems]:
        """Watch these instead of those before; see sources.source.Source.watch."""


@dataclass(frozen=True, slots=True)
class Change:
    """A config that was just applied. Whoever has it waits for it or stops its arrivals.

    Attributes:
        is_first: Whether none was applied before.
        new_names: The models that were not configured before, in the config's order.
        problems: What the first look at them finds.
        arrivals: What becomes of them.
    """

    is_first: bool
    new_names: Sequence[str]
    problems: Future[Problems]
    arrivals: Arrivals


class ServedModels:
    """What is configured now. Thread-safe: configs are applied one after the other, and nobody waits meanwhile."""

    def __init__(
        self,
        watch: Watch,
        monitor: StateMonitor,
        router: Router,
        *,
        free_labels: bool = False,
        announce: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """Serve nothing yet.

        Args:
            watch: Takes the models to watch.
            monitor: Knows the state of every version.
            router: Takes the labels.
            free_labels: Whether a new label may name a version that is not available
                (--allow_version_labels_for_unavailable_models).
            announce: Told the name of each new model, before anything is looked for.
        """
        self._watch, self._monitor, self._router, self._free_labels = watch, monitor, router, free_labels
        self._announce = announce
        self._lock = threading.Lock()
        self._names: Collection[str] | None = None
        self._followed: weakref.WeakSet[Arrivals] = weakref.WeakSet()

    @property
    def names(self) -> Collection[str]:
        """The models of the last config that was applied."""
        return self._names or ()

    def apply(self, models: Sequence[ModelConfig]) -> Change:
        """Serve these models instead of those before; at once, without waiting for any to load.

        Labels are checked and swapped before anything loads, as in the original.

        Raises:
            FailedPrecondition: if a label may not be assigned. Nothing has changed then.
        """
        with self._lock:
            self._check_labels(models)
            is_first, before = self._names is None, self.names
            self._names = dict.fromkeys(model.name for model in models)
            new_names = [model.name for model in models if model.name not in before]
            for earlier in self._followed:
                earlier.give_up(set(before).difference(self._names))
            arrivals = Arrivals(self._monitor, new_names)
            self._followed.add(arrivals)
            self._router.relabel({model.name: dict(model.labels) for model in models})
            for name in new_names:
                self._announce(name)
            return Change(is_first, new_names, self._watch(models), arrivals)

    def _check_labels(self, models: Sequence[ModelConfig]) -> None:
        assigned = self._router.routes.labels or {}
        for model in models:
            for label, version in model.labels.items():
                if not self._may_assign(model.name, label, version, assigned):
                    raise FailedPrecondition(
                        f"Request to assign label to version {version} of model {model.name}, "
                        "which is not currently available for inference",
                        {"label": label},
                    )

    def _may_assign(self, name: str, label: str, version: int, assigned: Labels) -> bool:
        """By default a label needs a version that serves; a new one may wait for it if the flag allows that."""
        known = self._monitor.versions(name).get(version)
        if known is not None and known.state is State.AVAILABLE:
            return True
        return self._free_labels and assigned.get(name, {}).get(label, version) == version


def wait_until_settled(change: Change, timeout_s: float | None) -> None:
    """Wait until each new model of a change serves or cannot.

    Args:
        change: What was applied.
        timeout_s: Seconds to wait; None for as long as the loads and their retries take.

    Raises:
        Unknown: if a new model did not become available, with the original's text. The others serve.
        DeadlineExceeded: if the time is over first. The config stays applied, and loads go on.
    """
    ends_at_s = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        problems = _look(change, timeout_s)
        if not change.arrivals.wait_until_settled(None if ends_at_s is None else ends_at_s - time.monotonic()):
            unsettled = change.arrivals.unsettled()
            raise _late(change, [name for name in change.new_names if name in unsettled])
    finally:
        change.arrivals.stop()
    failed = [name for name in change.new_names if not change.arrivals.is_available(name)]
    if failed:
        raise _unavailable(change, failed, problems)


def wait_until_any_serves(change: Change) -> Sequence[str]:
    """Wait until some model of the first config serves and every other was tried once, or takes very long.

    Returns:
        Those that do not serve yet. Loads that failed are tried again, and base paths are looked at again.

    Raises:
        Unknown: if none serves, though all retries are over; with the original's text.
    """
    try:
        problems = _look(change, None)
        change.arrivals.wait_until_first(None)
        change.arrivals.wait_until_any(_LONGEST_WAIT_FOR_OTHERS_S)
    finally:
        change.arrivals.stop()
    failed = [name for name in change.new_names if not change.arrivals.states.is_available(name)]
    if failed and len(failed) == len(change.new_names):
        raise _unavailable(change, failed, problems)
    return failed


def _look(change: Change, timeout_s: float | None) -> Problems:
    try:
        problems = change.problems.result(timeout_s)
    except FutureTimeoutError:
        raise _late(change, change.new_names) from None
    change.arrivals.give_up(problems)
    return problems


def _late(change: Change, names: Iterable[str]) -> DeadlineExceeded:
    causes = _causes(change, names, {}, "it is still loading")
    return DeadlineExceeded(f"The config is applied, and goes on to load what is missing: {causes}")


def _unavailable(change: Change, names: Sequence[str], problems: Problems) -> Unknown:
    noun = "servable(s)" if change.is_first else "model(s)"
    causes = _causes(change, names, problems, "a later config removed it")
    return Unknown(f"{len(names)} {noun} did not become available: {causes}")


def _causes(change: Change, names: Iterable[str], problems: Problems, otherwise: str) -> str:
    causes = "".join(f"{{{_cause(name, change.arrivals.states, problems, otherwise)}}}, " for name in names)
    return f"{{{causes}}}"


def _cause(name: str, states: StateMonitor, problems: Problems, otherwise: str) -> str:
    if name in problems:
        return f"{name} due to error: {problems[name]}"
    for version, known in states.versions(name).items():
        if known.error is not None:
            return f"{ServableId(name, version)} due to error: {known.error}"
    return f"{name} due to error: UNAVAILABLE: {otherwise}"
