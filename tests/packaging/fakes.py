"""Executables that stand in for Python, pip and the server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 60

# A Python that is supported, makes environments of itself, and writes down what else it is asked to do. What pip
# does is in a file beside the scripts, so that a test can change it between two runs.
FAKE_PYTHON = f"""#!/bin/sh
case "$*" in
    *realpath*) echo "$0"; exit ;;
    "-c import ensurepip") [ ! -e no-ensurepip ]; exit ;;
    "-c "*) exec '{sys.executable}' "$@" ;;
esac
echo "$*" >> calls
case "$*" in
    "-m venv "*) mkdir -p .venv/bin .venv/lib/python3.12/site-packages; cp "$0" .venv/bin/python ;;
    *) [ ! -e pip ] || . ./pip ;;
esac
"""


def write_executable(path, text):
    """Writes a program; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def run(command, **options):
    """Runs a program to its end; returns it with its output as text."""
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **options)
