"""How much memory this process may use: what the machine has, or less if a cgroup or a limit of resources says so."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

# Version 1 of cgroups has a number near 2**63 for no limit.
_NO_LIMIT: Final = 1 << 60


def usable_bytes(root: Path = Path("/")) -> int:
    """The least of the limits, as they are now.

    Args:
        root: Where /proc and /sys are.
    """
    return min([_physical_bytes(), *_address_space(), *_cgroups(root)])


def _physical_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _address_space() -> Iterator[int]:
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        yield soft


def _cgroups(root: Path) -> Iterator[int]:
    """The limits of the process's cgroup and of those around it."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _limits(root / "sys/fs/cgroup", path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits(root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes")


def _limits(mount: Path, path: str, name: str) -> Iterator[int]:
    # In a container without a namespace for cgroups the path is the host's, and only the mount's own file is there.
    group = PurePosixPath(path.lstrip("/"))
    for place in (group, *group.parents):
        limit = _read(mount / place / name)
        if limit is not None:
            yield limit


def _read(file: Path) -> int | None:
    """A limit; None for `max`, or if it cannot be read."""
    try:
        limit = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return limit if 0 < limit < _NO_LIMIT else None
