"""Where and when figures were taken, and of which code."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = ("servable", "tensorflow", "grpcio", "protobuf", "numpy")


def describe(checkout: Path = ROOT) -> dict[str, Any]:
    """CPU, cores, load average, versions, commit and time."""
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
        "commit": commit(checkout),
        "cpu": _first_value("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(int((_first_value("/proc/meminfo", "MemTotal") or "0").split()[0]) * 1024 / 1e9),
        "load_average": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in _PACKAGES},
        "h2load": _say("h2load", "--version").rpartition("/")[2],
    }


def as_line(machine: dict[str, Any]) -> str:
    """The same in one sentence."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if name != "servable")
    return (
        f"{machine['date']}, commit {machine['commit']}, {machine['cores']} x {machine['cpu']} "
        f"(load {machine['load_average']} at the start), {machine['memory_gb']} GB, "
        f"Python {machine['python']}, {versions}"
    )


def commit(checkout: Path) -> str:
    """The commit of a checkout, and whether its server is changed."""
    name = _say("git", "-C", str(checkout), "rev-parse", "--short", "HEAD") or "unknown"
    # Without the optional lock nothing is written, so that it may run beside someone's commit.
    changed = _say("git", "--no-optional-locks", "-C", str(checkout), "status", "--porcelain", "--", "server")
    return f"{name} with changes" if changed else name


def _say(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _first_value(path: str, key: str) -> str:
    lines = Path(path).read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "")
