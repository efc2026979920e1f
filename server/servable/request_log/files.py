"""The files of one request log: their names, when one ends and the next begins, and how much they take together.

A file in progress ends in `.part`; one that is finished has its name by a rename, so who collects files sees whole ones
only. Several servers may share a prefix: host, process and start are in the names. What is counted against the bound,
and removed when it is exceeded, are finished files of this prefix that servers on this host wrote; nothing else is ever
touched. Used by one thread.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Final

_IN_PROGRESS: Final = ".part"
# Payloads are for the owner only.
_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700
# Of a prefix that names a folder only.
_DEFAULT_NAME: Final = "requests"

Models = Mapping[str, int]
"""How many records of each model."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a log's files.

    Attributes:
        file_bytes: A file ends when it has as many.
        file_s: It ends after so many seconds.
        total_bytes: What all files may take.
    """

    file_bytes: int
    file_s: float
    total_bytes: int


@dataclass(slots=True, eq=False)
class _OpenFile:
    """A file in progress.

    Attributes:
        path: Where it will be when it is finished.
        descriptor: It is open for writing.
        ends_s: When it is to end (time.monotonic).
        size_bytes: What whole records take in it.
        models: The models of these records.
    """

    path: Path
    descriptor: int
    ends_s: float
    size_bytes: int
    models: Counter[str]

    @property
    def part(self) -> Path:
        return self.path.with_name(self.path.name + _IN_PROGRESS)


def _ignore(_path: Path, _models: Models, /) -> None:
    """What is told of files to nobody."""


@dataclass(frozen=True, slots=True)
class Events:
    """Who is told of files.

    Attributes:
        finished: Of a file that is whole, and of the models of its records.
        removed: Of a file that was removed because all together took too much.
        lost: Of the models of records that were written into a file that somebody else removed.
    """

    finished: Callable[[Path, Models], None] = _ignore
    removed: Callable[[Path], None] = lambda _path: None
    lost: Callable[[Models], None] = lambda _models: None


class LogFiles:
    """Appends records to a series of files."""

    def __init__(self, prefix: str, suffix: str, limits: Limits, events: Events) -> None:
        """Write nothing yet.

        Args:
            prefix: What the paths of the files begin with.
            suffix: What they end in.
            limits: Their bounds.
            events: Who is told of them.
        """
        path = Path(prefix + _DEFAULT_NAME if prefix.endswith("/") else prefix)
        # Absolute, since the working directory may change.
        self._directory = path.parent.absolute()
        host = re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())
        started = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
        self._stem, self._suffix = f"{path.name}.{host}.{os.getpid()}.{started}Z", suffix
        self._ours = re.compile(
            rf"{re.escape(path.name)}\.{re.escape(host)}\.\d+\.\d{{8}}T\d{{12}}Z\.\d{{6,}}{re.escape(suffix)}"
        )
        self._limits, self._events = limits, events
        self._file: _OpenFile | None = None
        self._count = 0

    @property
    def due_s(self) -> float | None:
        """When the file in progress is to end (time.monotonic); None without one."""
        return None if self._file is None else self._file.ends_s

    def append(self, record: bytes, model: str) -> None:
        """Append a record. If it fails, what is on disk ends with a whole record.

        Raises:
            OSError: if it cannot be written.
        """
        self._check_that_it_exists()
        file = self._file or self._open()
        try:
            _write(file.descriptor, record)
        except OSError:
            _truncate(file)
            self.finish()
            raise
        file.size_bytes += len(record)
        file.models[model] += 1

    def finish_if_due(self, now_s: float) -> None:
        """End the file in progress if it is large or old enough.

        Raises:
            OSError: if it cannot get its name.
        """
        file = self._file
        if file is not None and (file.size_bytes >= self._limits.file_bytes or now_s >= file.ends_s):
            self.finish()

    def finish(self) -> None:
        """End the file in progress.

        Raises:
            OSError: if it cannot get its name.
        """
        file, self._file = self._file, None
        if file is None:
            return
        os.close(file.descriptor)
        if not file.models:
            file.part.unlink(missing_ok=True)
            return
        try:
            file.part.rename(file.path)
        except OSError:
            self._events.lost(file.models)
            raise
        self._events.finished(file.path, file.models)

    def _check_that_it_exists(self) -> None:
        """Begin anew after somebody has removed the file: what is written into it would vanish when it is closed."""
        file = self._file
        if file is not None and not os.fstat(file.descriptor).st_nlink:
            self._file = None
            os.close(file.descriptor)
            self._events.lost(file.models)

    def _open(self) -> _OpenFile:
        self._directory.mkdir(_DIRECTORY_MODE, parents=True, exist_ok=True)
        self._remove_oldest()
        self._count += 1
        path = self._directory / f"{self._stem}.{self._count:06d}{self._suffix}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(f"{path}{_IN_PROGRESS}", flags, _FILE_MODE)
        self._file = _OpenFile(path, descriptor, time.monotonic() + self._limits.file_s, 0, Counter())
        return self._file

    def _remove_oldest(self) -> None:
        """Make room for one more file."""
        found = [entry for entry in os.scandir(self._directory) if self._ours.fullmatch(entry.name)]
        stats = [(stat, Path(entry.path)) for entry in found if (stat := _stat(entry)) is not None]
        stats.sort(key=lambda each: each[0].st_mtime_ns)
        left_bytes = sum(stat.st_size for stat, _ in stats)
        for stat, path in stats:
            if left_bytes <= max(self._limits.total_bytes - self._limits.file_bytes, 0):
                return
            path.unlink(missing_ok=True)
            self._events.removed(path)
            left_bytes -= stat.st_size


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """None of a file that is gone: another server may remove files, too, and so does an upload."""
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _truncate(file: _OpenFile) -> None:
    try:
        os.ftruncate(file.descriptor, file.size_bytes)
    except OSError:
        # A reader finds the broken end by its checksum.
        return
