"""A model whose runners are made, found and dropped as those of a SavedModel are, and only pretend to run."""

import numpy as np

from servable.codec import dtypes
from servable.errors import InvalidArgument
from servable.run_costs import RunCosts
from tests.inference.asking import Model


class DoublingRunner:
    """Gives twice its first array for each fetch; remembers the rows of its runs. Takes one dtype only."""

    def __init__(self, fetches, quick, number):
        self.costs, self.may_not_end, self.batches_itself = RunCosts(), False, False
        for exponent in range(32) if quick else ():
            self.costs.assume(2**exponent - 1, 5e-5)
        self.fetch_dtypes, self.rows = [number] * len(fetches), []
        self._wanted = dtypes.BY_NUMBER[number].numpy

    def check(self, feeds):
        for index, feed in enumerate(feeds):
            if feed.dtype != self._wanted:
                raise InvalidArgument(f"Expects arg[{index}] to be {self._wanted} but {feed.dtype} is provided")

    def run(self, feeds, timeout_s):
        self.check(feeds)
        self.rows.append(len(feeds[0]) if feeds[0].ndim else None)
        return [np.asarray(feeds[0] * 2, self._wanted)] * len(self.fetch_dtypes)


class RunningModel(Model):
    """A servables.Servable.

    Attributes:
        made: The runners that were made, those that were dropped too; as counts, so that nobody keeps them.
        ready: Those that are there, by feeds and fetches.
    """

    def __init__(self, limits=None, *, quick=False, number=1, **signature):
        super().__init__(**signature)
        self.queue_limits, self._quick, self._number = limits, quick, number
        self.made, self.ready = 0, {}

    def ready_runner(self, feeds, fetches):
        return self.ready.get((feeds, fetches))

    def runner(self, feeds, fetches):
        key = feeds, fetches
        if key not in self.ready:
            self.made += 1
            self.ready[key] = DoublingRunner(fetches, self._quick, self._number)
        return self.ready[key]

    @property
    def only_runner(self):
        """The one runner that is there."""
        (runner,) = self.ready.values()
        return runner
