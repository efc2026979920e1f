"""`servable serve` as a process that can be hurt: on ports that it keeps over restarts, below limits of the system."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from benchmarks import ports

LONGEST_START_S = 120.0
_LOOK_PAUSE_S = 0.01


class Server:
    """One server on two ports of loopback, gRPC and REST.

    Attributes:
        port: Of gRPC.
        rest_port: Of REST.
        log: The file with what it says.
    """

    def __init__(
        self,
        log: Path,
        *flags: str,
        under: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Nothing is started yet.

        Args:
            log: A file to which it writes; it need not be a regular one.
            flags: Of the command line.
            under: A command that runs the rest of its own command line in its place.
            environment: Variables beside those of this process.
        """
        self.log, self._flags, self._under = log, flags, under
        self._environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **(environment or {})}
        self.port, self.rest_port = ports.find_free(), ports.find_free()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:  # noqa: PYI034  (Self is of Python 3.11)
        self.start()
        self.wait_until_open()
        return self

    def __exit__(self, *_about: object) -> None:
        if self._process is not None and self._process.poll() is None:
            # A stopped process ends by SIGKILL, too.
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(LONGEST_START_S)

    @property
    def address(self) -> str:
        """Of gRPC."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._running().pid

    def start(self) -> None:
        """Start a process on the same ports; what it says is appended."""
        command = [
            *self._under,
            *(sys.executable, "-m", "servable", "serve", f"--port={self.port}", f"--rest_api_port={self.rest_port}"),
            *("--bind_address=127.0.0.1", "--drain_delay_s=0", *self._flags),
        ]
        with _open_log(self.log) as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "no_proxy": "127.0.0.1", **self._environment}
            )

    def wait_until_open(self) -> float:
        """Wait until both ports are open, which is when the models are there.

        Returns:
            How long that took, in seconds.
        """
        begun_s = time.monotonic()
        while not (ports.is_open(self.port) and ports.is_open(self.rest_port)):
            if self._running().poll() is not None or time.monotonic() - begun_s > LONGEST_START_S:
                raise RuntimeError(f"the server did not start:\n{self.text()[-2000:]}")
            time.sleep(_LOOK_PAUSE_S)
        return time.monotonic() - begun_s

    def send_signal(self, number: int) -> None:
        """Send a signal to the process."""
        self._running().send_signal(number)

    def wait(self) -> int:
        """Wait for the end, and give the exit status; -N for a death by signal N."""
        return self._running().wait(LONGEST_START_S)

    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._running().poll() is None

    def resident_mb(self) -> float:
        """Its resident memory, in 10^6 bytes."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) * 1024 / 1e6

    def text(self) -> str:
        """What it has said, if that is in a regular file."""
        return self.log.read_text(errors="replace") if self.log.is_file() else ""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return self._process


def _open_log(path: Path) -> IO[bytes]:
    return path.open("ab")
