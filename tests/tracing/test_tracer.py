"""The tracer's queue and thread: what has no room is dropped, and a collector that does not answer stops nobody."""

import logging
import threading
import time

from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from servable.observability.exemplars import Exemplars
from servable.tracing import exporting
from servable.tracing.sampling import Sampling
from servable.tracing.settings import TracingSettings
from servable.tracing.spans import Spans
from servable.tracing.tracer import Tracer
from tests.tracing.records import BEGAN_NS, SAMPLED, UNSAMPLED, context, record

PATIENCE_S = 30.0


class Exporter(SpanExporter):
    """Blocks until it may go on, then answers with the next results, at last with success."""

    def __init__(self, *results):
        self.asked, self.may_go_on, self.stopped = threading.Event(), threading.Event(), threading.Event()
        self._results = list(results)
        self.sizes = []

    def export(self, spans):
        self.asked.set()
        self.may_go_on.wait(PATIENCE_S)
        self.sizes.append(len(spans))
        result = self._results.pop(0) if self._results else SpanExportResult.SUCCESS
        if isinstance(result, Exception):
            raise result
        return result

    def shutdown(self):
        self.stopped.set()


def make(exporter, samples=None, exemplars=None, **settings):
    samples = samples or Sampling()
    spans = Spans(exporting.make_resource(), samples)
    return Tracer(TracingSettings(**settings), samples, spans, exporter, exemplars)


def follow(tracer, call):
    tracer.begin(call)
    tracer.take(call)


def counts(tracer):
    return {f"{family.name}:{key}": value for family in tracer.families() for (key,), value in family.values.items()}


def test_a_call_is_wanted_as_its_caller_says():
    tracer = make(InMemorySpanExporter())
    assert tracer.wants(context(("a", "b"), ("traceparent", SAMPLED)))
    assert not tracer.wants(context(("a", "b"), ("traceparent", UNSAMPLED)))
    assert tracer.wants(context())
    assert not make(InMemorySpanExporter(), Sampling(0.0)).wants(context())


def test_a_call_that_nobody_gave_a_place_in_a_trace_is_left_out():
    tracer = make(InMemorySpanExporter())
    tracer.take(record())
    assert counts(tracer)["servable_trace_calls:recorded"] == 0


def test_what_has_no_room_is_dropped_and_counted_and_takes_no_time():
    exporter = Exporter()
    tracer = make(exporter, most_waiting=3, most_spans=1, delay_s=0.01)
    tracer.start()
    follow(tracer, record())
    assert exporter.asked.wait(PATIENCE_S)
    began_s = time.monotonic()
    for _ in range(100):
        follow(tracer, record())
    assert time.monotonic() - began_s < 5
    assert counts(tracer)["servable_trace_calls:dropped"] == 97
    exporter.may_go_on.set()
    tracer.stop()
    found = counts(tracer)
    assert (found["servable_trace_calls:recorded"], found["servable_trace_spans:exported"]) == (4, 20)


def test_a_stop_sends_what_is_there_and_ends_the_exporter():
    exporter = Exporter()
    exporter.may_go_on.set()
    tracer = make(exporter, delay_s=3600, most_spans=30)
    tracer.start()
    for _ in range(20):
        follow(tracer, record())
    tracer.stop()
    assert sum(exporter.sizes) == 100
    assert max(exporter.sizes) <= 30
    assert exporter.stopped.is_set()


def test_many_calls_do_not_wait_for_the_next_turn():
    exporter = Exporter()
    exporter.may_go_on.set()
    tracer = make(exporter, delay_s=3600, most_spans=2)
    tracer.start()
    for _ in range(2):
        follow(tracer, record())
    assert exporter.asked.wait(PATIENCE_S)
    tracer.stop()


def test_a_stop_does_not_wait_for_a_collector_that_does_not_answer(caplog):
    caplog.set_level(logging.WARNING)
    exporter = Exporter()
    tracer = make(exporter)
    tracer.start()
    follow(tracer, record())
    began_s = time.monotonic()
    tracer.stop(0.2)
    assert time.monotonic() - began_s < 5
    assert "does not answer" in caplog.text
    exporter.may_go_on.set()
    assert exporter.stopped.wait(PATIENCE_S)


def test_a_stop_asks_a_collector_that_refuses_once_only():
    exporter = Exporter(*[SpanExportResult.FAILURE] * 10)
    exporter.may_go_on.set()
    tracer = make(exporter, most_spans=5)
    tracer.start()
    for _ in range(4):
        follow(tracer, record())
    tracer.stop()
    assert len(exporter.sizes) <= 2  # a turn of before may have come to one
    assert counts(tracer)["servable_trace_spans:failed"] == 20


def test_the_log_has_a_line_when_the_collector_goes_and_one_when_it_is_back(caplog):
    caplog.set_level(logging.INFO)
    exporter = Exporter(SpanExportResult.FAILURE, OSError("no"), SpanExportResult.FAILURE)
    exporter.may_go_on.set()
    tracer = make(exporter, delay_s=0.01, most_spans=5)
    tracer.start()
    for number in range(1, 5):
        follow(tracer, record())
        wait_for(lambda number=number: len(exporter.sizes) == number)
    tracer.stop()
    told = [each.getMessage() for each in caplog.records if each.exc_info is None]
    assert [text.split(";")[0] for text in told] == [
        "traces: the collector takes no spans",
        "traces: the collector takes spans again",
    ]
    found = counts(tracer)
    assert (found["servable_trace_spans:failed"], found["servable_trace_spans:exported"]) == (15, 5)


def test_calls_that_ran_are_exemplars_of_the_histograms():
    exemplars = Exemplars()
    tracer = make(InMemorySpanExporter(), exemplars=exemplars)
    call = record()
    follow(tracer, call)
    follow(tracer, record(ran=False))
    tracer.start()
    tracer.stop()
    labels = ("half", "serving_default", "Predict", "GRPC")
    for name, seconds in (("request", 0.7), ("queue", 0.2), ("run", 0.3)):
        (found,) = exemplars.of(f"servable_{name}_seconds", labels).values()
        assert (found.trace_id, found.span_id) == tuple(call.traceparent.split("-")[1:3])
        assert round(found.value, 6) == seconds
        assert found.at_s == BEGAN_NS / 1e9


def wait_for(condition):
    ends_s = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < ends_s, "in vain"
        pause.wait(0.01)
