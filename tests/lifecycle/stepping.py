"""A manager without threads or clocks: jobs run when a test says so, loads succeed or fail as it says."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from servable.lifecycle.manager import LoadSettings, Manager
from servable.lifecycle.monitor import StateMonitor
from servable.routing import Router


class FakeServable:
    """A loaded version that knows where it was loaded from, and how often it was closed."""

    signatures = {}  # noqa: RUF012

    def __init__(self, path, close_error=None):
        self.path, self.times_closed, self._close_error = path, 0, close_error

    queue_limits = None

    def ready_runner(self, feeds, fetches):
        raise AssertionError("no test runs these")

    def runner(self, feeds, fetches):
        raise AssertionError("no test runs these")

    def close(self):
        self.times_closed += 1
        if self._close_error is not None:
            raise self._close_error


class FakeLoader:
    """Loads what is not in `errors`, by path; remembers the paths it was asked for and the servables it gave."""

    def __init__(self):
        self.errors, self.close_errors, self.asked, self.servables = {}, {}, [], []

    def __call__(self, path):
        self.asked.append(path)
        if path in self.errors:
            raise self.errors[path]
        self.servables.append(FakeServable(path, self.close_errors.get(path)))
        return self.servables[-1]


@dataclasses.dataclass
class FakeClock:
    """Seconds that pass when a test says so."""

    now_s: float = 1_000.0

    def __call__(self):
        return self.now_s


class FakeWorkers:
    """Jobs that wait to be run, the loads by (number, path) in the order in which they began."""

    def __init__(self):
        self.loads, self.unloads, self.posted = [], [], []

    def load(self, servable, job):
        self.loads.append((servable, job))

    def unload(self, job):
        self.unloads.append(job)

    def post(self, task):
        self.posted.append(task)


class Bench:
    """A manager, all that it needs, and the steps that a test takes with it."""

    def __init__(self, **settings):
        self.loader, self.router, self.monitor = FakeLoader(), Router(), StateMonitor()
        self.workers, self.clock = FakeWorkers(), FakeClock()
        self.manager = Manager(self.loader, self.router, self.monitor, self.workers, self.clock)
        self.manager.settings = LoadSettings(**settings)
        self.published = []
        self.monitor.listen(lambda servable, known: self.published.append((servable.version, known.state.name)))

    def aspire(self, *numbers, name="m", base="/base"):
        """Want these versions of a model, and take all actions that follow at once."""
        return self.aspire_paths({number: Path(base, str(number)) for number in numbers}, name)

    def aspire_paths(self, paths, name="m"):
        self.manager.aspire(name, paths)
        return self.manager.run()

    def loading(self):
        """The numbers whose loads have begun and not ended, in the order of their beginning."""
        return [servable.version for servable, _ in self.workers.loads]

    def end_load(self, number=None):
        """End the load of a number, or else that which began first; take the actions that follow."""
        index = 0 if number is None else self.loading().index(number)
        self.workers.loads.pop(index)[1]()
        return self.take_posts()

    def end_unload(self):
        """End the unload that began first; take the actions that follow."""
        self.workers.unloads.pop(0)()
        return self.take_posts()

    def take_posts(self):
        """Run what was posted to the manager, and take the actions that follow, as its loop does."""
        due_s = self.manager.run()
        while self.workers.posted:
            self.workers.posted.pop(0)()
            due_s = self.manager.run()
        return due_s

    def settle(self):
        """End all loads and unloads until nothing is left to do at this moment."""
        while self.workers.loads or self.workers.unloads or self.workers.posted:
            if self.workers.loads:
                self.end_load()
            elif self.workers.unloads:
                self.end_unload()
            else:
                self.take_posts()

    def serve(self, *numbers, **model):
        """Want these versions and end all that follows."""
        self.aspire(*numbers, **model)
        self.settle()

    def pass_time(self, seconds):
        self.clock.now_s += seconds
        return self.manager.run()

    def hold(self, number=1, name="m"):
        """The handle of a version, as a call in flight has it."""
        return self.router.routes.get(name, number)

    def routed(self, name="m"):
        return sorted(handle.version for handle in self.router.routes.of(name))

    def states(self, name="m"):
        """What is published, as {number: state}, or (state, error) where there is an error."""
        return {
            number: known.state.name if known.error is None else (known.state.name, str(known.error))
            for number, known in self.monitor.versions(name).items()
        }

    def closed(self):
        return [servable.times_closed for servable in self.loader.servables]
