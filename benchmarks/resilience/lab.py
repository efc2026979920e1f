"""What scenarios share: a folder, models in it, and how large a scenario is."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.control_plane.tiny_models import make_versions
from benchmarks.resilience.callers import MODEL
from benchmarks.resilience.servers import Server


@dataclass(frozen=True)
class Size:
    """How large scenarios are.

    Attributes:
        mutants: Requests that are almost valid.
        connections: That are open beside the callers'.
        stopped_s: How long SIGSTOP holds the server.
        soak_s: How long the soak lasts.
        probe_s: How long latencies are taken, each time.
        rounds: How often latencies are taken, alone and beside the connections.
        settle_s: How long callers call before and after what is done to the server.
    """

    mutants: int
    connections: int
    stopped_s: float
    soak_s: float
    probe_s: float
    rounds: int
    settle_s: float


FULL = Size(1_000_000, 5_000, 30, 1800, 10, 3, 2)
QUICK = Size(20_000, 5_000, 30, 120, 5, 2, 2)
SMALL = Size(1_500, 300, 3, 20, 1, 1, 0.3)


class Lab:
    """Makes models and servers in a folder."""

    def __init__(self, folder: Path, size: Size) -> None:
        """Nothing is made yet."""
        self.folder, self.size = folder, size
        self._numbers = itertools.count()

    def versions(self, count: int) -> Path:
        """A folder with so many versions of the model `echo`, made once; copy what is to be changed."""
        made = self.folder / "made" / MODEL
        if not (made / str(count)).exists():
            shutil.rmtree(made, ignore_errors=True)
            make_versions(made, MODEL, count)
        return made

    def place(self, *versions: int, of: int = 3) -> Path:
        """A base path of its own with some of the versions."""
        base_path = self.new_folder() / MODEL
        base_path.mkdir()
        for version in versions:
            self.add(base_path, version, of)
        return base_path

    def add(self, base_path: Path, version: int, of: int = 3) -> None:
        """Put a version into a base path, whole at once."""
        unfinished = base_path.parent / f"unfinished-{next(self._numbers)}"
        shutil.copytree(self.versions(of) / str(version), unfinished)
        os.rename(unfinished, base_path / str(version))

    def new_folder(self) -> Path:
        """An empty folder."""
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    def server(
        self,
        base_path: Path,
        *flags: str,
        under: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> Server:
        """A server of the model `echo`, not started yet."""
        flags = f"--model_name={MODEL}", f"--model_base_path={base_path}", *flags
        return Server(log or self.new_folder() / "log", *flags, under=under, environment=environment)
