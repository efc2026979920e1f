"""Servers without the shared test models: of a graph made for one test, or of a router that the test controls."""

import contextlib
from types import SimpleNamespace

from servable.inference.predict import Predict
from servable.methods import without_context
from servable.transport.server import GrpcServer, ServerSettings
from tests import serving
from tests.conformance.calls import PREDICTION_SERVICE
from tests.models.exporting import save_tf1, tf1_session

MADE = "made"


@contextlib.contextmanager
def serve_graph(folder, signatures, runs="private", **flags):
    """Yields a Running of one model, MADE.

    Args:
        folder: An empty folder to write to.
        signatures: Adds to the default graph and returns its signatures by key.
        runs: How graphs are run.
        flags: More flags of the server.
    """
    with tf1_session() as session:
        save_tf1(session, folder / MADE / "1", signatures())
    store = SimpleNamespace(base_path=lambda name: folder / name)
    running = serving.start(store, MADE, runs=runs, **flags)
    try:
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def serve_router(router):
    """Yields a Running that answers Predict from a router, whose routes the test may change meanwhile."""
    server = GrpcServer(
        {PREDICTION_SERVICE + "Predict": without_context(Predict(router))}, ServerSettings(["127.0.0.1:0"])
    )
    (port,) = server.start()
    running = serving.connect(server, f"127.0.0.1:{port}")
    try:
        yield running
    finally:
        running.close()
