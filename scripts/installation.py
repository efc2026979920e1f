"""Runs pip and tells how it goes: one rewritten line on a terminal, a line every ten seconds elsewhere.

It knows pip's words and nothing of what is installed or where. Standard library and Python 3.8 syntax only.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TERMINAL_PERIOD_S, PLAIN_PERIOD_S = 0.2, 10.0
SHOWN_LOG_LINES = 30
NOISE = ("Requirement already satisfied", "Ignoring ")
# The caller's settings that would send packages elsewhere, or count some that are elsewhere as installed.
UNWANTED = ("PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT")
SETTINGS = {
    "PIP_USER": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "PYTHONUNBUFFERED": "1",
}
PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
PHASES = (
    (re.compile(r"Collecting ([\w.-]+)"), "looking up {}"),
    (re.compile(r"Downloading (?:\S*/)?([\w.]+)-"), "downloading {}"),
    (re.compile(r"Using cached ([\w.]+)-"), "taking {} from the cache"),
    (re.compile(r"Preparing editable metadata"), "preparing the project"),
)
INSTALLING = "Installing collected packages: "


def follow_phase(line: str, phase: str) -> str:
    """Returns what pip is doing after a line of its output, given what it was doing before."""
    text = line.strip()
    progress = PROGRESS.match(text)
    if progress:
        done, total = (int(number) / 1e6 for number in progress.groups())
        return f"{phase.partition(',')[0]}, {done:.0f} of {total:.0f} MB"
    if text.startswith(INSTALLING):
        return f"unpacking and compiling {text.count(',') + 1} package(s)"
    for pattern, sentence in PHASES:
        found = pattern.match(text)
        if found:
            return sentence.format(*found.groups())
    return phase


@contextlib.contextmanager
def held_back(number: signal.Signals) -> Iterator[None]:
    """Delivers a signal that comes inside the block at its end.

    One whose handler raises while a process is being started would leave a process that nobody knows.
    """
    held: list[int] = []
    before = signal.signal(number, lambda *_: held.append(number))
    try:
        yield
    finally:
        signal.signal(number, before)
        if held:
            signal.raise_signal(number)


def stop(process: subprocess.Popen[str]) -> None:
    """Ends a process, if it still runs, and waits for its end."""
    if process.poll() is None:
        process.terminate()
        process.wait()
    if process.stdout:
        process.stdout.close()


class InstallationFailed(Exception):
    """A command failed. The message ends with its last output and says where all of it is."""


class Installation:
    """A series of commands with one log and one display.

    Use it as a context manager: the display runs inside. The main thread uses it.

    Attributes:
        has_touched_packages: Whether pip got as far as changing what is installed. Until then it only looks
            and downloads, and a failure leaves the environment as it was.
    """

    def __init__(self, log: Path, kept_descriptors: Sequence[int] = ()) -> None:
        """Starts a new log.

        Args:
            log: Where all output goes.
            kept_descriptors: Open files that the commands inherit.
        """
        self.has_touched_packages = False
        self._log = log.open("w", errors="replace")
        self._kept_descriptors = tuple(kept_descriptors)
        self._started_s = time.monotonic()
        self._phase = "starting"
        self._is_terminal = sys.stderr.isatty()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Installation:  # noqa: PYI034  (Python 3.8 has no Self)
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._ticker.join()
        self._log.close()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started_s

    def say(self, sentence: str) -> None:
        """Prints a line that stays."""
        print(f"{self._clear_line()}{sentence}", file=sys.stderr, flush=True)

    def run(self, command: Sequence[str]) -> None:
        """Runs a command to its end.

        Raises:
            InstallationFailed: It does not start, or its exit status is not 0.
        """
        self._log.write(f"$ {' '.join(command)}\n")
        process = None
        try:
            with held_back(signal.SIGTERM):
                process = self._start(command)
            for line in process.stdout or ():
                self._note(line)
            process.wait()
        except OSError as problem:
            raise InstallationFailed(f"{command[0]} does not start: {problem}") from problem
        finally:
            if process:
                stop(process)
        if process.returncode:
            raise InstallationFailed(self._describe_failure(command, process.returncode))

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name not in UNWANTED}
        return subprocess.Popen(
            command,
            env={**environment, **SETTINGS},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=self._kept_descriptors,
        )

    def _note(self, line: str) -> None:
        self._phase = follow_phase(line, self._phase)
        if PROGRESS.match(line):
            return
        self.has_touched_packages |= line.startswith(INSTALLING)
        self._log.write(line)
        self._log.flush()

    def _tick(self) -> None:
        while not self._over.wait(TERMINAL_PERIOD_S if self._is_terminal else PLAIN_PERIOD_S):
            line = f"{self.elapsed_s:4.0f} s: {self._phase}"
            if self._is_terminal:
                width = shutil.get_terminal_size().columns
                print(f"{self._clear_line()}{line[: width - 1]}", end="", file=sys.stderr, flush=True)
            else:
                print(line, file=sys.stderr, flush=True)
        print(self._clear_line(), end="", file=sys.stderr, flush=True)

    def _clear_line(self) -> str:
        return "\r\x1b[K" if self._is_terminal else ""

    def _describe_failure(self, command: Sequence[str], status: int) -> str:
        self._log.flush()
        lines = Path(self._log.name).read_text(errors="replace").splitlines()
        last = [line for line in lines if not line.startswith(NOISE)][-SHOWN_LOG_LINES:]
        return "\n".join(
            [
                *last,
                "",
                f"'{' '.join(command[:4])} ...' failed with status {status}. Its output: {self._log.name}",
            ]
        )
