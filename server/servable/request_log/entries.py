"""A call as it waits to be written, and the bounded queue of those that wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from servable.config.models import Collector
from servable.errors import Code

# What an entry takes beside its messages.
_ENTRY_BYTES: Final = 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen of the arrays of a request that did not come as TensorFlow Serving's own message.

    Attributes:
        inputs: The arrays by the aliases of the signature; copies, since a graph may write into what it is fed.
        outputs: The tensorflow.DataType of each output by its alias, in the order of the signature.
    """

    inputs: Mapping[str, np.ndarray[Any, Any]]
    outputs: Mapping[str, int]

    @property
    def size_bytes(self) -> int:
        """What the arrays take."""
        return sum(_size_bytes(array) for array in self.inputs.values())


def _size_bytes(array: np.ndarray[Any, Any]) -> int:
    if array.dtype != object:
        return array.nbytes
    return array.nbytes + sum(map(len, array.ravel().tolist()))


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One call that is to be written. It holds bytes and copies, and nothing of the version that answered.

    Attributes:
        collector: Where it goes.
        sampling_rate: The share of the model's calls that is logged.
        api: `Predict`, `Classify`, `Regress`, `MultiInference` or `ModelInfer`.
        entrypoint: `GRPC` or `REST`.
        model: The model.
        version: The version that ran; 0 if none did.
        signature: The key of the signature; empty if none or several ran.
        code: How the call ended.
        began_ns: When it began, in nanoseconds since 1970.
        total_s: What it took.
        queue_s: How long its run waited.
        run_s: What that run took.
        batch_rows: The rows of its batch; 0 if it ran alone.
        trace_id: Of its trace; empty without one.
        request: The message: of gRPC, or the body of an HTTP request; None if it is not known.
        reply: The bytes of the reply; None if the call failed.
        sample: Its arrays; None where `request` says all.
    """

    collector: Collector
    sampling_rate: float
    api: str
    entrypoint: str
    model: str
    version: int
    signature: str
    code: Code
    began_ns: int
    total_s: float
    queue_s: float = 0.0
    run_s: float = 0.0
    batch_rows: int = 0
    trace_id: str = ""
    request: bytes | None = None
    reply: bytes | None = None
    sample: Sample | None = None

    @property
    def size_bytes(self) -> int:
        """What it takes in memory, about."""
        arrays = 0 if self.sample is None else self.sample.size_bytes
        return _ENTRY_BYTES + len(self.request or b"") + len(self.reply or b"") + arrays


class EntryQueue:
    """Entries that wait, bounded in number and bytes. Thread-safe; it never blocks those who put."""

    def __init__(self, most_entries: int, most_bytes: int) -> None:
        """Make an empty one."""
        self._most_entries, self._most_bytes = most_entries, most_bytes
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Entry, int]] = deque()
        self._size_bytes = 0
        self._is_closed = False
        self._is_woken = False

    def has_room(self, size_bytes: int) -> bool:
        """Whether an entry of that size would be taken now."""
        return (
            not self._is_closed
            and len(self._waiting) < self._most_entries
            and self._size_bytes + size_bytes <= self._most_bytes
        )

    def put(self, entry: Entry) -> bool:
        """Append an entry; whether there was room for it."""
        size_bytes = entry.size_bytes
        with self._changed:
            if not self.has_room(size_bytes):
                return False
            self._waiting.append((entry, size_bytes))
            self._size_bytes += size_bytes
            self._changed.notify()
        return True

    def take(self, due_s: float | None) -> Entry | None:
        """The next entry; None if there is none at a time (time.monotonic), after `wake`, or if all are taken."""
        with self._changed:
            while not (self._waiting or self._is_closed or self._is_woken):
                timeout_s = None if due_s is None else due_s - time.monotonic()
                if timeout_s is not None and timeout_s <= 0:
                    return None
                self._changed.wait(timeout_s)
            if not self._waiting:
                self._is_woken = False
                return None
            entry, size_bytes = self._waiting.popleft()
            self._size_bytes -= size_bytes
            return entry

    def wake(self) -> None:
        """Let who waits in `take` go on."""
        with self._changed:
            self._is_woken = True
            self._changed.notify()

    def close(self) -> None:
        """Take no more entries; those that wait can still be taken out."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def drain(self) -> Sequence[Entry]:
        """Take all out at once."""
        with self._changed:
            entries = [entry for entry, _ in self._waiting]
            self._waiting.clear()
            self._size_bytes = 0
        return entries

    @property
    def is_done(self) -> bool:
        """Whether it is closed, and empty."""
        return self._is_closed and not self._waiting

    @property
    def size_bytes(self) -> int:
        """What the entries that wait take."""
        return self._size_bytes
