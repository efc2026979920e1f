"""What a tracer keeps of a call that has been answered, until its spans are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from servable import calls
from servable.calls import BatchRecord, CallContext, CallRecord, MethodInfo
from servable.errors import Code
from servable.tracing import traceparent
from servable.tracing.traceparent import TraceParent

# What is not understood is not kept, and what is understood is shorter.
_MOST_CHARACTERS: Final = 8192
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Sent:
    """The trace context that a call came with, as text.

    Attributes:
        traceparent: The header; None if there is none, or several.
        tracestate: The headers of that name, in order.
    """

    traceparent: str | None
    tracestate: tuple[str, ...] = ()

    def parent(self) -> TraceParent | None:
        """The caller's place in its trace; None if it has none."""
        return None if self.traceparent is None else traceparent.parse(self.traceparent)


NOTHING_SENT: Final = Sent(None)


def read_sent(context: CallContext) -> Sent:
    """What a call came with. As the standard has it, several `traceparent` are as none."""
    parents, states = [], []
    for name, value in context.metadata():
        if name == traceparent.TRACEPARENT and isinstance(value, str):
            parents.append(value)
        elif name == traceparent.TRACESTATE and isinstance(value, str) and len(value) <= _MOST_CHARACTERS:
            states.append(value)
    return Sent(parents[0], tuple(states[:32])) if len(parents) == 1 else NOTHING_SENT


@dataclass(frozen=True, slots=True)
class Taken:
    """A call, without what it held on to. Times are those of its CallRecord.

    Attributes:
        own: The place of its server span in the trace.
        sent: What it came with.
        peer: The caller's address in gRPC's syntax.
    """

    own: TraceParent
    sent: Sent
    method: MethodInfo
    peer: str
    model: str
    version: int
    signature: str
    began_ns: int
    began_s: float
    dispatched_s: float
    run_began_s: float
    run_ended_s: float
    ended_s: float
    batch: BatchRecord | None
    code: Code
    request_bytes: int
    reply_bytes: int

    def at_ns(self, time_s: float) -> int:
        """A time of time.monotonic as nanoseconds since 1970, by the clock as it was when the call began."""
        return self.began_ns + round(1e9 * (time_s - self.began_s))

    @property
    def has_run(self) -> bool:
        """Whether all its steps are known."""
        return self.dispatched_s > 0.0


def take(record: CallRecord, sent: Sent) -> Taken | None:
    """What is kept of a call; None if its trace is not recorded."""
    own = None if record.traceparent is None else traceparent.parse(record.traceparent)
    if own is None:
        return None
    return Taken(
        own,
        sent,
        record.method,
        record.context.peer(),
        record.model[:_LONGEST_NAME],
        record.version,
        record.signature[:_LONGEST_NAME],
        record.began_ns,
        record.began_s,
        record.dispatched_s,
        record.run_began_s,
        record.run_ended_s,
        record.ended_s,
        record.batch,
        record.code,
        record.request_bytes,
        record.reply_bytes,
    )


UNASKED: Final = frozenset({calls.Action.METRICS, calls.Action.CONSOLE})
"""What is called by the second without anybody who asks for traces: recorded only if a caller's trace is."""
