"""Executables that stand in for Python, pip and the server, and a repository that has just what gets installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60

# Answers the probe as a Python 3.12 and writes down what else it is asked to do. What pip does is in a file beside
# the repository, so that a test can change it between two runs.
FAKE_PYTHON = """#!/bin/sh
root='{root}'
case "$*" in
    "-c "*) echo {answer}; exit 0 ;;
esac
echo "$*" >> "$root/calls"
case "$*" in
    "-m venv "*) for venv; do :; done; mkdir -p "$venv/bin"; cp "$0" "$venv/bin/python" ;;
    *) [ -e "$root/pip" ] && . "$root/pip" ;;
esac
exit 0
"""


def write_executable(path, text):
    """Writes a program; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def write_fake_python(path, root, answer="3 12 1 1 1"):
    """Writes a Python that answers the probe with `answer` and notes its calls in `root`/calls."""
    return write_executable(path, FAKE_PYTHON.format(root=root, answer=answer))


def write_repository(root):
    """Writes the files that decide what gets installed."""
    for name in ("build", "serve", "test", "check"):
        path = root / f"requirements/{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{name}==1.0\n")
    (root / "client").mkdir()
    (root / "pyproject.toml").write_text('version = "1.0"\n')
    (root / "client/pyproject.toml").write_text('version = "1.0"\n')
    return root


def run(command, **options):
    """Runs a program to its end; returns it with its output as text."""
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **options)
