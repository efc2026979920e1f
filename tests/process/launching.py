"""`python -m servable` as processes of their own, each ended by its own id, and driven by what it writes.

Knows command lines and lines of output, and nothing of gRPC or models.
"""

import dataclasses
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time

from tests.secrets.registry import SECRETS

# No test waits longer for a process; TensorFlow's import alone takes seconds.
PATIENCE_S = 90.0


@dataclasses.dataclass(frozen=True)
class Ended:
    """What is left of a process: its exit status, and all that it wrote."""

    status: int
    stdout: str
    stderr: str


def run(*arguments):
    """Run a verb to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "servable", *arguments],
        capture_output=True, text=True, timeout=PATIENCE_S, env=_environment(), check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout, done.stderr)


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_open(port):
    """Whether somebody listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class ServerProcess:
    """One `servable serve` on a free loopback port. It drains without a delay, unless a flag sets one."""

    def __init__(self, *flags, under=()):
        """Start it.

        Args:
            flags: Of the command line.
            under: A command that runs the rest of its own command line in its place.
        """
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._process = subprocess.Popen(
            [*under, sys.executable, "-m", "servable", "serve",
             f"--port={self.port}", "--bind_address=127.0.0.1", "--drain_delay_s=0", *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment(),
        )  # fmt: skip
        self.stdout = _Lines(self._process.stdout)
        self.stderr = _Lines(self._process.stderr)

    @property
    def pid(self):
        """Its id."""
        return self._process.pid

    def wait_until_serving(self):
        """Wait for the line that says so."""
        self.stderr.wait_for(rf"serving on {re.escape(self.address)}")
        return self

    def signal(self, number):
        """Send a signal."""
        self._process.send_signal(number)

    def wait(self):
        """Wait for the end, and give the exit status; -N for a death by signal N."""
        return self._process.wait(PATIENCE_S)

    def kill(self):
        """End it now, whatever it does, and take all it wrote."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait(PATIENCE_S)
        for lines in (self.stdout, self.stderr):
            lines.close()
            found = SECRETS.find(lines.text())
            assert not found, f"what the server wrote holds a secret: {found}"


class _Lines:
    """The lines of a pipe, read as they come so that the writer never waits."""

    def __init__(self, pipe):
        self._pipe = pipe
        self._coming = queue.Queue()
        self._seen = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait_for(self, pattern):
        """Wait for a line in which the pattern is found, also among those that came before, and give it."""
        for line in self._seen:
            if re.search(pattern, line):
                return line
        patient_until = time.monotonic() + PATIENCE_S
        while (line := self._next(patient_until)) is not None:
            if re.search(pattern, line):
                return line
        raise AssertionError(f"{pattern!r} never came; what came was:\n{''.join(self._seen)}")

    def text(self):
        """All that was ever written, once the writer has ended."""
        patient_until = time.monotonic() + PATIENCE_S
        while self._next(patient_until) is not None:
            pass
        return "".join(self._seen)

    def close(self):
        self._thread.join(PATIENCE_S)
        self._pipe.close()

    def _next(self, patient_until):
        """The next line; None at the end."""
        try:
            line = self._coming.get(timeout=max(patient_until - time.monotonic(), 0))
        except queue.Empty:
            raise AssertionError(f"no line came in time after:\n{''.join(self._seen)}") from None
        if line is None:
            self._coming.put(None)
            return None
        self._seen.append(line)
        return line

    def _read(self):
        for line in self._pipe:
            self._coming.put(line)
        self._coming.put(None)


def _environment():
    # A test asks a port of this machine, whatever proxy the machine uses.
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "no_proxy": "127.0.0.1,localhost", "PYTHONUNBUFFERED": "1"}
