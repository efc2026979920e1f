"""Loads aspired versions, puts them into the routes, takes them out again and unloads them.

The `Manager` is stepped: it decides, and has no thread, lock or clock of its own. One thread calls it. Loads and
unloads run on workers (`ThreadWorkers`), which post the outcomes back to that thread.

Calls in flight are not counted. A call holds its version's `Handle` as a plain reference for as long as it runs; when
the last call drops it, Python runs a finalizer, which posts to the manager's thread, and the version is unloaded. No
request pays for a count, and none can be forgotten. So no code may keep a handle longer than a call, or drop it sooner;
tests/lifecycle/test_errors_hold_nothing.py holds every API to that, errors included.

Retries hold no thread: a version whose load failed waits in a heap, and others load meanwhile. A load that takes longer
than SLOW_LOAD_S may hang for ever, in a file system or an init op, so it stops counting against `--num_load_threads`.

Source of the behaviour: TensorFlow Serving, core/aspired_versions_manager.cc and basic_manager.cc.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from servable.errors import Cancelled, FailedPrecondition, Internal, ResourceExhausted, ServingError
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import Change, Event, Phase, ServableId, Version, load_of, next_action
from servable.loops import LONGEST_STOP_S, Loop, stop_all
from servable.routing import Router
from servable.saved_model import INIT_OP_SIGNATURE
from servable.servables import Handle, Servable

_log = logging.getLogger(__name__)

Loader = Callable[[Path], Servable]
"""Loads the version that lies in a directory, or raises a ServingError."""

SLOW_LOAD_S: Final = 60.0
"""A load that takes longer no longer counts against the number of load threads."""


class Workers(Protocol):
    """Threads on which loads and unloads run, and the thread that calls the manager. A job raises nothing."""

    def load(self, servable: ServableId, job: Callable[[], None]) -> None:
        """Run a job that loads; return at once.

        Raises:
            ResourceExhausted: if there is no thread for it.
        """

    def unload(self, job: Callable[[], None]) -> None:
        """Run a job that unloads; return at once."""

    def post(self, task: Callable[[], None]) -> None:
        """Hand a task to the thread that calls the manager. Called from any thread, also by finalizers."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How loads are tried.

    Attributes:
        max_retries: How often a failed load is tried again.
        retry_interval_s: Seconds between two tries.
        threads: How many loads run at the same time.
    """

    max_retries: int = 0
    retry_interval_s: float = 0.0
    threads: int = 1


@dataclass(slots=True)
class _Model:
    """The versions of one model: those that should be served, and those that have not ended."""

    wanted: Mapping[int, Path] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)


class Manager:
    """The one writer of the router's handles. Not thread-safe: one thread calls it and runs what is posted.

    A version is its number and its path: if a number moves to another path, the version there takes the place of the
    old one once it is ready.

    Attributes:
        settings: How loads are tried from now on; by default once each and one at a time.
    """

    def __init__(
        self,
        loader: Loader,
        router: Router,
        monitor: StateMonitor,
        workers: Workers,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Manage nothing yet.

        Args:
            loader: Called on a worker.
            router: Where ready versions go.
            monitor: Where every state is published.
            workers: Where loads and unloads run.
            clock: A monotonic clock, in seconds.
        """
        self._loader, self._router, self._monitor = loader, router, monitor
        self._workers, self._clock = workers, clock
        self.settings = LoadSettings()
        self._models: dict[str, _Model] = {}
        self._handles: dict[Version, Handle] = {}
        # The models with a version to unload or to load, in the order in which they became due: ordered sets.
        self._unloads: dict[str, None] = {}
        self._loads: dict[str, None] = {}
        self._load_begun_s: dict[Version, float] = {}
        self._unload_begun_s: dict[Version, float] = {}
        self._retries: list[tuple[float, int, Version]] = []
        self._tie_breaker = itertools.count()

    def aspire(self, name: str, paths: Mapping[int, Path]) -> None:
        """Set which versions of a model should be served, and their directories, in place of those set before.

        A version that is aspired again stays, unless it drains or unloads already: then it is loaded anew after that.
        """
        model = self._models.setdefault(name, _Model())
        model.wanted = dict(paths)
        for version in model.versions:
            was_aspired, version.is_aspired = version.is_aspired, model.wanted.get(version.number) == version.path
            if version.is_aspired and not was_aspired:
                # A listener that was added since the version was last published knows nothing of it.
                self._publish(version)
        self._settle(name)

    def run(self) -> float | None:
        """Take all actions that can be taken now.

        Returns:
            When to be called again if nothing happens before; None if nothing is due.
        """
        while self.step():
            pass
        return self._next_due_s()

    def step(self) -> bool:
        """Take at most one action: unloads first, then loads as far as there are threads.

        Returns:
            Whether there was one to take.
        """
        self._resume_waiting()
        if self._unloads:
            self._act(next(iter(self._unloads)))
            return True
        if self._loads and self._count_loads() < self.settings.threads:
            self._act(next(iter(self._loads)))
            return True
        return False

    def _act(self, name: str) -> None:
        action = next_action(self._models[name].versions)
        if action is not None and action.change is Change.UNLOAD:
            self._drain(action.version)
        elif action is not None:
            self._load(action.version)
        self._consider(name)

    def _settle(self, name: str) -> None:
        """Add the new versions, cancel those that are not aspired and not loaded, and drop those that have ended."""
        model = self._models[name]
        known = {(version.number, version.path) for version in model.versions if _is_tracked(version)}
        for number, path in sorted(model.wanted.items(), reverse=True):
            if (number, path) not in known:
                model.versions.append(Version(ServableId(name, number), path))
                self._publish(model.versions[-1])
        for version in model.versions:
            if not version.is_aspired and version.phase in (Phase.QUEUED, Phase.WAITING):
                self._cancel(version)
        model.versions = [version for version in model.versions if _is_tracked(version)]
        self._consider(name)
        if not model.versions:
            del self._models[name]

    def _consider(self, name: str) -> None:
        """Note whether the model has a version to unload or to load."""
        action = next_action(self._models[name].versions)
        for change, due in ((Change.UNLOAD, self._unloads), (Change.LOAD, self._loads)):
            if action is not None and action.change is change:
                due.setdefault(name)
            else:
                due.pop(name, None)

    def _load(self, version: Version) -> None:
        version.move(Event.LOAD)
        version.attempts += 1
        self._load_begun_s[version] = self._clock()
        self._publish(version)
        _log_state(version, f"loading {version.servable_id} from {version.path}", path=str(version.path))
        try:
            self._workers.load(version.servable_id, lambda: self._attempt(version))
        except ServingError as error:
            self._workers.post(partial(self._finish_load, version, error))

    def _attempt(self, version: Version) -> None:
        """Runs on a worker."""
        outcome: Servable | ServingError
        try:
            _require_directory(version)
            with load_of(version.servable_id):
                outcome = self._loader(version.path)
        except ServingError as error:
            # A copy: the monitor keeps the error for good, and its traceback would hold what was half loaded.
            outcome = type(error)(error.message, error.hints)
        except BaseException as error:
            outcome = Internal(f"{type(error).__name__}: {error}")
            # For the line about the failure, which needs its traceback.
            outcome.__cause__ = error
        self._workers.post(partial(self._finish_load, version, outcome))

    def _finish_load(self, version: Version, outcome: Servable | ServingError) -> None:
        seconds = self._clock() - self._load_begun_s.pop(version)
        if isinstance(outcome, ServingError):
            self._fail(version, outcome, seconds)
        elif version.is_aspired:
            self._serve(version, outcome)
            text = f"{version.servable_id} is available after {seconds:.1f} s: {_describe(outcome)}"
            _log_state(version, text, seconds=round(seconds, 3))
        else:
            version.servable, version.error = outcome, Cancelled("Loading of servable cancelled")
            version.move(Event.LOADED_LATE)
            self._publish(version)
            _log_state(version, f"unloading {version.servable_id}, which is not wanted any more")
            self._unload_begun_s[version] = self._clock()
            self._unload(version)
        self._settle(version.servable_id.name)

    def _serve(self, version: Version, servable: Servable) -> None:
        version.servable, version.error = servable, None
        version.move(Event.LOADED)
        handle = Handle(version.servable_id.name, version.number, servable)
        self._handles[version] = handle
        self._router.add(handle)
        self._publish(version)

    def _fail(self, version: Version, error: ServingError, seconds: float) -> None:
        version.error, unforeseen = error, error.__cause__
        # The monitor keeps the error for good.
        error.__cause__ = None
        if version.is_aspired and version.attempts <= self.settings.max_retries:
            version.move(Event.FAILED)
            interval_s = max(self.settings.retry_interval_s, 0)
            heapq.heappush(self._retries, (self._clock() + interval_s, next(self._tie_breaker), version))
            what_next = f"attempt {version.attempts} of {1 + self.settings.max_retries}, the next in {interval_s:g} s"
        else:
            version.move(Event.GIVEN_UP)
            what_next = "it is not tried again until the version is removed and added again"
        self._publish(version)
        text = f"loading {version.servable_id} failed ({what_next}): {error}"
        code, attempt = error.code.name, version.attempts
        _log_state(version, text, logging.ERROR, unforeseen, code=code, seconds=round(seconds, 3), attempt=attempt)

    def _cancel(self, version: Version) -> None:
        version.error = version.error or Cancelled("Loading of servable cancelled")
        version.move(Event.CANCEL)
        self._publish(version)
        text = f"{version.servable_id} is not loaded, since it is not wanted any more"
        _log_state(version, text, code=version.error.code.name)

    def _resume_waiting(self) -> None:
        while self._retries and self._retries[0][0] <= self._clock():
            version = heapq.heappop(self._retries)[2]
            if version.phase is Phase.WAITING:
                version.move(Event.RETRY)
                self._consider(version.servable_id.name)

    def _drain(self, version: Version) -> None:
        version.move(Event.DRAIN)
        self._publish(version)
        _log_state(version, f"unloading {version.servable_id} once its calls in flight are over")
        self._unload_begun_s[version] = self._clock()
        handle = self._handles.pop(version)
        self._router.remove(handle)
        # Calls in flight hold the handle. The thread of the last one runs the finalizer, which posts to the manager's.
        weakref.finalize(handle, self._workers.post, partial(self._release, version)).atexit = False

    def _release(self, version: Version) -> None:
        version.move(Event.RELEASED)
        self._unload(version)

    def _unload(self, version: Version) -> None:
        servable, version.servable = version.servable, None
        self._workers.unload(partial(self._close, version, servable))

    def _close(self, version: Version, servable: Servable | None) -> None:
        """Runs on a worker."""
        try:
            if servable is not None:
                servable.close()
        except Exception:
            _log.exception("unloading %s failed in an unforeseen way", version.servable_id)
        self._workers.post(partial(self._finish_unload, version))

    def _finish_unload(self, version: Version) -> None:
        version.move(Event.UNLOADED)
        # A version that was aspired again meanwhile is loaded as another Version.
        version.is_aspired = False
        self._publish(version)
        seconds = self._clock() - self._unload_begun_s.pop(version)
        _log_state(version, f"{version.servable_id} is unloaded", seconds=round(seconds, 3))
        self._settle(version.servable_id.name)

    def _publish(self, version: Version) -> None:
        """Publish the state of a number: of several versions with it that of the ready one, else of the one to come.

        A number whose path changes has two versions for a while, and if it changes back the later one is not wanted.
        """
        model = self._models[version.servable_id.name]
        latest_first = [other for other in reversed(model.versions) if other.number == version.number]
        coming = (other for other in latest_first if other.is_aspired and other.phase is not Phase.ENDED)
        ready = (other for other in latest_first if other.phase is Phase.READY)
        shown = next(ready, None) or next(coming, latest_first[0])
        if shown is version or shown.phase is not Phase.READY:
            self._monitor.publish(version.servable_id, shown.state)

    def _count_loads(self) -> int:
        since_s = self._clock() - SLOW_LOAD_S
        return sum(begun_s > since_s for begun_s in self._load_begun_s.values())

    def _next_due_s(self) -> float | None:
        due_s = [self._retries[0][0]] if self._retries else []
        if self._loads:
            since_s = self._clock() - SLOW_LOAD_S
            due_s += [begun_s + SLOW_LOAD_S for begun_s in self._load_begun_s.values() if begun_s > since_s]
        return min(due_s, default=None)


def _log_state(
    version: Version,
    text: str,
    level: int = logging.INFO,
    error: BaseException | None = None,
    **fields: str | float,
) -> None:
    """Log the one line about a version's new state."""
    about = {"model": version.servable_id.name, "version": version.number, "state": version.state.state.name}
    _log.log(level, "%s", text, exc_info=error, extra={"fields": {**about, **fields}})


def _describe(servable: Servable) -> str:
    """The signatures that can be called."""
    keys = sorted(servable.signatures.keys() - {INIT_OP_SIGNATURE})
    return f"signature{'' if len(keys) == 1 else 's'} {', '.join(keys)}" if keys else "no signature"


def _is_tracked(version: Version) -> bool:
    """Whether a version is kept. One that failed is kept while it is aspired, so that it is not tried again."""
    return version.is_aspired or version.phase is not Phase.ENDED


def _require_directory(version: Version) -> None:
    """Refuse a file (TensorFlow Serving: bundle_factory_util.cc, where the sizes of the files are summed up)."""
    # os.path.exists is false where a folder may not be entered, and Path.exists raises; the loader's error says more.
    if os.path.exists(version.path) and not version.path.is_dir():
        raise FailedPrecondition(
            f"Error while attempting to reserve resources to load servable {version.servable_id}: "
            f"{version.path}; Not a directory"
        )


class ThreadWorkers:
    """The threads on which loads and unloads run. Thread-safe.

    Each load has a thread of its own, since the manager limits their number; unloads have a fixed number of threads.
    All are daemons: a load may hang in a file system, and must not keep the process from ending.
    """

    def __init__(self, manager_loop: Loop, unload_threads: int) -> None:
        """Make the threads; they start with `start`.

        Args:
            manager_loop: The loop whose thread calls the manager.
            unload_threads: How many unloads run at the same time; less than 1 counts as 1.
        """
        self.post = manager_loop.post
        self._unloaders = [Loop(f"unload {number}") for number in range(max(unload_threads, 1))]
        self._next_unloader = itertools.cycle(self._unloaders)

    def start(self) -> None:
        """Start the unload threads."""
        for unloader in self._unloaders:
            unloader.start()

    def load(self, servable: ServableId, job: Callable[[], None]) -> None:
        """See Workers."""
        try:
            threading.Thread(target=job, name=f"load {servable.name}:{servable.version}", daemon=True).start()
        except RuntimeError as error:
            raise ResourceExhausted(f"The system has no thread for the load: {error}") from None

    def unload(self, job: Callable[[], None]) -> None:
        """See Workers."""
        next(self._next_unloader).post(job)

    def stop(self, longest_wait_s: float = LONGEST_STOP_S) -> None:
        """End the unload threads; loads under way end by themselves."""
        stop_all(self._unloaders, longest_wait_s)
