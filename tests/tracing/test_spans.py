"""The spans of calls and batches, as the SDK's in-memory exporter has them."""

from random import Random

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from servable.errors import Code
from servable.tracing import exporting
from servable.tracing.sampling import Sampling
from servable.tracing.settings import TracingSettings
from servable.tracing.spans import Spans
from servable.tracing.tracer import Tracer
from tests.tracing.records import BEGAN_NS, METRICS, PARENT_ID, REST, SAMPLED, TRACE_ID, UNSAMPLED, batch, record


def traced(*records, settings=None, samples=None):
    """The spans of calls, in the order in which they were made."""
    exporter, samples = InMemorySpanExporter(), samples or Sampling(random=Random(1))
    tracer = Tracer(settings or TracingSettings(), samples, Spans(exporting.make_resource(), samples), exporter)
    for each in records:
        assert tracer.wants(each.context)
        tracer.begin(each)
        tracer.take(each)
    tracer.start()
    tracer.stop()
    return exporter.get_finished_spans()


def named(spans, name):
    return [span for span in spans if span.name == name]


def test_a_call_s_span_is_the_caller_s_child_with_the_conventions_of_rpc():
    call = record(state=["a=1,b=2"])
    server, *steps = traced(call)
    assert (server.name, server.kind) == ("tensorflow.serving.PredictionService/Predict", SpanKind.SERVER)
    assert (server.context.trace_id, server.parent.span_id, server.parent.is_remote) == (TRACE_ID, PARENT_ID, True)
    assert call.traceparent == f"00-{TRACE_ID:032x}-{server.context.span_id:016x}-01"
    assert server.context.trace_state.to_header() == "a=1,b=2"
    assert dict(server.attributes) == {
        "rpc.system": "grpc",
        "rpc.service": "tensorflow.serving.PredictionService",
        "rpc.method": "Predict",
        "rpc.grpc.status_code": 0,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.peer.port": 52100,
        "network.type": "ipv4",
        "servable.api": "Predict",
        "servable.model.name": "half",
        "servable.model.version": 3,
        "servable.model.signature": "serving_default",
        "servable.request.size": 10,
        "servable.response.size": 20,
    }
    assert all(step.context.trace_state.to_header() == "a=1,b=2" for step in steps)


def test_a_call_s_steps_are_its_children_with_the_times_at_which_they_were():
    server, *steps = traced(record())
    assert [(step.name, step.kind) for step in steps] == [
        (name, SpanKind.INTERNAL) for name in ("parse", "queue", "run", "encode")
    ]
    assert {step.parent.span_id for step in steps} == {server.context.span_id}
    assert {step.context.trace_id for step in steps} == {TRACE_ID}
    assert len({span.context.span_id for span in (server, *steps)}) == 5
    times_ms = [(span.start_time - BEGAN_NS, span.end_time - BEGAN_NS) for span in (server, *steps)]
    expected_ms = [(0, 700), (0, 100), (100, 300), (300, 600), (600, 700)]
    assert [(round(a / 1e6), round(b / 1e6)) for a, b in times_ms] == expected_ms


def test_a_call_that_waited_for_nothing_has_no_queue_and_one_that_did_not_run_has_no_steps():
    assert [span.name for span in traced(record(run_began_s=100.1))][1:] == ["parse", "run", "encode"]
    assert len(traced(record(ran=False, code=Code.NOT_FOUND))) == 1


def test_a_call_without_parent_begins_a_trace():
    first, second = named(traced(record(sent=None), record(sent=None)), "tensorflow.serving.PredictionService/Predict")
    assert (first.parent, second.parent) == (None, None)
    assert first.context.trace_id != second.context.trace_id


@pytest.mark.parametrize("sent", [SAMPLED[:-1], "x", f"00-{0:032x}-{1:016x}-01"])
def test_a_malformed_parent_is_none_and_neither_is_its_state(sent):
    server = traced(record(sent=sent, state=["a=1"]))[0]
    assert (server.parent, server.context.trace_state.to_header()) == (None, "")


def test_several_parents_are_none():
    call = record()
    call.context = type(call.context)([("traceparent", SAMPLED), ("traceparent", SAMPLED)])
    assert traced(call)[0].parent is None


def test_who_samples_all_records_calls_whose_caller_is_not_recorded_as_its_children():
    server = traced(record(sent=UNSAMPLED), samples=Sampling(follows_parent=False))[0]
    assert (server.parent.span_id, server.context.trace_flags.sampled) == (PARENT_ID, True)


def test_without_the_propagator_the_caller_s_context_is_not_read():
    server = traced(record(sent=UNSAMPLED), settings=TracingSettings(propagates=False))[0]
    assert server.parent is None


@pytest.mark.parametrize(
    ("code", "is_fault"),
    [(code, code.name in {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
     for code in Code],
)  # fmt: skip
def test_over_grpc_the_status_is_an_error_where_the_server_is_at_fault(code, is_fault):
    server = traced(record(code=code, message="a secret"))[0]
    assert server.attributes["rpc.grpc.status_code"] == code
    assert (server.status.status_code is StatusCode.ERROR) is is_fault
    assert server.attributes.get("error.type") == (code.name if is_fault else None)
    assert "a secret" not in server.to_json()


@pytest.mark.parametrize(
    ("code", "status"), [(Code.OK, 200), (Code.NOT_FOUND, 404), (Code.INTERNAL, 500), (Code.UNAVAILABLE, 503)]
)
def test_over_http_the_conventions_of_http_hold(code, status):
    server = traced(record(REST, code=code))[0]
    assert server.name == "POST /v1/models:predict"
    found = server.attributes
    assert (found["http.request.method"], found["http.response.status_code"]) == ("POST", status)
    assert found["http.route"] == "/v1/models:predict"
    assert (server.status.status_code is StatusCode.ERROR) is (status >= 500)


def test_a_page_that_is_read_by_the_second_is_traced_for_a_caller_only():
    assert traced(record(METRICS, sent=None, ran=False)) == ()
    assert len(traced(record(METRICS, ran=False))) == 1


def test_a_batch_is_a_trace_of_its_own_with_links_to_its_members_which_link_to_it():
    of = batch(2)
    spans = traced(record(batch=of), record(sent=None, batch=of))
    (shared,) = named(spans, "batch")
    servers = named(spans, "tensorflow.serving.PredictionService/Predict")
    assert shared.parent is None
    assert shared.context.trace_id not in {server.context.trace_id for server in servers}
    assert [link.context for link in shared.links] == [server.context for server in servers]
    for run in named(spans, "run"):
        assert [link.context for link in run.links] == [shared.context]
    assert shared.attributes["servable.batch.rows"] == 8
    assert servers[0].attributes["servable.batch.members"] == 2
    assert shared.end_time - shared.start_time == pytest.approx(0.3e9, rel=1e-3)


def test_a_batch_of_which_one_member_is_recorded_has_a_span_too():
    spans = traced(record(batch=batch(5)))
    assert len(named(spans, "batch")[0].links) == 1


def test_what_a_caller_makes_up_is_bounded():
    server = traced(record(model="m" * 5000, state=[",".join(f"k{i}={'v' * 200}" for i in range(30))]))[0]
    assert len(server.attributes["servable.model.name"]) == 200
    assert len(server.context.trace_state.to_header()) <= 512


@pytest.mark.parametrize(
    ("peer", "address", "port"),
    [("ipv6:%5B::1%5D:80", "::1", 80), ("ipv6:[::1]:80", "::1", 80), ("unix:", None, None), ("", None, None)],
)
def test_the_peer_s_address_is_told_if_it_has_one(peer, address, port):
    call = record()
    call.context = type(call.context)([("traceparent", SAMPLED)], peer)
    found = traced(call)[0].attributes
    assert (found.get("network.peer.address"), found.get("network.peer.port")) == (address, port)


def test_the_global_provider_is_left_alone():
    before = trace.get_tracer_provider()
    traced(record())
    assert trace.get_tracer_provider() is before


def test_the_resource_says_who_the_server_is(monkeypatch):
    monkeypatch.delenv("OTEL_SERVICE_NAME", raising=False)
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    found = exporting.make_resource().attributes
    assert found["service.name"] == "servable"
    assert found["service.instance.id"] != exporting.make_resource().attributes["service.instance.id"]
    assert {"service.version", "host.name", "process.pid", "telemetry.sdk.name"} <= set(found)


def test_the_standard_variables_win_over_what_is_known(monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=b,host.name=h,deployment.environment.name=test")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "a")
    found = exporting.make_resource().attributes
    assert (found["service.name"], found["host.name"], found["deployment.environment.name"]) == ("a", "h", "test")
