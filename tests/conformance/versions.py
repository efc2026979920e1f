"""A server of several versions under one name."""

import contextlib
import dataclasses
import threading

from servable import app
from servable.execution.loader import SavedModelLoader
from servable.lifecycle.version import State
from servable.options import ServerOptions
from tests import serving

_CONFIG = """
model_config_list {{
  config {{
    name: "{name}" base_path: "{base_path}" model_platform: "tensorflow" model_version_policy {{ all {{}} }}
  }}
}}
"""


@contextlib.contextmanager
def serve_versions(folder, name, versions, runs="private"):
    """Yields a Running that serves all versions of one model; each of them serves or has failed.

    Args:
        folder: An empty folder to work in.
        name: The model's name.
        versions: The directory of each version, by the name that its folder has below the base path.
        runs: How graphs are run.
    """
    base_path = folder / "base"
    base_path.mkdir()
    for number, directory in versions.items():
        (base_path / number).symlink_to(directory)
    config_file = folder / "models.config"
    config_file.write_text(_CONFIG.format(name=name, base_path=base_path))
    configuration = app.configure(ServerOptions(model_config_file=str(config_file), max_num_load_retries=0))
    settings = dataclasses.replace(configuration.settings, addresses=["127.0.0.1:0"])
    configuration = dataclasses.replace(configuration, settings=settings)
    one_serves, all_settled = threading.Event(), threading.Event()
    load = SavedModelLoader(runs=serving.RUNS[runs]())

    def load_broken_ones_last(path):
        # A server does not start if the first of its only model's versions fails.
        assert (path / "saved_model.pb").exists() or one_serves.wait(serving.TIMEOUT_S)
        return load(path)

    server = app.Server(configuration, load_broken_ones_last)
    _tell(server, one_serves, all_settled, len(versions))
    (port,) = server.start()
    assert all_settled.wait(serving.TIMEOUT_S)
    running = serving.connect(server, f"127.0.0.1:{port}")
    try:
        yield running
    finally:
        running.close()


def _tell(server, one_serves, all_settled, count):
    """Set one event when some version serves, the other when so many serve or have failed."""
    settled = set()

    def hear(servable, known):
        if known.state is State.AVAILABLE:
            one_serves.set()
        if known.state in (State.AVAILABLE, State.END):
            settled.add(servable)
        if len(settled) == count:
            all_settled.set()

    server._monitor.listen(hear)
