"""The access log: a line a call, for a sample of all calls, and for each that failed or was slow.

A line has the facts of a call and nothing that the caller sent as content: no payload, metadata, token or text of an
error. What names the caller chose (a model's, a peer's) is bounded here and escaped by the log's formats. Calls only
put a few values into a bounded queue; a thread makes the lines, at most so many a second, and says how many it left
out: a flood of errors fills no disk.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from servable.calls import CallContext, CallRecord
from servable.errors import Code
from servable.observability.families import Family, Kind, Labels
from servable.observability.histograms import Histogram
from servable.observability.log import ACCESS_LOGGER

_log = logging.getLogger(ACCESS_LOGGER)

MAX_WAITING: Final = 10_000
_MAX_NAME_CHARS: Final = 200
_SECOND_S: Final = 1.0
_LONGEST_STOP_S: Final = 2.0

Emit = Callable[[logging.LogRecord], None]


@dataclass(frozen=True, slots=True)
class _Line:
    """What is kept of a call until its line is made."""

    fields: Mapping[str, Any]
    traceparent: str | None


@dataclass(slots=True)
class _Counts:
    """Lines by what became of them."""

    written: int = 0
    left_out: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Second:
    """The lines of one second, of which at most so many are written. Not thread-safe."""

    most: int
    began_s: float = 0.0
    taken: int = 0
    untold: int = field(default=0)

    def take(self, now_s: float) -> bool:
        """Whether one more may be written."""
        if now_s - self.began_s >= _SECOND_S:
            self.began_s, self.taken = now_s, 0
        if self.taken >= self.most:
            self.untold += 1
            return False
        self.taken += 1
        return True


class AccessLog:
    """Writes lines about calls; see calls.Follower. Thread-safe."""

    def __init__(  # noqa: PLR0913  The last three are for tests.
        self,
        ratio: float,
        slow_s: float,
        most_per_s: int,
        *,
        emit: Emit = _log.handle,
        clock: Callable[[], float] = time.monotonic,
        choose: Callable[[], float] = random.random,
    ) -> None:
        """Start the thread that makes the lines.

        Args:
            ratio: The share of all calls that have a line, 0 to 1. Those that failed or were slow always have one.
            slow_s: From when on a call is slow, in seconds.
            most_per_s: The most lines in a second.
            emit: Takes the finished records.
            clock: A monotonic clock, in seconds.
            choose: Evenly spread numbers from 0 up to 1, without 1.
        """
        self._ratio, self._slow_s = ratio, slow_s
        self._emit, self._clock, self._choose = emit, clock, choose
        self._lock = threading.Lock()
        self._second, self._counts = _Second(most_per_s), _Counts()
        self._waiting: queue.SimpleQueue[_Line | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="access log", daemon=True)
        self._thread.start()

    def wants(self, _context: CallContext, /) -> bool:
        """Every call, since none is known to be slow before it has ended."""
        return True

    def begin(self, record: CallRecord) -> None:
        """See calls.Follower: nothing is known yet."""

    def note_parsed(self, record: CallRecord, request: Any) -> None:
        """See calls.Follower: what the caller sent is nothing for a log."""

    def take(self, record: CallRecord) -> None:
        """Have a line written about a call, if it is one of those that have one."""
        is_plain = record.code is Code.OK and record.ended_s - record.began_s < self._slow_s
        if is_plain and self._choose() >= self._ratio:
            return
        with self._lock:
            if not self._second.take(self._clock()):
                self._counts.left_out += 1
                return
            if self._waiting.qsize() >= MAX_WAITING:
                self._counts.dropped += 1
                self._second.untold += 1
                return
        self._waiting.put(_Line(_describe(record), record.traceparent))

    def stop(self) -> None:
        """Write what waits, for a moment at most, and end the thread."""
        self._waiting.put(None)
        self._thread.join(_LONGEST_STOP_S)

    def families(self) -> Iterable[Family]:
        """How many lines there were, by what became of them."""
        with self._lock:
            counts = self._counts
            values: dict[Labels, float | Histogram] = {
                ("written",): float(counts.written),
                ("left_out",): float(counts.left_out),
                ("dropped",): float(counts.dropped),
            }
        yield Family("servable_access_log_lines", Kind.COUNTER, ("outcome",), values, "Lines of the access log.")

    def _run(self) -> None:
        told_s = self._clock()
        while True:
            try:
                line = self._waiting.get(timeout=_SECOND_S)
            except queue.Empty:
                pass
            else:
                if line is None:
                    break
                self._write(line)
            if self._clock() - told_s >= _SECOND_S:
                told_s = self._clock()
                self._tell_left_out()
        self._tell_left_out()

    def _write(self, line: _Line) -> None:
        record = _make_record(logging.INFO, f"{line.fields['api']} {line.fields['code']}", line.fields)
        record.traceparent = line.traceparent
        self._emit(record)
        with self._lock:
            self._counts.written += 1

    def _tell_left_out(self) -> None:
        with self._lock:
            count, self._second.untold = self._second.untold, 0
        if count:
            text = f"{count} calls were left out of the access log, which takes {self._second.most} a second"
            self._emit(_make_record(logging.WARNING, text, {"left_out": count}))


def make_access_log(ratio: float, slow_ms: float, most_per_s: int) -> AccessLog | None:
    """The access log that the flags ask for.

    Args:
        ratio: --access_log_ratio; below 0 there is no access log.
        slow_ms: --access_log_slow_ms.
        most_per_s: --access_log_max_per_s.
    """
    return AccessLog(ratio, slow_ms / 1000, most_per_s) if ratio >= 0 else None


def _make_record(level: int, text: str, fields: Mapping[str, Any]) -> logging.LogRecord:
    record = logging.LogRecord(ACCESS_LOGGER, level, __file__, 0, text, None, None)
    record.fields, record.shows_fields = fields, True
    return record


def _describe(record: CallRecord) -> dict[str, Any]:
    method, batch = record.method, record.batch
    described: dict[str, Any] = {
        "api": method.api,
        "entrypoint": method.entrypoint,
        "model": _bounded(record.model),
        "version": record.version,
        "signature": _bounded(record.signature),
        "code": record.code.name,
        "seconds": _seconds(record.began_s, record.ended_s),
        "queue_ms": _milliseconds(record.dispatched_s, record.run_began_s),
        "run_ms": _milliseconds(record.run_began_s, record.run_ended_s),
        "request_bytes": record.request_bytes,
        "reply_bytes": record.reply_bytes,
        "batch_rows": None if batch is None else batch.rows,
        "peer": _bounded(record.context.peer()),
        "principal": _bounded(record.principal),
    }
    # What a call did not come to is left out, so that a line is as short as what happened.
    return {name: value for name, value in described.items() if value not in ("", None)}


def _bounded(name: str) -> str:
    return name if len(name) <= _MAX_NAME_CHARS else f"{name[: _MAX_NAME_CHARS - 3]}..."


def _seconds(since_s: float, until_s: float) -> float | None:
    return round(until_s - since_s, 6) if since_s and until_s else None


def _milliseconds(since_s: float, until_s: float) -> float | None:
    return round((until_s - since_s) * 1000, 3) if since_s and until_s else None
