"""Spans over OTLP: a real receiver on a gRPC server, configured by the standard variables."""

import os
import threading

import grpc
import pytest

from servable.errors import InvalidArgument
from servable.tracing.tracer import make_tracer
from tests.tracing.collector import Collector, attributes_of
from tests.tracing.records import PARENT_ID, SAMPLED, TRACE_ID, batch, context, record


@pytest.fixture
def collector():
    with Collector() as running:
        yield running


@pytest.fixture
def configure(monkeypatch):
    """Sets the standard variables, and makes a tracer by them that is stopped after the test."""
    made = []
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)

    def make(endpoint, **variables):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "50", **variables}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        made.append(make_tracer("auto"))
        made[-1].start()
        return made[-1]

    yield make
    for tracer in made:
        tracer.stop(0.5)


def follow(tracer, call):
    tracer.begin(call)
    tracer.take(call)


def test_a_collector_gets_the_spans_of_a_call(collector, configure):
    tracer = configure(collector.endpoint, OTEL_SERVICE_NAME="half-plus-two", OTEL_RESOURCE_ATTRIBUTES="a=b")
    follow(tracer, record(batch=batch(1)))
    spans = collector.wait_for_names("batch", "encode")
    by_name = {span.name: span for span in spans}
    server = by_name["tensorflow.serving.PredictionService/Predict"]
    assert server.trace_id == TRACE_ID.to_bytes(16, "big")
    assert server.parent_span_id == PARENT_ID.to_bytes(8, "big")
    assert attributes_of(server)["servable.model.name"] == "half"
    assert by_name["batch"].links[0].span_id == server.span_id
    assert by_name["run"].links[0].span_id == by_name["batch"].span_id
    assert by_name["run"].parent_span_id == server.span_id
    assert (collector.resource["service.name"], collector.resource["a"]) == ("half-plus-two", "b")


def test_headers_and_compression_are_the_exporter_s_as_the_variables_say(collector, configure):
    tracer = configure(
        collector.endpoint, OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20x", OTEL_EXPORTER_OTLP_COMPRESSION="gzip"
    )
    follow(tracer, record(ran=False))
    assert collector.wait_for_names("tensorflow.serving.PredictionService/Predict")


def test_a_variable_that_the_exporter_cannot_read_is_refused(configure):
    with pytest.raises(InvalidArgument, match="OTEL_EXPORTER_OTLP_"):
        configure("http://127.0.0.1:1", OTEL_EXPORTER_OTLP_TIMEOUT="soon")


def test_of_a_malformed_header_the_log_has_no_text(configure, caplog):
    configure("http://127.0.0.1:1", OTEL_EXPORTER_OTLP_HEADERS='authorization "a secret"')
    assert "malformed" in caplog.text
    assert "secret" not in caplog.text


def test_a_collector_that_is_away_stops_no_stop(configure):
    tracer = configure("http://127.0.0.1:1")
    follow(tracer, record())
    tracer.stop(0.5)
    assert not [each for each in threading.enumerate() if each.name == "traces" and not each.daemon]


def test_a_collector_that_refuses_is_counted(collector, configure):
    collector.code = grpc.StatusCode.PERMISSION_DENIED
    tracer = configure(collector.endpoint)
    follow(tracer, record(ran=False))
    tracer.stop()
    failed = {family.name: family.values for family in tracer.families()}["servable_trace_spans"]["failed",]
    assert failed == 1


def test_a_ratio_of_zero_records_only_what_a_caller_records(collector, configure):
    tracer = configure(collector.endpoint, OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0")
    assert not tracer.wants(context())
    assert tracer.wants(context(("traceparent", SAMPLED)))
