"""The spans of calls, made by the OpenTelemetry SDK after the calls, with the times at which things happened.

The provider is this module's own: the global one belongs to whoever else is in the process. Only this module and
`exporting` import opentelemetry; both are imported once traces are on.
"""

from __future__ import annotations

from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

import servable
from servable.tracing import attributes, traceparent
from servable.tracing.batches import TracedBatch
from servable.tracing.sampling import Sampling
from servable.tracing.taken import Taken
from servable.tracing.traceparent import TraceParent

_NO_STATE: Final = TraceState()


class Spans:
    """Makes spans, and keeps them until they are asked for. Not thread-safe."""

    def __init__(self, resource: Resource, sampling: Sampling) -> None:
        """Make none yet.

        Args:
            resource: Who the spans are of.
            sampling: Makes ids.
        """
        self._ids, self._ended = _Ids(sampling), _Ended()
        # What comes here has been sampled already.
        provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids)
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer("servable", servable.__version__)

    def make_call(self, call: Taken, batch: TracedBatch | None) -> None:
        """Make the span of a call and those of its steps.

        Args:
            call: The call.
            batch: That in which it ran, if it ran in one.
        """
        parent = call.sent.parent()
        state = _NO_STATE if parent is None else TraceState(traceparent.parse_state(call.sent.tracestate))
        self._ids.plan(call.own)
        span = self._tracer.start_span(
            attributes.name_server_span(call),
            # Not None, which would be the current context of the thread.
            Context() if parent is None else _context(parent, state, is_remote=True),
            SpanKind.SERVER,
            attributes.describe_call(call),
            start_time=call.at_ns(call.began_s),
        )
        if attributes.is_fault(call):
            span.set_status(Status(StatusCode.ERROR))
        span.end(call.at_ns(call.ended_s))
        if call.has_run:
            self._make_steps(call, _context(call.own, state, is_remote=False), batch)

    def make_batch(self, batch: TracedBatch) -> None:
        """Make the span of a batch, with links to the calls in it.

        It has no parent, since it is the work of several traces (as OpenTelemetry has it for batches).
        """
        first, record = batch.members[0], batch.record
        links = [_link(member.own) for member in batch.members]
        self._ids.plan(batch.own)
        span = self._tracer.start_span(
            "batch",
            Context(),
            attributes=attributes.describe_batch(batch),
            links=links,
            start_time=first.at_ns(record.began_s),
        )
        span.end(first.at_ns(record.ended_s))

    @property
    def count(self) -> int:
        """How many spans have been made that `pop` has not given."""
        return len(self._ended.spans)

    def pop(self) -> list[ReadableSpan]:
        """The spans that have been made, for the last time."""
        ended, self._ended.spans = self._ended.spans, []
        return ended

    def _make_steps(self, call: Taken, parent: Context, batch: TracedBatch | None) -> None:
        self._ids.plan(None)
        steps = (
            ("parse", call.began_s, call.dispatched_s),
            ("queue", call.dispatched_s, call.run_began_s),
            ("run", call.run_began_s, call.run_ended_s),
            ("encode", call.run_ended_s, call.ended_s),
        )
        for name, began_s, ended_s in steps:
            if name == "queue" and ended_s <= began_s:
                continue
            links = [_link(batch.own)] if batch is not None and name == "run" else ()
            span = self._tracer.start_span(name, parent, links=links, start_time=call.at_ns(began_s))
            span.end(call.at_ns(max(began_s, ended_s)))


class _Ids(IdGenerator):
    """Gives the next span the ids that are planned for it."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._planned: TraceParent | None = None

    def plan(self, own: TraceParent | None) -> None:
        """Say which place in its trace the next span has; None: any."""
        self._planned = own

    def generate_span_id(self) -> int:
        return self._sampling.make_span_id() if self._planned is None else self._planned.span_id

    def generate_trace_id(self) -> int:
        return self._sampling.make_trace_id() if self._planned is None else self._planned.trace_id


class _Ended(SpanProcessor):
    """Keeps spans that have ended.

    Attributes:
        spans: In the order of their ends.
    """

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def _span_context(of: TraceParent, state: TraceState, *, is_remote: bool) -> SpanContext:
    return SpanContext(of.trace_id, of.span_id, is_remote, TraceFlags(of.flags), state)


def _context(of: TraceParent, state: TraceState, *, is_remote: bool) -> Context:
    return trace.set_span_in_context(NonRecordingSpan(_span_context(of, state, is_remote=is_remote)), Context())


def _link(to: TraceParent) -> Link:
    return Link(_span_context(to, _NO_STATE, is_remote=False))
