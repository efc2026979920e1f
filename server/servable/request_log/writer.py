"""The thread that writes: entries from the queue into the files of their logs."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from servable.config.models import Collector
from servable.errors import Code
from servable.observability.families import Labels
from servable.request_log import uploads
from servable.request_log.entries import Entry, EntryQueue
from servable.request_log.files import Events, Limits, LogFiles, Models
from servable.request_log.json_lines import json_line
from servable.request_log.records import tf_record
from servable.request_log.uploads import FsspecStore, Store, Uploads

_log = logging.getLogger(__name__)
# After a failure a file is tried again so much later; entries that come meanwhile are dropped without a try.
_RETRY_S: Final = 1.0
# The last files of a log that is no longer configured get so long to come to their store.
_CLOSE_S: Final = 2.0
# After a stop that came to its bound, to say what is left.
_LAST_WORDS_S: Final = 0.5
_STATUS_OF_REASON: Final = {"queue": Code.RESOURCE_EXHAUSTED, "stop": Code.CANCELLED, "record": Code.INTERNAL}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all logs of a server.

    Attributes:
        limits: Of the files of each log.
        saved_model_tags: Are told in each record.
        most_entries: So many calls may wait to be written.
        most_bytes: They may take as much memory.
    """

    limits: Limits
    saved_model_tags: Sequence[str] = ()
    most_entries: int = 10_000
    most_bytes: int = 64 << 20


class Counts:
    """What was written and what was not. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._dropped: Counter[Labels] = Counter()
        self._statuses: Counter[Labels] = Counter()

    def note_written(self, model: str) -> None:
        """Count a record that is in a file."""
        with self._lock:
            self._statuses[model, Code.OK.name] += 1

    def note_dropped(self, model: str, reason: str, count: int = 1) -> None:
        """Count calls that were sampled and have no record."""
        status = _STATUS_OF_REASON.get(reason, Code.UNAVAILABLE)
        with self._lock:
            self._dropped[model, reason] += count
            self._statuses[model, status.name] += count

    def note_lost(self, reason: str, models: Models) -> None:
        """Count records that were in a file which is gone."""
        with self._lock:
            for model, count in models.items():
                self._dropped[model, reason] += count

    def dropped(self) -> Mapping[Labels, float]:
        """How many, by model and reason."""
        with self._lock:
            return dict(self._dropped)

    def statuses(self) -> Mapping[Labels, float]:
        """How many calls were sampled, by model and the name of a code: OK if they were written."""
        with self._lock:
            return dict(self._statuses)


class _Log:
    """The files of one collector, and whether they can be written."""

    def __init__(self, collector: Collector, limits: Limits, counts: Counts, make_store: Callable[[str], Store]):
        suffix, self._name, self._counts = f".{collector.type}", collector.prefix, counts
        self._uploads: Uploads | None = None
        self._retry_at_s = 0.0
        self._is_failing = False
        on_lost = partial(counts.note_lost, "disk")
        if not uploads.is_remote(collector.prefix):
            self._files = LogFiles(uploads.local_path(collector.prefix), suffix, limits, Events(lost=on_lost))
            return
        folder, name = uploads.split(collector.prefix)
        self._uploads = Uploads(collector.prefix, partial(make_store, folder), partial(counts.note_lost, "store"))
        events = Events(self._uploads.add, self._uploads.note_removed, on_lost)
        self._files = LogFiles(f"{self._uploads.folder}/{name}", suffix, limits, events)

    @property
    def due_s(self) -> float | None:
        return self._files.due_s

    def append(self, record: bytes, model: str) -> None:
        if time.monotonic() < self._retry_at_s:
            self._counts.note_dropped(model, "disk")
            return
        try:
            self._files.append(record, model)
        except OSError as error:
            self._counts.note_dropped(model, "disk")
            self._note_failure(error)
            return
        self._counts.note_written(model)
        if self._is_failing:
            self._is_failing = False
            _log.info("The request log %s is written again", self._name)

    def finish_if_due(self, now_s: float) -> None:
        try:
            self._files.finish_if_due(now_s)
        except OSError as error:
            self._note_failure(error)

    def close(self, longest_wait_s: float) -> None:
        try:
            self._files.finish()
        except OSError as error:
            self._note_failure(error)
        if self._uploads is not None:
            self._uploads.stop(longest_wait_s)

    def _note_failure(self, error: OSError) -> None:
        self._retry_at_s = time.monotonic() + _RETRY_S
        if not self._is_failing:
            _log.warning(
                "The request log %s cannot be written (%s): requests are dropped until it can",
                self._name,
                error.strerror or type(error).__name__,
            )
        self._is_failing = True


class Writer:
    """Writes entries until it is stopped."""

    def __init__(
        self, waiting: EntryQueue, settings: Settings, counts: Counts, make_store: Callable[[str], Store] = FsspecStore
    ) -> None:
        """Write nothing yet.

        Args:
            waiting: The entries.
            settings: Bound the files.
            counts: Of what is written and what is not.
            make_store: Connects to the folder of a URI.
        """
        self._waiting, self._settings, self._counts, self._make_store = waiting, settings, counts, make_store
        self._logs: dict[Collector, _Log] = {}
        self._collectors: Collection[Collector] = frozenset()
        self._ends_s = float("inf")
        self._thread = threading.Thread(target=self._run, name="request log", daemon=True)

    def start(self) -> None:
        """Start the thread; a second time does nothing."""
        if self._thread.ident is None:
            self._thread.start()

    def keep(self, collectors: Collection[Collector]) -> None:
        """Finish the files of all other collectors, once what waits has been written."""
        self._collectors = frozenset(collectors)
        self._waiting.wake()

    def stop(self, longest_wait_s: float) -> None:
        """Write what waits, as far as the time allows, and finish all files."""
        self._ends_s = time.monotonic() + longest_wait_s
        self._waiting.close()
        if self._thread.is_alive():
            self._thread.join(longest_wait_s + _LAST_WORDS_S)

    def _run(self) -> None:
        while not self._waiting.is_done and time.monotonic() < self._ends_s:
            entry = self._waiting.take(self._due_s())
            if entry is not None:
                self._write(entry)
                # It may be large, and the next may be long in coming.
                del entry
            else:
                self._close_unused()
            self._finish_due()
        for entry in self._waiting.drain():
            self._counts.note_dropped(entry.model, "stop")
        for log in self._logs.values():
            log.close(self._ends_s - time.monotonic())

    def _due_s(self) -> float | None:
        return min((log.due_s for log in self._logs.values() if log.due_s is not None), default=None)

    def _finish_due(self) -> None:
        now_s = time.monotonic()
        for log in self._logs.values():
            log.finish_if_due(now_s)

    def _close_unused(self) -> None:
        for collector in [each for each in self._logs if each not in self._collectors]:
            self._logs.pop(collector).close(_CLOSE_S)

    def _write(self, entry: Entry) -> None:
        try:
            record = (
                json_line(entry)
                if entry.collector.type == "jsonl"
                else tf_record(entry, self._settings.saved_model_tags)
            )
        except Exception as error:
            # Its text may quote what the caller sent.
            _log.debug("A request for %s cannot be logged: %s", entry.model, type(error).__name__)
            self._counts.note_dropped(entry.model, "record")
            return
        if record is None:
            return
        log = self._logs.get(entry.collector)
        if log is None:
            log = self._logs[entry.collector] = _Log(
                entry.collector, self._settings.limits, self._counts, self._make_store
            )
        log.append(record, entry.model)
