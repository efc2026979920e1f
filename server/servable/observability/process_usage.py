"""What this process takes of the machine: CPU time and resident memory."""

from __future__ import annotations

import os
import time
from pathlib import Path


def cpu_seconds() -> float:
    """The CPU time of all threads, in user and system mode."""
    return time.process_time()


def resident_bytes() -> int:
    """The resident memory; 0 where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
