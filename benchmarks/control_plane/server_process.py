"""A real `servable serve` in a process of its own, and what Linux reports about it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from types import TracebackType

sys.path.append(str(Path(__file__).resolve().parents[1]))
import ports

_LONGEST_START_S = 600
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class ServerProcess:
    """Started on entry, ready then; asked to end on exit.

    Attributes:
        address: Where it listens.
        start_s: Seconds from the start of the process to the open port, which opens when the models are there.
        log: The file with what it says.
    """

    def __init__(self, log: Path, *flags: str) -> None:
        """Nothing is started yet."""
        self.log, self._flags = log, flags
        self.address, self.start_s = "", 0.0

    def __enter__(self) -> ServerProcess:  # noqa: PYI034  (Self is of Python 3.11)
        port = ports.find_free()
        command = [
            sys.executable,
            "-m",
            "servable",
            "serve",
            f"--port={port}",
            "--bind_address=127.0.0.1",
            "--drain_delay_s=0",
        ]
        self.address = f"127.0.0.1:{port}"
        begun_s = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([*command, *self._flags], stdout=log, stderr=log)
        while not ports.is_open(port):
            if self._process.poll() is not None or time.monotonic() - begun_s > _LONGEST_START_S:
                self._process.kill()
                raise RuntimeError(f"the server did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.01)
        self.start_s = time.monotonic() - begun_s
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            status = self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        if status and error is None:
            raise RuntimeError(f"the server ended with {status}:\n{self.log.read_text()[-2000:]}")

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def resident_mb(self) -> float:
        """Its resident memory, in 10^6 bytes."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6

    def cpu_s(self) -> float:
        """CPU time that it has taken so far, of all threads."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / _TICKS_PER_S


def describe_machine() -> str:
    """When, where, with what, and how busy."""
    names = ("servable", "tensorflow", "grpcio", "protobuf", "numpy")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    now, load = datetime.now(timezone.utc), os.getloadavg()[0]
    return (
        f"{now:%Y-%m-%d %H:%M} UTC, {os.cpu_count()} x {_cpu_model()}, load {load:.1f}, "
        f"Python {platform.python_version()}, {versions}"
    )


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "CPU")
