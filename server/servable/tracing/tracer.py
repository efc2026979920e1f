"""The follower that makes traces: which calls are recorded, and a thread that makes and sends their spans.

A call that is not recorded costs a look at one character. Of one that is, what is needed is copied into a bounded queue
once it has been answered; the thread `traces` makes the spans of it and gives them to an exporter, which may block for
as long as it likes: what has no room meanwhile is dropped and counted.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from servable.calls import CallContext, CallRecord, find_metadata
from servable.errors import Code, InvalidArgument
from servable.loops import Loop
from servable.observability.exemplars import Exemplar, Exemplars
from servable.observability.families import Family, Kind, Labels
from servable.tracing import sampling, taken
from servable.tracing import settings as tracing_settings
from servable.tracing.batches import PendingBatches
from servable.tracing.sampling import Sampling
from servable.tracing.settings import TracingSettings
from servable.tracing.taken import NOTHING_SENT, Sent, Taken
from servable.tracing.traceparent import LOW_DIGIT, SAMPLED, TRACEPARENT, UNSAMPLED_DIGITS, TraceParent

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

    from servable.tracing.spans import Spans

_log = logging.getLogger(__name__)

LONGEST_STOP_S: Final = 5.0
"""How long `Tracer.stop` waits for a collector that does not answer."""
# Of a collector that is away the tracer tells once, and the exporter each time. Of a header that is malformed
# `settings` tells; this logger would quote it.
_QUIET_LOGGERS: Final = {"opentelemetry.exporter": logging.CRITICAL, "opentelemetry.util.re": logging.CRITICAL}
_RECORDED, _DROPPED, _EXPORTED, _FAILED = "recorded", "dropped", "exported", "failed"


class Tracer:
    """Makes traces of calls; see calls.Follower. Start it once, stop it once."""

    def __init__(
        self,
        settings: TracingSettings,
        samples: Sampling,
        spans: Spans,
        exporter: SpanExporter,
        exemplars: Exemplars | None = None,
    ) -> None:
        """Put it together; the thread does not run yet.

        Args:
            settings: How calls are traced.
            samples: Which calls are.
            spans: Makes the spans.
            exporter: Takes them, on the thread `traces`.
            exemplars: Where the histograms of requests find calls whose traces are recorded.
        """
        self._settings, self._sampling, self._spans, self._exporter = settings, samples, spans, exporter
        self._reads_flags = settings.propagates and samples.follows_parent
        self._exemplars = exemplars or Exemplars()
        self._batches = PendingBatches(samples.make_trace_id, samples.make_span_id)
        self._waiting: deque[Taken] = deque()
        self._lock = threading.Lock()
        self._calls: Counter[Labels] = Counter({(_RECORDED,): 0, (_DROPPED,): 0})
        self._sent: Counter[Labels] = Counter({(_EXPORTED,): 0, (_FAILED,): 0})
        self._is_failing = self._is_stopping = False
        self._loop = Loop("traces", self._take_turn)

    def start(self) -> None:
        """Start the thread."""
        self._loop.start()

    def stop(self, longest_wait_s: float = LONGEST_STOP_S) -> None:
        """Send what is there and end the thread, or leave it to a collector that does not answer."""
        self._is_stopping = True
        ended = self._loop.ask(self._finish)
        self._loop.stop(longest_wait_s)
        if not ended.done():
            _log.warning("traces: the collector does not answer; the last spans are lost")

    def wants(self, context: CallContext) -> bool:
        """See calls.Follower. A malformed `traceparent` that says "not sampled" is believed: it costs one look."""
        if self._reads_flags:
            for name, value in context.metadata():
                if name == TRACEPARENT:
                    return value[LOW_DIGIT] not in UNSAMPLED_DIGITS and self._decide(value)
        elif self._settings.propagates:
            return self._decide(find_metadata(context, TRACEPARENT))
        return self._decide(None)

    def begin(self, record: CallRecord) -> None:
        """Give the call its place in a trace: the caller's, or a new one."""
        parent = self._read_sent(record.context).parent()
        if parent is not None:
            own = TraceParent(parent.trace_id, self._sampling.make_span_id(), parent.flags | SAMPLED)
        elif record.method.action in taken.UNASKED:
            return
        else:
            own = TraceParent(self._sampling.make_trace_id(), self._sampling.make_span_id(), SAMPLED)
        record.traceparent = str(own)

    def note_parsed(self, record: CallRecord, request: Any) -> None:
        """See calls.Follower."""

    def take(self, record: CallRecord) -> None:
        """Queue the call for its spans, or drop it if too many wait."""
        if record.traceparent is None:
            return
        waiting, settings = self._waiting, self._settings
        size = len(waiting)
        if size >= settings.most_waiting:
            self._count(self._calls, _DROPPED)
            return
        call = taken.take(record, self._read_sent(record.context))
        if call is not None:
            waiting.append(call)
            if size + 1 == settings.most_spans:
                # Many at once need not wait for the next turn.
                self._loop.post(_wake)

    def families(self) -> Iterable[Family]:
        """What is counted of traces."""
        with self._lock:
            calls, spans = dict(self._calls), dict(self._sent)
        return (
            Family("servable_trace_calls", Kind.COUNTER, ("result",), calls, "Sampled calls, recorded or dropped."),
            Family("servable_trace_spans", Kind.COUNTER, ("result",), spans, "Spans, exported or failed."),
        )

    def _decide(self, sent: str | bytes | None) -> bool:
        return self._sampling.wants(sent if isinstance(sent, str) else None)

    def _read_sent(self, context: CallContext) -> Sent:
        return taken.read_sent(context) if self._settings.propagates else NOTHING_SENT

    def _count(self, counter: Counter[Labels], result: str, number: int = 1) -> None:
        with self._lock:
            counter[result,] += number

    def _take_turn(self, now_s: float) -> float:
        # Those that come meanwhile wait for the next turn.
        for _ in range(len(self._waiting)):
            began_s = time.thread_time()
            self._trace(self._waiting.popleft())
            self._export(self._settings.most_spans)
            self._rest(time.thread_time() - began_s)
        self._make_batches(now_s)
        self._export(1)
        return now_s + self._settings.delay_s

    def _finish(self) -> None:
        self._take_turn(math.inf)
        self._exporter.shutdown()

    def _rest(self, worked_s: float) -> None:
        """Let others have the interpreter for as long as it was worked in.

        The spans of a call take longer than most calls. So traces take half of a thread's time at most, and no lane
        waits for more than one piece of work.
        """
        if not self._is_stopping:
            time.sleep(worked_s)

    def _trace(self, call: Taken) -> None:
        batch = None if call.batch is None else self._batches.add(call, call.batch)
        self._spans.make_call(call, batch)
        self._count(self._calls, _RECORDED)
        if call.has_run and call.code is Code.OK:
            self._note_exemplars(call)

    def _make_batches(self, now_s: float) -> None:
        for batch in self._batches.pop_due(now_s):
            self._spans.make_batch(batch)
            self._export(self._settings.most_spans)

    def _export(self, at_least: int) -> None:
        """Send what has been made, if it is so many spans."""
        if self._spans.count < at_least:
            return
        spans, most = self._spans.pop(), self._settings.most_spans
        for first in range(0, len(spans), most):
            self._send(spans[first : first + most])

    def _send(self, spans: Sequence[Any]) -> None:
        if self._is_stopping and self._is_failing:
            # Who has just not answered is not waited for again.
            self._count(self._sent, _FAILED, len(spans))
            return
        try:
            has_failed = self._exporter.export(spans).name != "SUCCESS"
        except Exception:
            _log.exception("traces: the exporter failed in an unforeseen way")
            has_failed = True
        self._count(self._sent, _FAILED if has_failed else _EXPORTED, len(spans))
        if has_failed != self._is_failing:
            self._is_failing = has_failed
            if has_failed:
                _log.warning("traces: the collector takes no spans; they are dropped and counted until it does")
            else:
                _log.info("traces: the collector takes spans again")

    def _note_exemplars(self, call: Taken) -> None:
        labels = call.model, call.signature, call.method.api, call.method.entrypoint
        trace_id, span_id = f"{call.own.trace_id:032x}", f"{call.own.span_id:016x}"
        for name, seconds in (
            ("servable_request_seconds", call.ended_s - call.began_s),
            ("servable_queue_seconds", call.run_began_s - call.dispatched_s),
            ("servable_run_seconds", call.run_ended_s - call.run_began_s),
        ):
            exemplar = Exemplar(trace_id, span_id, seconds, call.began_ns * 1e-9)
            self._exemplars.note(name, labels, exemplar)


def make_tracer(
    tracing: str, exemplars: Exemplars | None = None, environment: Mapping[str, str] = os.environ
) -> Tracer | None:
    """A tracer as the flag and the standard OTEL_ variables ask for it. To be made after grpc may be imported.

    Args:
        tracing: The flag --tracing: `true`, `false`, or `auto`.
        exemplars: Where the histograms of requests find calls whose traces are recorded.
        environment: The variables; the OpenTelemetry SDK reads its own from os.environ.

    Returns:
        None if calls are not traced.

    Raises:
        InvalidArgument: if they must be and cannot.
    """
    settings = tracing_settings.read(tracing, environment)
    if settings is None:
        return None
    try:
        from servable.tracing import exporting
        from servable.tracing.spans import Spans
    except ImportError as error:
        advice = f"OpenTelemetry cannot be imported ({error}): pip install 'servable[otel]'"
        if tracing == "true":
            raise InvalidArgument(f"--tracing=true: {advice}.") from None
        _log.warning("calls are not traced, although OTEL_ variables say where to: %s", advice)
        return None
    for name, level in _QUIET_LOGGERS.items():
        logging.getLogger(name).setLevel(level)
    samples = sampling.from_environment(environment)
    try:
        exporter = exporting.make_exporter(settings.exporter)
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"OTEL_EXPORTER_OTLP_: {error}") from None
    return Tracer(settings, samples, Spans(exporting.make_resource(), samples), exporter, exemplars)


def _wake() -> None:
    """The task that makes the loop take a turn."""
