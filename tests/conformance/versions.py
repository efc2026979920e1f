"""A server of several versions under one name."""

import contextlib
import dataclasses

from servable import app
from servable.execution.loader import SavedModelLoader
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
    """Yields a Running that serves all versions of one model.

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
    configuration = app.configure(ServerOptions(model_config_file=str(config_file)))
    settings = dataclasses.replace(configuration.settings, addresses=["127.0.0.1:0"])
    configuration = dataclasses.replace(configuration, settings=settings)
    server = app.Server(configuration, SavedModelLoader(runs=serving.RUNS[runs]()))
    (port,) = server.start()
    running = serving.connect(server, f"127.0.0.1:{port}")
    try:
        yield running
    finally:
        running.close()
