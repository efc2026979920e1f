"""Reads the metrics of a server, as they stand on its page."""

import contextlib
import dataclasses

from prometheus_client import parser

from servable import app
from servable.execution.loader import SavedModelLoader
from servable.options import ServerOptions
from servable.transport.http.settings import HttpSettings
from tests import serving


def read(server):
    """All samples of a server's page: value by name and labels."""
    families = parser.text_string_to_metric_families(server.metrics.write().decode())
    samples = (sample for family in families for sample in family.samples)
    return {(_name(sample.name), frozenset(sample.labels.items())): sample.value for sample in samples}


def _name(parsed):
    """The name as it stands on the page: the parser puts `_total` behind those of counters."""
    is_changed = parsed.startswith(":") and not parsed.endswith("example_count_total")
    return parsed.removesuffix("_total") if is_changed else parsed


class Increase:
    """What has been counted since this was made. Of a server that others use too, look at names of your own."""

    def __init__(self, server):
        self._server, self._before = server, read(server)

    def of(self, name, **labels):
        """The increase of all samples of a name that have these labels."""
        return sum(
            value - self._before.get((each, have), 0.0)
            for (each, have), value in read(self._server).items()
            if each == name and labels.items() <= dict(have).items()
        )

    def labels(self, name):
        """The labels of all samples of a name that have increased."""
        return [
            dict(have)
            for (each, have), value in read(self._server).items()
            if each == name and value > self._before.get((each, have), 0.0)
        ]


@contextlib.contextmanager
def serve_with_ports(store, name, *, metrics_listen=0, **flags):
    """Yields a Running of a model that also listens for REST and for metrics, each on a free port of `server`.

    Args:
        store: Makes the model.
        name: Its name.
        metrics_listen: The port for metrics in place of a free one.
        flags: Of the command line.
    """
    options = ServerOptions(model_base_path=str(store.base_path(name)), model_name=name, **flags)
    loopback = HttpSettings(0, "127.0.0.1")
    configuration = app.configure(options)
    configuration = dataclasses.replace(
        configuration,
        settings=dataclasses.replace(configuration.settings, addresses=["127.0.0.1:0"]),
        http=loopback,
        metrics=dataclasses.replace(loopback, port=metrics_listen, name="metrics http"),
    )
    server = app.Server(configuration, SavedModelLoader(batching=configuration.batching))
    (port,) = server.start()
    running = serving.connect(server, f"127.0.0.1:{port}")
    try:
        yield running
    finally:
        running.close()
