"""The whole server with its console, on free loopback ports, over base paths that a test can change."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import socket
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from servable import app
from servable.config.models import ModelConfig
from servable.execution.loader import SavedModelLoader
from servable.options import ServerOptions
from servable.transport.http.settings import HttpSettings

DIGITS = Path(__file__).parents[2] / "examples" / "digits" / "model"
_NEW_LABELS = "allow_version_labels_for_unavailable_models"
# No test waits longer for anything.
PATIENCE_S = 30.0


@dataclasses.dataclass(frozen=True)
class Served:
    """A server that listens.

    Attributes:
        url: Of its REST port, without a slash.
        grpc_address: Of its gRPC API.
    """

    server: app.Server
    url: str
    grpc_address: str

    def get(self, path: str) -> Any:
        """The JSON that a path gives."""
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as reply:
            return json.load(reply)

    def post(self, path: str, value: Any) -> Any:
        """The JSON that a path gives for JSON."""
        request = urllib.request.Request(self.url + path, json.dumps(value).encode())
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
            return json.load(reply)


@contextlib.contextmanager
def serving(base_paths: Mapping[str, Path], labels: Mapping[str, Mapping[str, int]] | None = None, **flags: Any):
    """Yields a server of these base paths by the names of their models.

    Args:
        base_paths: What to serve.
        labels: Versions by labels by models.
        flags: Of the command line.
    """
    port = _free_port()
    usual = {"bind_address": "127.0.0.1", "max_num_load_retries": 0, "port": port, _NEW_LABELS: True}
    options = ServerOptions(model_base_path="/unused", **{**usual, **flags})
    models = [ModelConfig(name, str(path), labels=(labels or {}).get(name, {})) for name, path in base_paths.items()]
    configuration = dataclasses.replace(app.configure(options), models=models, http=HttpSettings(0, "127.0.0.1"))
    server = app.Server(configuration, SavedModelLoader(batching=configuration.batching))
    server.start()
    try:
        yield Served(server, f"http://127.0.0.1:{server.http_ports[0]}", f"127.0.0.1:{port}")
    finally:
        server.stop()


def add_version(source: Path, base_path: Path, number: int) -> None:
    """Copy a version folder into a base path, in one step."""
    base_path.mkdir(exist_ok=True)
    arriving = base_path / f"arriving-{number}"
    shutil.copytree(source, arriving)
    arriving.rename(base_path / str(number))


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def listening(url: str) -> Iterator[Any]:
    """Yields the stream of events of a console."""
    with urllib.request.urlopen(f"{url}/console/events", timeout=PATIENCE_S) as stream:
        yield stream
