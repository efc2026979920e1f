"""Finds a Python that can run the project. Standard library and Python 3.8 syntax only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

OLDEST, TOO_NEW = (3, 10), (3, 14)
CANDIDATES = (sys.executable, "python3.13", "python3.12", "python3.11", "python3.10")
PROBE_TIMEOUT_S = 60
PROBE = (
    "import sys, importlib.util as u;"
    "print(*sys.version_info[:2], *(int(bool(u.find_spec(name))) for name in ('venv', 'ensurepip', 'pip')))"
)


class NoInterpreter(Exception):
    """No Python here can run the project. The message says what to install."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that answered, and what it can do.

    Attributes:
        command: The path that starts it.
        version: Major and minor number.
        has_venv: It has the module `venv`.
        has_ensurepip: It can put pip into a new environment. Debian's cannot without `python3-venv`.
        has_pip: It has pip itself.
    """

    command: str
    version: tuple[int, int]
    has_venv: bool = True
    has_ensurepip: bool = True
    has_pip: bool = True

    @property
    def version_text(self) -> str:
        """The version, as "3.12"."""
        return "{}.{}".format(*self.version)

    @property
    def is_supported(self) -> bool:
        """Whether the project runs on this version."""
        return OLDEST <= self.version < TOO_NEW

    @property
    def can_make_environments(self) -> bool:
        """Whether it can make an environment that ends up with a pip inside."""
        return self.has_venv and (self.has_ensurepip or self.has_pip)


def probe(command: str) -> Interpreter | None:
    """Asks a Python what it is. None if it does not start: a version manager's shim may stand for nothing."""
    try:
        answer = subprocess.run(
            [command, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=True
        )
        major, minor, *abilities = map(int, answer.stdout.split())
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Interpreter(command, (major, minor), *map(bool, abilities))


def resolve(name: str) -> str:
    """Returns the path behind a command, through all links.

    In an activated environment every `python` is a link to the Python that made it, and that one is wanted:
    the environment may be about to be replaced.
    """
    return os.path.realpath(shutil.which(name) or name)


def choose(candidates: Sequence[str] = CANDIDATES, ask: Callable[[str], Interpreter | None] = probe) -> Interpreter:
    """Returns the first supported Python that can make an environment; the running one is asked first.

    Raises:
        NoInterpreter: There is none.
    """
    answers = [found for found in map(ask, dict.fromkeys(map(resolve, candidates))) if found]
    supported = [found for found in answers if found.is_supported]
    able = [found for found in supported if found.can_make_environments]
    if able:
        return able[0]
    if supported:
        raise NoInterpreter(
            f"{supported[0].command} has no pip and cannot make one. Install its venv module and try again "
            f"(Debian, Ubuntu: apt-get install python{supported[0].version_text}-venv)."
        )
    found = ", ".join(sorted({one.version_text for one in answers})) or "none"
    raise NoInterpreter(f"This needs Python 3.10, 3.11, 3.12 or 3.13 on PATH; found: {found}.")
