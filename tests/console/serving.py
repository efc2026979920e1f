"""A console without sockets, over a fake monitor and routes of fake versions."""

import asyncio
import json

from servable import wire
from servable.console.events import Events
from servable.console.handler import Console
from servable.http_exchange import HttpRequest
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import ServableId, State, VersionState
from servable.routing import Router, Routes
from servable.servables import Handle
from servable.signatures import prepare

LOCAL = [(b"host", b"127.0.0.1:8501")]


class Version:
    """A version that has signatures and no more."""

    def __init__(self, **signatures):
        self.signatures = {key: prepare(key, definition) for key, definition in signatures.items()}
        self.queue_limits = None


def definition(inputs=("x",), outputs=("y",), shape=(-1, 8, 8)):
    """A signature of floats."""
    made = wire.SignatureDef(method_name="tensorflow/serving/predict")
    for aliases, infos in ((inputs, made.inputs), (outputs, made.outputs)):
        for alias in aliases:
            infos[alias].CopyFrom(wire.TensorInfo(name=f"{alias}:0", dtype=wire.DT_FLOAT))
            for size in shape:
                infos[alias].tensor_shape.dim.add(size=size)
    return made


class Served:
    """A console, and what it shows."""

    def __init__(self, *, bind_address="127.0.0.1", load_of=lambda _version: None, take=dict, labels=None):
        self.monitor, self.router = StateMonitor(), Router(Routes(labels=labels))
        self.events = Events(take)
        self.console = Console(self.router, self.monitor, load_of, self.events, bind_address)

    def add(self, name, number, version=None):
        """A version that serves."""
        self.router.add(Handle(name, number, version or Version(serving_default=definition())))
        self.publish(name, number, State.AVAILABLE)

    def publish(self, name, number, state, error=None):
        """The state of a version."""
        self.monitor.publish(ServableId(name, number), VersionState(state, error))

    def ask(self, target, verb="GET", headers=LOCAL):
        """The reply to one request."""
        return asyncio.run(self.console(HttpRequest(verb, target, b"", headers)))

    def models(self):
        """What the page shows of the models."""
        return json.loads(self.ask("/console/models").body)
