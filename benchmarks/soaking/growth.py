"""What a server's process holds, again and again, and what of it has grown."""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from control_plane.server_process import ServerProcess

_MEMORY_GROWTH: Final = 0.05
_OTHER_GROWTH: Final = 4
_SAMPLE_INTERVAL_S: Final = 0.5


@dataclass(frozen=True)
class Sample:
    """What the server's process has: resident memory in 10^6 bytes, threads, open files; and when (time.monotonic)."""

    at_s: float
    memory_mb: float
    threads: float
    files: float

    @classmethod
    def take(cls, server: ServerProcess) -> Sample:
        """What it has now."""
        process = Path("/proc", str(server.pid))
        threads, files = len(os.listdir(process / "task")), len(os.listdir(process / "fd"))
        return cls(time.monotonic(), server.resident_mb(), threads, files)

    @classmethod
    def median(cls, samples: Sequence[Sample]) -> Sample:
        """The medians of several."""
        columns = ("at_s", "memory_mb", "threads", "files")
        return cls(*(statistics.median(getattr(sample, column) for sample in samples) for column in columns))


def watch(server: ServerProcess, sent: Sequence[Future[Counter[str]]], seconds: float) -> list[Sample]:
    """Samples for so long, or until one of the senders has ended."""
    begun_s, samples = time.monotonic(), []
    while time.monotonic() < begun_s + seconds and not any(each.done() for each in sent):
        samples.append(Sample.take(server))
        time.sleep(_SAMPLE_INTERVAL_S)
    return samples


def find_growth(before: Sample, warm: Sample, end: Sample, after: Sample) -> list[str]:
    """What has grown from the end of the warm-up to the end, or stayed when the clients had left."""
    return [
        *["memory"] * (end.memory_mb > warm.memory_mb * (1 + _MEMORY_GROWTH)),
        *["threads"] * (end.threads > warm.threads + _OTHER_GROWTH),
        *["open files"] * (end.files > warm.files + _OTHER_GROWTH or after.files > before.files + _OTHER_GROWTH),
    ]
