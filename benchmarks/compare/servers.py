"""The servers that are compared: how each is started for a model, and which of them this machine can run."""

from __future__ import annotations

import functools
import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import reference
from models import Model

REFERENCE = "reference"
DEFAULT = "servable"
BATCHING = "batching"
NAIVE = "naive"
_ORIGINAL = "tensorflow_model_server"
_NAIVE_SCRIPT = Path(__file__).with_name("naive_server.py")

# A model, its base path and a port.
Command = Callable[[Model, Path, int], Sequence[str]]


@dataclass(frozen=True)
class Kind:
    """A way to serve.

    Attributes:
        name: As it is chosen.
        title: As tables show it.
        command: Its command line.
        floats_only: Whether it answers nothing but Predict of floats.
    """

    name: str
    title: str
    command: Command
    floats_only: bool = False

    def serves(self, model: Model) -> bool:
        """Whether it can answer the calls to a model."""
        return model.floats_only or not self.floats_only


def _servable(*flags: str) -> Command:
    return lambda model, base_path, port: serve_command(
        port, f"--model_name={model.name}", f"--model_base_path={base_path}", *flags
    )


def serve_command(port: int, *flags: str, checkout: Path | None = None) -> list[str]:
    """`servable serve` on 127.0.0.1, of a checkout or, without one, as this Python finds it."""
    # env(1) becomes the server, so that the process is the server's own.
    prefix = ["env", f"PYTHONPATH={checkout / 'server'}"] if checkout else []
    listening = [f"--port={port}", "--bind_address=127.0.0.1", *([] if checkout else ["--drain_delay_s=0"])]
    return [*prefix, sys.executable, "-m", "servable", "serve", *listening, *flags]


def _naive(_model: Model, base_path: Path, port: int) -> list[str]:
    return [sys.executable, str(_NAIVE_SCRIPT), str(port), str(base_path / "1")]


def _original(model: Model, base_path: Path, port: int) -> list[str]:
    return [_ORIGINAL, f"--port={port}", f"--model_name={model.name}", f"--model_base_path={base_path}"]


def _reference(binary: Path, _model: Model, base_path: Path, port: int) -> list[str]:
    return reference.command(binary, base_path / "1", port)


# In the order of the tables; the two that may be missing are put around them.
_OURS = (
    Kind(DEFAULT, "servable", _servable()),
    Kind(BATCHING, "`--enable_batching`", _servable("--enable_batching")),
    Kind("lanes2", "`--grpc_lanes=2`", _servable("--grpc_lanes=2")),
    Kind("public", "`--grpc_lanes=0`", _servable("--grpc_lanes=0")),
    Kind("frozen", "`--freeze_variables_up_to_mb`", _servable("--freeze_variables_up_to_mb=1000")),
    Kind(NAIVE, "naive Python", _naive),
)
NAMES = (REFERENCE, _ORIGINAL, *(kind.name for kind in _OURS))
# Not in the published tables: two lanes are no mode that anyone is advised to use, and frozen models answer otherwise
# in their last bits.
DEFAULT_NAMES = tuple(name for name in NAMES if name not in {"lanes2", "frozen"})


def find(names: Collection[str], reference_sources: Path) -> tuple[list[Kind], dict[str, str]]:
    """The kinds of these names that run here, in the order of the tables; and why the others do not."""
    kinds, left_out = [], {}
    if REFERENCE in names:
        try:
            binary = reference.build(reference_sources)
            kinds.append(Kind(REFERENCE, "C++ reference", functools.partial(_reference, binary), floats_only=True))
        except reference.LeftOut as reason:
            left_out[REFERENCE] = str(reason)
    if _ORIGINAL in names:
        if shutil.which(_ORIGINAL):
            kinds.append(Kind(_ORIGINAL, "tensorflow_model_server", _original))
        else:
            left_out[_ORIGINAL] = "not on the PATH"
    return [*kinds, *(kind for kind in _OURS if kind.name in names)], left_out
