"""OpenTelemetry: calls continue the trace of the program; without opentelemetry nothing is done."""

import asyncio
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, TraceState

from servable_client._core import Call
from servable_client._tracing import traced
from servable_client.errors import NotFound

PREDICT = Call("/tensorflow.serving.PredictionService/Predict", b"a secret", "half")
HAND_MADE = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture
def program():
    """A program's own provider, which is not made the global one, and the spans that it is given."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.spans = exporter.get_finished_spans
    return provider


def traceparent(span):
    context = span.get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def test_a_call_continues_the_current_trace(connect, server, program):
    client = connect(server.address, model="half", metadata={"x-a": "b"})
    with program.get_tracer("program").start_as_current_span("work") as work:
        client.predict(1.0)
    for method in ("GetModelMetadata", "Predict"):
        (asked,) = server.asked(method)
        assert asked.metadata["traceparent"][:35] == traceparent(work)[:35]
        assert asked.metadata["x-a"] == "b"


def test_a_call_outside_of_any_trace_has_no_context(connect, server):
    connect(server.address, model="half").predict(1.0)
    assert "traceparent" not in server.asked("Predict")[0].metadata


def test_a_context_that_is_set_by_hand_wins(connect, server, program):
    client = connect(server.address, model="half")
    with program.get_tracer("program").start_as_current_span("work"):
        client.predict(1.0, metadata={"traceparent": HAND_MADE})
    assert server.asked("Predict")[0].metadata["traceparent"] == HAND_MADE


def test_a_probe_of_health_continues_the_trace_without_a_span(program):
    probe = Call("/grpc.health.v1.Health/Check", b"")
    with (
        program.get_tracer("program").start_as_current_span("work") as work,
        traced(probe, (), "h:1", program) as headers,
    ):
        assert headers == (("traceparent", traceparent(work)),)
    assert [span.name for span in program.spans()] == ["work"]


def test_a_call_has_a_span_that_the_server_s_is_a_child_of(program):
    with traced(PREDICT, (("x-a", "b"),), "host:8500", program) as headers:
        pass
    (span,) = program.spans()
    assert headers == (("x-a", "b"), ("traceparent", traceparent(span)))
    assert (span.name, span.kind, span.status.status_code) == (PREDICT.path[1:], SpanKind.CLIENT, StatusCode.UNSET)
    assert dict(span.attributes) == {
        "rpc.system": "grpc",
        "rpc.service": "tensorflow.serving.PredictionService",
        "rpc.method": "Predict",
        "rpc.grpc.status_code": 0,
        "server.address": "host",
        "server.port": 8500,
        "servable.model.name": "half",
    }


def test_trace_state_is_passed_on(program):
    state = TraceState([("a", "1")])
    of = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1), trace_state=state)
    with trace.use_span(trace.NonRecordingSpan(of)), traced(PREDICT, (), "h:1", program) as headers:
        assert dict(headers)["tracestate"] == "a=1"


@pytest.mark.parametrize("target", ["unix:/a", "a:1, b:2", "x:y"])
def test_a_target_that_is_no_host_and_port_is_told_as_it_is(program, target):
    with traced(PREDICT, (), target, program):
        pass
    (span,) = program.spans()
    assert (span.attributes["server.address"], span.attributes.get("server.port")) == (target, None)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [(NotFound("a secret"), "NOT_FOUND", 5), (asyncio.CancelledError("a secret"), "CancelledError", None)],
)
def test_an_error_is_told_by_its_kind_and_never_by_its_text(program, error, kind, code):
    with pytest.raises(type(error)), traced(PREDICT, (), "h:1", program):
        raise error
    (span,) = program.spans()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes["error.type"], span.attributes.get("rpc.grpc.status_code")) == (kind, code)
    assert span.events == ()
    assert "a secret" not in span.to_json()


def test_without_opentelemetry_nothing_of_it_is_imported():
    script = (
        "import sys; from servable_client import Client\n"
        "from servable_client.testing import FakeModelServer\n"
        "with FakeModelServer() as server, Client(server.address) as client:\n"
        "    client.health()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry') or name.endswith('._tracing')])\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout == "[]\n"
