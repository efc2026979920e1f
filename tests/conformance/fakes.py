"""Fake servables behind the protocols of routing, which record their runs."""

import dataclasses
import threading

import numpy as np

from servable import signatures, wire
from servable.inference.examples import Output
from servable.routing import Router, Routes
from servable.run_costs import RunCosts
from servable.servables import Handle


@dataclasses.dataclass
class Run:
    """One run of a graph: what was fed by tensor name, what was fetched in order, and the time that was left."""

    feeds: dict
    fetches: tuple
    timeout_s: float | None


class FakeServable:
    """Returns the outputs that it was made with, by tensor name, and records its runs and whether it was closed."""

    def __init__(self, *definitions, outputs=None, error=None):
        self.signatures = {key: signatures.prepare(key, definition) for key, definition in definitions}
        self.outputs = outputs or {}
        self.error = error
        self.runs = []
        self.closed = threading.Event()

    queue_limits = None

    def ready_runner(self, feeds, fetches):
        """None: what answers here may hold its caller, so it is asked on a thread that may wait."""

    def runner(self, feeds, fetches):
        return _FakeRunner(self, feeds, fetches)

    def close(self):
        assert not self.closed.is_set(), "a servable is closed once"
        self.closed.set()


class _FakeRunner:
    may_not_end = batches_itself = False

    def __init__(self, servable, feeds, fetches):
        self.costs = RunCosts()
        self._servable, self._feeds, self._fetches = servable, feeds, fetches
        self.fetch_dtypes = [servable.outputs[name].dtype for name in fetches if name in servable.outputs]

    def run(self, feeds, timeout_s):
        self._servable.runs.append(Run(dict(zip(self._feeds, feeds, strict=True)), self._fetches, timeout_s))
        if self._servable.error is not None:
            raise self._servable.error
        return [self._servable.outputs[name].array for name in self._fetches]


def define(key, inputs, outputs, method=""):
    """A key and a SignatureDef of tensor names by alias."""
    definition = wire.SignatureDef(method_name=method)
    for infos, names in ((definition.inputs, inputs), (definition.outputs, outputs)):
        for alias, name in names.items():
            infos[alias].name = name
    return key, definition


def route(servable, name="fake", version=7, labels=None):
    """A Router that knows one version, and labels of it."""
    return Router(Routes([Handle(name, version, servable)], {name: labels or {}}))


def floats(values):
    return Output(np.array(values, np.float32), wire.DT_FLOAT)


def strings(values):
    return Output(np.array(values, object), wire.DT_STRING)


def doubles(values):
    return Output(np.array(values, np.float64), wire.DT_DOUBLE)


def integers(values):
    return Output(np.array(values, np.int64), wire.DT_INT64)
