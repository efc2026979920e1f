"""The warnings about a version, logged when a server loads it.

Only those are logged that say that the load or calls will fail; what `servable inspect` says about names and shapes is
for those who export the model.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from servable import saved_model
from servable.errors import ServingError
from servable.inspection.checks import FindOps
from servable.inspection.report import ModelWarning
from servable.inspection.survey import inspect
from servable.lifecycle.manager import Loader
from servable.lifecycle.version import version_being_loaded
from servable.servables import Servable

_log = logging.getLogger(__name__)

# A missing op ends the load with an error that names it, and the loader warns of Python functions itself.
_LOGGED = frozenset(
    {
        "git_lfs_pointer", "missing_asset", "missing_variables", "missing_variables_shard", "no_kernel", "no_saver",
        "no_signatures", "predict_unusable",
    }
)  # fmt: skip
# A graph is parsed as a whole, and while protobuf parses, no other thread runs: about 15 ms for so much.
_MAX_GRAPH_BYTES = 8_000_000


@dataclass(frozen=True)
class InspectingLoader:
    """A Loader that first logs the warnings about the version. The load is the same whether it can be inspected or not.

    Attributes:
        load: Loads the version.
        tags: The tags of the meta graph that it loads.
        find_without_kernel: Those of some ops that TensorFlow has no kernel for.
    """

    load: Loader
    tags: Sequence[str]
    find_without_kernel: FindOps

    def __call__(self, directory: Path) -> Servable:
        """Log the warnings about the version of a directory, then load it.

        Raises:
            ServingError: as the load does.
        """
        for warning in self._find_warnings(directory):
            about = "" if warning.signature is None else f'signature "{warning.signature}": '
            _log.warning(
                "%s from %s: %s%s %s [%s]",
                version_being_loaded(), directory, about, warning.text, warning.remedy, warning.code,
            )  # fmt: skip
        return self.load(directory)

    def _find_warnings(self, directory: Path) -> list[ModelWarning]:
        try:
            if _measure_graph(directory) > _MAX_GRAPH_BYTES:
                _log.info("%s is not inspected, since its graph is large; `servable inspect` does it", directory)
                return []
            report = inspect(str(directory), lambda _: (), self.tags, self.find_without_kernel)
        except ServingError:
            # The load meets it too, and says it.
            return []
        except Exception:
            _log.warning("%s could not be inspected, and is loaded nevertheless", directory, exc_info=True)
            return []
        return [warning for warning in report.warnings if warning.code in _LOGGED]


def _measure_graph(directory: Path) -> int:
    path = directory / saved_model.BINARY_NAME
    return os.path.getsize(path) if path.exists() else 0
