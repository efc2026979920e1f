"""Finished files brought to a store, by fsspec (`servable[fsspec]`), on a thread of their own.

A store that is slow or fails keeps files waiting in a folder on this host, whose size the log's own bound holds. Used
by the writer's thread, but for the thread that is made here.
"""

from __future__ import annotations

import logging
import queue
import re
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from servable.errors import InvalidArgument
from servable.request_log.files import Models

_log = logging.getLogger(__name__)
_URI: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


class Store(Protocol):
    """Where files are brought. Thread-safe."""

    def put(self, path: Path, name: str) -> None:
        """Write a file under a name, whole or not at all. Raises whatever the store raises."""


class FsspecStore:
    """A folder of a file system that fsspec knows."""

    def __init__(self, uri: str) -> None:
        """Find the file system of a URI.

        Raises:
            InvalidArgument: if fsspec, or its package for the scheme, is not installed.
        """
        try:
            from fsspec.core import url_to_fs

            self._system: Any
            self._system, folder = url_to_fs(uri)
        except (ImportError, ValueError) as error:
            raise InvalidArgument(
                f"Request logs cannot be written to {uri.partition('://')[0]}://: {error}. Install servable[fsspec], "
                "and fsspec's package for this store."
            ) from error
        self._folder = folder.rstrip("/")

    def put(self, path: Path, name: str) -> None:
        """See Store."""
        self._system.makedirs(self._folder, exist_ok=True)
        self._system.put_file(str(path), f"{self._folder}/{name}")


def is_remote(prefix: str) -> bool:
    """Whether a prefix is a URI of something else than a local file."""
    scheme = _URI.match(prefix)
    return scheme is not None and scheme[1].lower() != "file"


def local_path(prefix: str) -> str:
    """The path of a local prefix, which may be a file:// URI."""
    return prefix.partition("://")[2] if _URI.match(prefix) else prefix


def split(prefix: str) -> tuple[str, str]:
    """The folder of a URI, and what the names of the files in it begin with."""
    folder, _, name = prefix.rpartition("/")
    return folder, name


class Uploads:
    """Brings files to a store, one after the other, and removes them here once they are there."""

    def __init__(self, name: str, make_store: Callable[[], Store], on_lost: Callable[[Models], None]) -> None:
        """Start the thread.

        Args:
            name: Of the log, for messages.
            make_store: Connects to the store, on the thread.
            on_lost: Told of the models of records whose file had to be removed before it was there.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="servable-request-log-"))
        self._name, self._make_store, self._on_lost = name, make_store, on_lost
        self._waiting: dict[Path, Models] = {}
        self._lock = threading.Lock()
        self._paths: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._is_stopping = threading.Event()
        self._is_failing = False
        self._store: Store | None = None
        self._thread = threading.Thread(target=self._run, name="request upload", daemon=True)
        self._thread.start()

    def add(self, path: Path, models: Models) -> None:
        """Bring a file to the store when those before it are there."""
        with self._lock:
            self._waiting[path] = dict(models)
        self._paths.put(path)

    def note_removed(self, path: Path) -> None:
        """Give up a file that has been removed to make room."""
        with self._lock:
            models = self._waiting.pop(path, None)
        if models is not None:
            self._on_lost(models)

    def stop(self, longest_wait_s: float) -> None:
        """Bring what waits to the store, but try nothing twice and wait no longer; the rest stays in the folder."""
        self._is_stopping.set()
        self._paths.put(None)
        self._thread.join(max(longest_wait_s, 0))
        with self._lock:
            left = len(self._waiting)
        if left:
            _log.warning("%d files of the request log %s are left in %s", left, self._name, self.folder)
        else:
            self._remove_folder()

    def _remove_folder(self) -> None:
        try:
            self.folder.rmdir()
        except OSError:
            # Something else is in it.
            return

    def _run(self) -> None:
        while (path := self._paths.get()) is not None:
            pause_s = _FIRST_PAUSE_S
            while self._is_waiting(path) and not self._try(path):
                if self._is_stopping.wait(pause_s):
                    break
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _try(self, path: Path) -> bool:
        try:
            self._store = self._store or self._make_store()
            self._store.put(path, path.name)
        except Exception as error:
            if not self._is_waiting(path):
                # It was removed meanwhile.
                return True
            self._note_failure(error)
            return False
        self._note_success(path)
        return True

    def _is_waiting(self, path: Path) -> bool:
        with self._lock:
            return path in self._waiting

    def _note_failure(self, error: Exception) -> None:
        if not self._is_failing:
            # The text of an error of a store may have credentials.
            _log.warning(
                "The store of the request log %s fails (%s): files wait in %s",
                self._name,
                type(error).__name__,
                self.folder,
            )
        self._is_failing = True

    def _note_success(self, path: Path) -> None:
        if self._is_failing:
            _log.info("The store of the request log %s takes files again", self._name)
        self._is_failing = False
        with self._lock:
            self._waiting.pop(path, None)
        path.unlink(missing_ok=True)
