"""Prepares `.venv` in the repository root with pinned packages, so that the scripts beside this file can run.

It knows which sets of packages exist and nothing of what runs in them. Before anything is installed there is
only some Python, perhaps one too old for the project, that has to read this file and say so: standard library
and Python 3.8 syntax only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import interpreter
from installation import Installation, InstallationFailed
from interpreter import Interpreter

ROOT = Path(__file__).resolve().parent.parent
# Each set holds the one before it, so a larger set serves a smaller one.
SETS = ("serve", "test", "check")
INTERRUPTED, EMPTY = "interrupted", "empty"


class Unprepared(SystemExit):
    """No environment could be made. Uncaught, it prints its message, no traceback, and exits with 1."""


@dataclass(frozen=True)
class Stamp:
    """What `.venv` holds, as its last writer left it. Any difference to what is wanted means work.

    Attributes:
        packages: The set that is installed; EMPTY before the first; INTERRUPTED while one is being installed.
        root: Where the environment was made. Its scripts hold that path, so a moved one is of no use.
        python: The version of its Python, as "3.12".
        fingerprint: A hash of all that decides what is installed.
    """

    packages: str
    root: str
    python: str
    fingerprint: str = ""

    def holds(self, packages: str, fingerprint: str) -> bool:
        """Whether a set is installed as it is pinned now."""
        held = SETS.index(self.packages) if self.packages in SETS else -1
        return self.fingerprint == fingerprint and held >= SETS.index(packages)


def read_stamp(venv: Path) -> Stamp | None:
    """Returns an environment's stamp, or None where none can be read."""
    try:
        return Stamp(**json.loads((venv / "servable.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def write_stamp(venv: Path, stamp: Stamp) -> None:
    """Replaces an environment's stamp in one step: whoever reads sees the old one or the new one."""
    fresh = venv / "servable.json.new"
    fresh.write_text(json.dumps(asdict(stamp)))
    os.replace(fresh, venv / "servable.json")


def fingerprint(root: Path) -> str:
    """Returns a hash of the files that decide what gets installed: pins, versions, entry points."""
    digest = hashlib.sha256()
    for path in [
        *sorted(root.glob("requirements/*.txt")),
        root / "pyproject.toml",
        root / "client/pyproject.toml",
    ]:
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def prepare(packages: str, root: Path = ROOT, choose: Callable[[], Interpreter] = interpreter.choose) -> Path:
    """Makes `.venv` hold a set of packages and the project, installing only if something changed.

    Args:
        packages: One of `SETS`.
        root: The repository.
        choose: Finds the Python that makes a new environment.

    Returns:
        The environment's Python.

    Raises:
        Unprepared: It cannot be done; the message says why and where the details are.
    """
    venv, wanted = root / ".venv", fingerprint(root)
    try:
        with _locked(root / "pyproject.toml") as lock, _terminable():
            stamp = find_usable(venv, root) or _create(venv, root, choose(), lock)
            if not stamp.holds(packages, wanted):
                _install(venv, stamp, Stamp(packages, str(root), stamp.python, wanted), lock)
    except (InstallationFailed, interpreter.NoInterpreter) as problem:
        raise Unprepared(str(problem)) from None
    except OSError as problem:
        raise Unprepared(f"{venv} cannot be made: {problem}") from problem
    return venv / "bin/python"


def find_usable(venv: Path, root: Path) -> Stamp | None:
    """Returns the stamp of an environment that can be built upon, or None where a new one is due.

    Raises:
        Unprepared: Somebody else made what is there, and it cannot be used. It is never deleted.
    """
    if not venv.exists():
        return None
    stamp, inside = read_stamp(venv), interpreter.probe(str(venv / "bin/python"))
    if stamp is None:
        if inside and inside.is_supported and inside.has_pip:
            return Stamp(EMPTY, str(root), inside.version_text)
        raise Unprepared(f"{venv} is not from these scripts and has no supported Python with pip. Move it away.")
    if inside is None or stamp.packages == INTERRUPTED:
        return None
    return stamp if (stamp.root, stamp.python) == (str(root), inside.version_text) else None


def _create(venv: Path, root: Path, python: Interpreter, lock: int) -> Stamp:
    """Makes an environment with a pip in it, from nothing."""
    if venv.exists():
        shutil.rmtree(venv)
    venv.mkdir()
    write_stamp(venv, Stamp(INTERRUPTED, str(root), python.version_text))
    with Installation(venv / "install.log", (lock,)) as installation:
        installation.say(f"Making .venv with Python {python.version_text}.")
        without_pip = [] if python.has_ensurepip else ["--without-pip"]
        installation.run([python.command, "-m", "venv", *without_pip, str(venv)])
        if without_pip:
            target = venv / "lib" / f"python{python.version_text}" / "site-packages"
            pins = ["--require-hashes", "--no-deps", "-r", str(root / "requirements/build.txt")]
            installation.run([python.command, "-m", "pip", "install", "--target", str(target), *pins])
    return Stamp(EMPTY, str(root), python.version_text)


def _install(venv: Path, before: Stamp, after: Stamp, lock: int) -> None:
    """Installs pins and the project. After an interruption the stamp says whether anything was touched."""
    root = Path(after.root)
    pip = [str(venv / "bin/python"), "-m", "pip", "install"]
    pinned = [*pip, "--require-hashes", "-r", str(root / "requirements/build.txt")]
    with Installation(venv / "install.log", (lock,)) as installation:
        installation.say(f"Installing what scripts/{after.packages} needs into .venv; the first time takes minutes.")
        write_stamp(venv, Stamp(INTERRUPTED, before.root, before.python))
        try:
            installation.run(pinned)
            # From here on it is the pinned pip, which can tell a download's progress line by line.
            installation.run([*pinned, "--progress-bar=raw", "-r", str(root / f"requirements/{after.packages}.txt")])
            projects = ["-e", str(root), "-e", str(root / "client")]
            installation.run([*pip, "--no-deps", "--no-build-isolation", *projects])
        except BaseException:
            if not installation.has_touched_packages:
                write_stamp(venv, before)
            raise
        write_stamp(venv, after)
        installation.say(f".venv is ready ({installation.elapsed_s:.0f} s).")


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Holds off a second run. The lock is on a file that is always there, so that none is left behind.

    The descriptor is for children to inherit: the lock lasts until the last of them ends, so that a pip whose
    parent was killed is not disturbed either.
    """
    with path.open("r+b") as file:  # Over NFS an exclusive lock wants a writable file.
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another run is preparing .venv; waiting for it.", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Lets SIGTERM end an installation the way Ctrl-C does: pip is stopped and the stamp left true."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
