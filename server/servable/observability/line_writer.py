"""Lines on their way to a file descriptor, written by a thread of their own.

Who logs never waits for the reader of stderr: a pipe that nobody reads, or a disk that is slow, would otherwise stop
every thread that logs, calls among them. What waits is bounded in bytes; beyond that lines are left out and counted,
and once lines can be written again, one says how many are missing. A pipe that was closed or a full disk loses lines,
and nothing else.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

MAX_WAITING_BYTES: Final = 4 << 20
LONGEST_FLUSH_S: Final = 2.0
"""How long the end of the process waits for lines: stderr may be blocked for good."""

_PAUSE_S: Final = 0.01

Written = Callable[[int], None]
"""Is told of bytes that wait no longer."""


class LineWriter:
    """The one thread that writes to a file descriptor. Whole lines, in the order in which they came. Thread-safe.

    Attributes:
        failed: How many lines could not be written.
    """

    def __init__(self, descriptor: int) -> None:
        """Start the thread.

        Args:
            descriptor: Where to write; it stays open.
        """
        self._descriptor = descriptor
        # SimpleQueue.put may be called anywhere, even by a finalizer in the midst of another put.
        self._lines: queue.SimpleQueue[tuple[bytes, Written] | threading.Event] = queue.SimpleQueue()
        self._is_torn = False
        self.failed = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def put(self, line: bytes, written: Written) -> None:
        """Write a line, with its end, after those before it; return at once."""
        self._lines.put((line, written))

    def flush(self, longest_wait_s: float = LONGEST_FLUSH_S) -> bool:
        """Wait until all lines that were put are written, or for the longest wait.

        Returns:
            Whether they are.
        """
        reached = threading.Event()
        self._lines.put(reached)
        return reached.wait(longest_wait_s)

    def _run(self) -> None:
        while True:
            next_ = self._lines.get()
            if isinstance(next_, threading.Event):
                next_.set()
                continue
            line, written = next_
            self._write(line)
            written(len(line))

    def _write(self, line: bytes) -> None:
        rest = memoryview(b"\n" + line if self._is_torn else line)
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
            self._is_torn = False
        except OSError:
            # A pipe that was closed, a full disk. The next line may fare better, and must not continue this one.
            self.failed += 1
            self._is_torn = self._is_torn or len(rest) < len(line)

    def _write_some(self, rest: memoryview) -> int:
        try:
            return os.write(self._descriptor, rest)
        except BlockingIOError:
            # Somebody who shares the descriptor has made it non-blocking, and nothing tells when it takes more.
            time.sleep(_PAUSE_S)
            return 0


class QueuedHandler(logging.Handler):
    """A handler of the standard logging that never waits. Several of them may share a writer, each with a bound.

    Attributes:
        left_out: How many lines were left out, since too many bytes were waiting.
    """

    def __init__(self, writer: LineWriter, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        """Make one.

        Args:
            writer: Writes the lines.
            max_waiting_bytes: The most bytes of this handler's lines that wait.
        """
        super().__init__()
        self.writer, self._max_waiting_bytes = writer, max_waiting_bytes
        # Not the handler's own lock, which logging.shutdown holds while it waits for the writer.
        self._counting = threading.RLock()
        self._waiting_bytes = 0
        self.left_out = self._untold = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record, here and now since it may hold a traceback that holds a model, and have it written.

        Called by logging with the handler's lock held, which may be taken again by the same thread.
        """
        line = f"{self.format(record)}\n".encode(errors="replace")
        if self._waiting_bytes + len(line) > self._max_waiting_bytes:
            self.left_out += 1
            self._untold += 1
            return
        if self._untold:
            count, self._untold = self._untold, 0
            text = f"{count} lines of the log were left out, since stderr did not take them"
            self._put(f"{self.format(_warning(text, count))}\n".encode(errors="replace"))
        self._put(line)

    def flush(self) -> None:
        """Wait until all lines are written, or for LONGEST_FLUSH_S."""
        self.writer.flush()

    def _put(self, line: bytes) -> None:
        with self._counting:
            self._waiting_bytes += len(line)
        self.writer.put(line, self._note_written)

    def _note_written(self, count: int) -> None:
        with self._counting:
            self._waiting_bytes -= count


def _warning(text: str, count: int) -> logging.LogRecord:
    record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)
    record.fields = {"left_out": count}
    return record
