"""The servers that are compared: one of ours in each mode with all models, and a reference process for each model."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import reference
from neighbours import SWAPPED, Neighbour
from process import ServerProcess
from servers import REFERENCE, serve_command

from servable import wire


@dataclass(frozen=True)
class Mode:
    """A way to start our server.

    Attributes:
        title: As tables show it.
        flags: Of the command line.
        base: The mode whose p99 is its baseline; empty if none.
    """

    title: str
    flags: tuple[str, ...] = ()
    base: str = ""

    @property
    def is_batched(self) -> bool:
        """Whether requests are batched."""
        return "--enable_batching" in self.flags


MODES: Final = {
    "lanes": Mode("lanes", base="public"),
    "lanes_batched": Mode("lanes, `--enable_batching`", ("--enable_batching",), base="public_batched"),
    "public": Mode("`--grpc_lanes=0`", ("--grpc_lanes=0",)),
    "public_batched": Mode("`--grpc_lanes=0 --enable_batching`", ("--grpc_lanes=0", "--enable_batching")),
}


@dataclass(frozen=True)
class Arrangement:
    """The servers of one comparison, and the models that each serves.

    Attributes:
        name: Unlike the others' of the run.
        title: As tables show it.
        mode: Its mode; empty for the reference.
        is_baseline: Whether it is the other checkout's.
        addresses: Where each model is served.
        processes: All its servers.
        is_batched: Whether requests are batched.
        reloads: See neighbours.Target.
    """

    name: str
    title: str
    mode: str
    is_baseline: bool
    addresses: Mapping[str, str]
    processes: Sequence[ServerProcess]
    is_batched: bool = False
    reloads: Sequence[bytes] = ()

    def takes(self, neighbour: Neighbour) -> bool:
        """Whether the neighbour can do there what it does."""
        return bool(self.reloads) or not neighbour.reloads


class Start:
    """Starts arrangements of the same models.

    Attributes:
        arrangements: What was started; ready after `wait_until_ready`.
    """

    def __init__(self, stack: ExitStack, folder: Path, models: Mapping[str, Path]) -> None:
        """Prepare it.

        Args:
            stack: The servers are stopped with it.
            folder: Receives configs and logs.
            models: The base path of each model by its name.
        """
        self._stack, self._folder, self._models = stack, folder, models
        self.arrangements: list[Arrangement] = []
        versions = folder / SWAPPED
        if SWAPPED in models:
            versions.mkdir()
            for version in ("1", "2"):
                (versions / version).symlink_to(models[SWAPPED] / "1")

    def ours(self, mode_name: str, checkout: Path, *, is_baseline: bool) -> None:
        """One server with all models."""
        mode, config = MODES[mode_name], self._folder / "models.config"
        config.write_text(str(self._config(1)))
        name = f"baseline_{mode_name}" if is_baseline else mode_name

        def command(port: int) -> Sequence[str]:
            return serve_command(port, f"--model_config_file={config}", *mode.flags, checkout=checkout)

        server = self._run(name, command)
        self.arrangements.append(
            Arrangement(
                name,
                f"baseline: {mode.title}" if is_baseline else mode.title,
                mode_name,
                is_baseline,
                dict.fromkeys(self._models, server.address),
                [server],
                mode.is_batched,
                [wire.ReloadConfigRequest(config=self._config(version)).SerializeToString() for version in (2, 1)],
            )
        )

    def reference(self, binary: Path) -> None:
        """A process for each model; versions cannot be replaced there."""
        servers = {
            name: self._run(f"{REFERENCE}-{name}", functools.partial(_reference_command, binary, path / "1"))
            for name, path in self._models.items()
            if name != SWAPPED
        }
        addresses = {name: server.address for name, server in servers.items()}
        self.arrangements.append(
            Arrangement(
                REFERENCE, "C++ reference", "", is_baseline=False, addresses=addresses, processes=[*servers.values()]
            )
        )

    def wait_until_ready(self) -> None:
        """Return when all serve.

        Raises:
            RuntimeError: if one of them does not start.
        """
        for each in self.arrangements:
            for process in each.processes:
                process.wait_until_ready()

    def _run(self, name: str, command: object) -> ServerProcess:
        server = ServerProcess(name, command, self._folder)  # type: ignore[arg-type]
        self._stack.callback(server.stop)
        return server

    def _config(self, version: int) -> wire.ModelServerConfig:
        message = wire.ModelServerConfig()
        for name, path in self._models.items():
            base_path = self._folder / SWAPPED if name == SWAPPED else path
            config = message.model_config_list.config.add(
                name=name, base_path=str(base_path), model_platform="tensorflow"
            )
            if name == SWAPPED:
                config.model_version_policy.specific.versions.append(version)
        return message


def _reference_command(binary: Path, version_directory: Path, port: int) -> Sequence[str]:
    return reference.command(binary, version_directory, port)
