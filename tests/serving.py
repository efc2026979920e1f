"""Servers in the test's own process: the real app on a free loopback port, and the stock stubs to call it."""

from __future__ import annotations

import dataclasses
from typing import Any

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from servable import app
from servable.config.models import ModelConfig
from servable.execution.loader import SavedModelLoader
from servable.execution.runs import PrivateRuns, PublicRuns
from servable.options import ServerOptions

# Both ways to run a graph must answer alike.
RUNS = {"private": PrivateRuns, "public": PublicRuns}
# No test waits longer for an answer.
TIMEOUT_S = 60.0


@dataclasses.dataclass
class Running:
    """A server that listens, and stubs of the stock tensorflow-serving-api on a channel to it."""

    server: app.Server
    address: str
    channel: grpc.Channel
    prediction: Any
    model: Any

    def call(self, method: str, request: bytes, timeout_s: float = TIMEOUT_S, **kwargs: Any) -> bytes:
        """Send raw bytes to a full method path and give the raw bytes of the reply."""
        return self.channel.unary_unary(method)(request, timeout=timeout_s, **kwargs)

    def close(self) -> None:
        self.channel.close()
        self.server.stop()


def start(store, *names: str, runs: str = "private", **flags: Any) -> Running:
    """Serve test models by their names, each under its own name. What cannot be loaded fails at once.

    Args:
        store: Makes the models.
        names: The models.
        runs: `private` for lanes and TensorFlow's private API, `public` for the ways on without either.
        flags: Of the command line.
    """
    usual = {"max_num_load_retries": 0, "grpc_lanes": int(runs == "private")}
    options = ServerOptions(model_base_path=str(store.base_path(names[0])), **{**usual, **flags})
    configuration = dataclasses.replace(
        app.configure(options),
        models=[ModelConfig(name, str(store.base_path(name))) for name in names],
    )
    settings = dataclasses.replace(configuration.settings, addresses=["127.0.0.1:0"])
    configuration = dataclasses.replace(configuration, settings=settings)
    loader = SavedModelLoader(runs=RUNS[runs](), batching=configuration.batching)
    server = app.Server(configuration, loader)
    (port,) = server.start()
    return connect(server, f"127.0.0.1:{port}")


def connect(server: app.Server, address: str) -> Running:
    """Stubs for a server that already listens, for messages of any size."""
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    channel = grpc.insecure_channel(address, options=unlimited)
    return Running(
        server,
        address,
        channel,
        prediction_service_pb2_grpc.PredictionServiceStub(channel),
        model_service_pb2_grpc.ModelServiceStub(channel),
    )


class Servers:
    """Starts servers and keeps each until the end of the run."""

    def __init__(self, store) -> None:
        self._store = store
        self._running: dict[Any, Running] = {}

    def __call__(self, *names: str, **options: Any) -> Running:
        """The server of these models and flags (and `runs=`), started at first use."""
        key = (names, tuple(sorted(options.items())))
        if key not in self._running:
            self._running[key] = start(self._store, *names, **options)
        return self._running[key]

    def stop_all(self) -> None:
        for running in self._running.values():
            running.close()
