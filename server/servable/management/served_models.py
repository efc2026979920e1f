"""The models that are configured, and how one config replaces another while requests are served.

A caller waits for the models of a config after it is applied, and without a lock: a wait holds up no other reload. It
must not know gRPC or TensorFlow, nor how versions load. Source of the behaviour: TensorFlow Serving,
model_servers/server_core.cc (ReloadConfig, UpdateModelVersionLabelMap, WaitUntilModelsAvailable).
"""

from __future__ import annotations

import logging
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
from servable.lifecycle.monitor import LoadProgress, StateMonitor
from servable.lifecycle.version import ServableId, State
from servable.routing import Labels, Router

_log = logging.getLogger(__name__)

_MOST_NAMES_IN_A_LINE: Final = 10
# A large model may need minutes to load; one whose load hangs must not keep the server from starting for ever.
_LONGEST_WAIT_FOR_OTHERS_S: Final = 600.0

Problems = Mapping[str, ServingError]
"""Why a model has no version at all, by its name."""


class Watch(Protocol):
    """Watches base paths, on the source's thread."""

    def __call__(self, models: Sequence[ModelConfig], /) -> Future[Problems]:
        """Watch these instead of those before; see sources.Source.watch."""


@dataclass(frozen=True, slots=True)
class Change:
    """A config that was just applied. Its receiver waits for it, or stops its progress.

    Attributes:
        is_first: Whether none was applied before.
        new_names: The models that were not configured before, in the config's order.
        problems: What is wrong with their base paths.
        progress: How their versions load.
    """

    is_first: bool
    new_names: Sequence[str]
    problems: Future[Problems]
    progress: LoadProgress


class ServedModels:
    """What is configured now. Thread-safe: configs are applied one after the other, and none waits for a load."""

    def __init__(  # noqa: PLR0913
        self,
        watch: Watch,
        monitor: StateMonitor,
        router: Router,
        *,
        free_labels: bool = False,
        announce: Callable[[str], None] = lambda _name: None,
        prepare: Callable[[Sequence[ModelConfig]], None] = lambda _models: None,
    ) -> None:
        """Serve nothing yet.

        Args:
            watch: Takes the models to watch.
            monitor: Knows the state of every version.
            router: Takes the labels.
            free_labels: Whether a new label may name a version that is not available
                (--allow_version_labels_for_unavailable_models).
            announce: Called with the name of each new model, before its base path is looked at.
            prepare: Called with each config before it is applied; what it raises refuses the config.
        """
        self._watch, self._monitor, self._router, self._free_labels = watch, monitor, router, free_labels
        self._announce, self._prepare = announce, prepare
        self._lock = threading.Lock()
        self._names: Collection[str] | None = None
        self._models: Mapping[str, ModelConfig] = {}
        self._followed: weakref.WeakSet[LoadProgress] = weakref.WeakSet()

    @property
    def names(self) -> Collection[str]:
        """The models of the last config that was applied."""
        return self._names or ()

    def apply(self, models: Sequence[ModelConfig]) -> Change:
        """Serve these models instead of those before; at once, without waiting for any to load.

        Labels are checked and swapped before anything loads, as in the original.

        Raises:
            FailedPrecondition: if a label may not be assigned. Nothing has changed then.
            ServingError: what `prepare` raises. Nothing has changed then.
        """
        with self._lock:
            self._check_labels(models)
            self._prepare(models)
            is_first, before = self._names is None, self.names
            self._names = dict.fromkeys(model.name for model in models)
            new_names = [model.name for model in models if model.name not in before]
            for earlier in self._followed:
                earlier.stop_waiting_for(set(before).difference(self._names))
            progress = LoadProgress(self._monitor, new_names)
            self._followed.add(progress)
            labels, earlier_labels = {model.name: dict(model.labels) for model in models}, self._router.routes.labels
            self._router.relabel(labels)
            self._log_change(models)
            _log_labels(earlier_labels or {}, labels)
            for name in new_names:
                self._announce(name)
            return Change(is_first, new_names, self._watch(models), progress)

    def _log_change(self, models: Sequence[ModelConfig]) -> None:
        """Log what a config changes in one line; nothing for the one before, as a file that is polled mostly is."""
        earlier, self._models = self._models, {model.name: model for model in models}
        added = [name for name in self._models if name not in earlier]
        removed = [name for name in earlier if name not in self._models]
        changed = [name for name, model in self._models.items() if earlier.get(name, model) != model]
        changes = {"added": added, "removed": removed, "changed": changed}
        if any(changes.values()):
            text = "; ".join(f"{what} {_list(names)}" for what, names in changes.items() if names)
            fields = {what: len(names) for what, names in changes.items()}
            _log.info("config applied: %s", text, extra={"fields": fields})

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
        """By default a label needs a version that is available; if the flag allows it, a new label needs none."""
        known = self._monitor.versions(name).get(version)
        if known is not None and known.state is State.AVAILABLE:
            return True
        return self._free_labels and assigned.get(name, {}).get(label, version) == version


def _log_labels(earlier: Labels, labels: Labels) -> None:
    """Log each label that stands for another version than before."""
    for name in dict.fromkeys([*earlier, *labels]):
        before, now = earlier.get(name, {}), labels.get(name, {})
        for label in sorted({*before, *now}):
            old, new = before.get(label), now.get(label)
            if old != new:
                what = "is removed" if new is None else f"stands for version {new}"
                fields = {"model": name, "label": label, "version": new, "earlier_version": old}
                _log.info("label %s of %s %s", label, name, what, extra={"fields": fields})


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES_IN_A_LINE])
    more = len(names) - _MOST_NAMES_IN_A_LINE
    return f"{shown} and {more} more" if more > 0 else shown


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
        if not change.progress.wait_until_settled(None if ends_at_s is None else ends_at_s - time.monotonic()):
            pending = change.progress.pending()
            raise _late(change, [name for name in change.new_names if name in pending])
    finally:
        change.progress.stop()
    failed = [name for name in change.new_names if not change.progress.is_available(name)]
    if failed:
        raise _unavailable(change, failed, problems)


def wait_until_any_serves(change: Change) -> Sequence[str]:
    """Wait until a model of the first config serves, and all others were tried once or took ten minutes.

    Returns:
        The models that do not serve yet. Loads that failed are tried again, and base paths are looked at again.

    Raises:
        Unknown: if no model serves after all retries; with the original's text.
    """
    try:
        problems = _look(change, None)
        change.progress.wait_until_one_available(None)
        change.progress.wait_until_all_attempted(_LONGEST_WAIT_FOR_OTHERS_S)
    finally:
        change.progress.stop()
    failed = [name for name in change.new_names if not change.progress.states.is_available(name)]
    if failed and len(failed) == len(change.new_names):
        raise _unavailable(change, failed, problems)
    return failed


def _look(change: Change, timeout_s: float | None) -> Problems:
    try:
        problems = change.problems.result(timeout_s)
    except FutureTimeoutError:
        raise _late(change, change.new_names) from None
    change.progress.stop_waiting_for(problems)
    return problems


def _late(change: Change, names: Iterable[str]) -> DeadlineExceeded:
    causes = _causes(change, names, {}, "it is still loading")
    return DeadlineExceeded(f"The config is applied, and goes on to load what is missing: {causes}")


def _unavailable(change: Change, names: Sequence[str], problems: Problems) -> Unknown:
    noun = "servable(s)" if change.is_first else "model(s)"
    causes = _causes(change, names, problems, "a later config removed it")
    return Unknown(f"{len(names)} {noun} did not become available: {causes}")


def _causes(change: Change, names: Iterable[str], problems: Problems, otherwise: str) -> str:
    causes = "".join(f"{{{_cause(name, change.progress.states, problems, otherwise)}}}, " for name in names)
    return f"{{{causes}}}"


def _cause(name: str, states: StateMonitor, problems: Problems, otherwise: str) -> str:
    if name in problems:
        return f"{name} due to error: {problems[name]}"
    for version, known in states.versions(name).items():
        if known.error is not None:
            return f"{ServableId(name, version)} due to error: {known.error}"
    return f"{name} due to error: UNAVAILABLE: {otherwise}"
