"""A server as a process of its own, and what Linux reports about it. It knows nothing of models or loads."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
import ports

_LONGEST_START_S = 180.0
_LONGEST_END_S = 60.0
_LOOK_S = 0.05
_IDLE_SHARE = 0.1


class ServerProcess:
    """Started at once; ready after `wait_until_ready`.

    Attributes:
        name: What it is called in figures.
        port: Where it listens, on 127.0.0.1.
    """

    def __init__(self, name: str, command: Callable[[int], Sequence[str]], folder: Path) -> None:
        """Start it.

        Args:
            name: What it is called in figures.
            command: Gives the command line for a port.
            folder: Receives its log.
        """
        self.name, self.port = name, ports.find_free()
        self._log = folder / f"{name}-{self.port}.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command(self.port), stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        """Return when the port is open.

        Raises:
            RuntimeError: if it ends or takes too long; the text has the end of its log.
        """
        give_up_s = time.monotonic() + _LONGEST_START_S
        while not ports.is_open(self.port):
            if self._process.poll() is not None or time.monotonic() > give_up_s:
                raise RuntimeError(f"{self.name} did not start:\n{self.tail()}")
            time.sleep(0.005)

    def wait_until_idle(self, longest_s: float = 20.0) -> None:
        """Return when it has nothing to do: calls that a load left behind would burden the next server."""
        give_up_s = time.monotonic() + longest_s
        while time.monotonic() < give_up_s:
            before_s = self.cpu_s()
            time.sleep(_LOOK_S)
            if self.cpu_s() - before_s < _IDLE_SHARE * _LOOK_S:
                return

    def stop(self) -> None:
        """End it; a server that does not listen to SIGTERM is killed."""
        self._process.terminate()
        try:
            self._process.wait(_LONGEST_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def cpu_s(self) -> float:
        """CPU time of all its threads so far, those that ended included."""
        if self._process.poll() is not None:
            raise RuntimeError(f"{self.name} has ended with {self._process.returncode}:\n{self.tail()}")
        # The number of another process's CPU clock, as clock_getcpuclockid(3) makes it; /proc counts in 10 ms.
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def resident_mb(self) -> float:
        """Resident memory now, in 10^6 bytes."""
        return self._read_mb("VmRSS:")

    def peak_mb(self) -> float:
        """The most that was ever resident, in 10^6 bytes."""
        return self._read_mb("VmHWM:")

    def tail(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-1500:]

    def _read_mb(self, field: str) -> float:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024 / 1e6


def start_all(stack: ExitStack, servers: Sequence[ServerProcess]) -> None:
    """Have them stopped with the stack, and wait until all are ready.

    Raises:
        RuntimeError: if one of them does not start.
    """
    for server in servers:
        stack.callback(server.stop)
    for server in servers:
        server.wait_until_ready()
