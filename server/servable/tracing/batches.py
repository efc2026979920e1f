"""Batches whose members have been answered in part. Pure.

The members of a batch are answered one after the other, and only some of them are recorded, so that nobody knows when
the last of these has come. So a batch is complete when all its members are there, and due after a while.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from servable.calls import BatchRecord
from servable.tracing.taken import Taken
from servable.tracing.traceparent import SAMPLED, TraceParent

PATIENCE_S: Final = 1.0
"""How long a batch waits for members after its run: their replies take milliseconds."""
_MOST_PENDING: Final = 1024


@dataclass(slots=True, eq=False)
class TracedBatch:
    """A batch that is recorded.

    Attributes:
        own: The place of its span, which is the root of a trace.
        record: When it ran.
        members: Those that have come.
    """

    own: TraceParent
    record: BatchRecord
    members: list[Taken] = field(default_factory=list)


class PendingBatches:
    """The batches that wait for members. Not thread-safe."""

    def __init__(self, make_trace_id: Callable[[], int], make_span_id: Callable[[], int]) -> None:
        """Wait for none yet; the callables make ids."""
        self._make_trace_id, self._make_span_id = make_trace_id, make_span_id
        # By the identity of the record, which is held here, so that no other has the same. In the order of coming.
        self._by_record: dict[int, TracedBatch] = {}

    def add(self, call: Taken, record: BatchRecord) -> TracedBatch:
        """Take in a member; its batch."""
        batch = self._by_record.get(id(record))
        if batch is None:
            own = TraceParent(self._make_trace_id(), self._make_span_id(), SAMPLED)
            batch = self._by_record[id(record)] = TracedBatch(own, record)
        batch.members.append(call)
        return batch

    def pop_due(self, now_s: float) -> list[TracedBatch]:
        """The batches that are complete, have waited for long enough, or are too many; they are forgotten here.

        Args:
            now_s: The time (time.monotonic); infinity for all.
        """
        surplus = len(self._by_record) - _MOST_PENDING
        due = {
            key: batch
            for index, (key, batch) in enumerate(self._by_record.items())
            if index < surplus
            or len(batch.members) >= batch.record.members
            or now_s >= batch.record.ended_s + PATIENCE_S
        }
        for key in due:
            del self._by_record[key]
        return list(due.values())
