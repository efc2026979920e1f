"""What a side figure is given to be measured with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models import Model
from servers import Kind


@dataclass(frozen=True)
class Setting:
    """Where things are, how long to measure, and where to complain.

    Attributes:
        exports: The folder of the models.
        folder: For files of the measurement.
        kinds: The servers of the comparison.
        rounds: How often each is visited.
        seconds: How long a visit of the comparison is.
        faults: Receives what went wrong.
    """

    exports: Path
    folder: Path
    kinds: Sequence[Kind]
    rounds: int
    seconds: float
    faults: list[str]

    def base_path(self, model: Model) -> Path:
        """Where a model lies."""
        return self.exports / model.export

    def flags(self, model: Model) -> list[str]:
        """What `servable serve` needs to serve it."""
        return [f"--model_name={model.name}", f"--model_base_path={self.base_path(model)}"]
