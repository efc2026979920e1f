"""Traces of a real server: over gRPC and HTTP, alone and in batches, at a collector and in a real Prometheus."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading

import pytest
from prometheus_client.openmetrics import parser

from tests.conformance.calls import INVALID_ARGUMENT, NOT_FOUND, TIMEOUT_S, predict_request, refused
from tests.deploy import prometheus
from tests.metrics_plane.reading import serve_with_ports
from tests.process.launching import ServerProcess
from tests.tools import require
from tests.tracing.collector import Collector, attributes_of
from tests.tracing.records import PARENT_ID, SAMPLED, TRACE_ID, UNSAMPLED

HALF = "half_plus_two"
PREDICT = "tensorflow.serving.PredictionService/Predict"
STEPS = {"parse", "run", "encode"}


@pytest.fixture
def collector(monkeypatch):
    """A collector that the standard variables name; only calls that a caller samples are recorded."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    with Collector() as running:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", running.endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        yield running


@pytest.fixture(params=[1, 0], ids=["lanes", "public"])
def served(collector, models, request):
    with serve_with_ports(models, HALF, grpc_lanes=request.param) as running:
        yield running


def predict(served, *values, sent=SAMPLED, name=HALF):
    headers = () if sent is None else (("x-a", "b"), ("traceparent", sent), ("tracestate", "a=1"))
    return served.prediction.Predict(predict_request(name, {"x": list(values)}), timeout=TIMEOUT_S, metadata=headers)


def children(spans, parent):
    return {span.name: span for span in spans if span.parent_span_id == parent.span_id}


def test_a_sampled_call_has_a_server_span_in_the_caller_s_trace_and_its_steps(collector, served):
    predict(served, 1.0)
    spans = collector.wait_for_names(PREDICT, *STEPS)
    (server,) = (span for span in spans if span.name == PREDICT)
    assert server.trace_id == TRACE_ID.to_bytes(16, "big")
    assert server.parent_span_id == PARENT_ID.to_bytes(8, "big")
    assert server.trace_state == "a=1"
    steps = children(spans, server)
    assert STEPS <= set(steps) <= {*STEPS, "queue"}
    assert server.start_time_unix_nano <= steps["parse"].start_time_unix_nano
    assert steps["run"].end_time_unix_nano <= steps["encode"].end_time_unix_nano == server.end_time_unix_nano
    found = attributes_of(server)
    assert (found["servable.model.name"], found["servable.model.signature"]) == (HALF, "serving_default")
    assert found["servable.model.version"] > 0
    assert found["network.peer.address"] == "127.0.0.1"


def test_a_call_that_is_not_sampled_leaves_nothing(collector, served):
    for sent in (UNSAMPLED, None):
        predict(served, 1.0, sent=sent)
    predict(served, 1.0)
    spans = collector.wait_for_names(PREDICT, *STEPS)
    assert [span.name for span in spans].count(PREDICT) == 1


def test_a_refused_call_has_its_code_and_not_its_text(collector, served):
    code, text = refused(served.prediction.Predict, predict_request("nope"), metadata=(("traceparent", SAMPLED),))
    (span,) = collector.wait_for_names(PREDICT)
    assert code is NOT_FOUND
    assert attributes_of(span)["rpc.grpc.status_code"] == NOT_FOUND.value[0]
    assert text not in str(span)
    assert span.status.code == 0


def test_a_call_over_http_has_a_span_by_the_conventions_of_http(collector, served):
    (port,) = served.server.http_ports
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    body = json.dumps({"instances": [1.0]})
    connection.request("POST", f"/v1/models/{HALF}:predict", body, {"Traceparent": SAMPLED, "Tracestate": "a=1"})
    assert connection.getresponse().status == 200
    connection.close()
    spans = collector.wait_for_names("POST /v1/models:predict", *STEPS)
    (server,) = (span for span in spans if span.name.startswith("POST"))
    assert server.parent_span_id == PARENT_ID.to_bytes(8, "big")
    assert attributes_of(server)["http.response.status_code"] == 200
    assert set(children(spans, server)) >= STEPS


def test_calls_in_one_batch_share_a_span_that_links_to_them(collector, models, tmp_path):
    batching = tmp_path / "batching"
    batching.write_text(
        "max_batch_size { value: 2 } batch_timeout_micros { value: 30000000 } num_batch_threads { value: 1 }"
    )
    with serve_with_ports(models, HALF, enable_batching=True, batching_parameters_file=str(batching)) as served:
        callers = [threading.Thread(target=predict, args=(served, 1.0)) for _ in range(2)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(TIMEOUT_S)
        spans = collector.wait_for(lambda spans: sum(span.name == "run" for span in spans) == 2 and has_batch(spans))
    (batch,) = (span for span in spans if span.name == "batch")
    servers = [span for span in spans if span.name == PREDICT]
    assert {link.span_id for link in batch.links} == {server.span_id for server in servers}
    assert batch.trace_id not in {server.trace_id for server in servers}
    assert {link.span_id for span in spans if span.name == "run" for link in span.links} == {batch.span_id}
    assert attributes_of(batch)["servable.batch.members"] == 2


def has_batch(spans):
    return any(span.name == "batch" for span in spans)


def test_the_page_has_exemplars_of_sampled_calls(collector, served):
    predict(served, 1.0)
    collector.wait_for_names(PREDICT)
    text = served.server.metrics.write(open_metrics=True).decode()
    found = {
        family.name: sample.exemplar.labels["trace_id"]
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
        if sample.exemplar
    }
    trace_id = f"{TRACE_ID:032x}"
    assert found == dict.fromkeys(
        ("servable_request_seconds", "servable_queue_seconds", "servable_run_seconds"), trace_id
    )
    assert b"trace_id" not in served.server.metrics.write()


def test_a_real_prometheus_stores_the_exemplars(collector, served, tmp_path):
    program = require("prometheus")
    predict(served, 1.0)
    collector.wait_for_names(PREDICT)
    (port,) = served.server.metrics_ports
    flags = ["--enable-feature=exemplar-storage"]
    with prometheus.run(program, tmp_path, f"127.0.0.1:{port}", flags=flags) as running:
        (series,) = prometheus.wait_for(lambda: running.exemplars("servable_request_seconds_bucket"))
    (exemplar,) = series["exemplars"]
    assert exemplar["labels"]["trace_id"] == f"{TRACE_ID:032x}"
    assert float(exemplar["value"]) > 0


CLIENT = """
import sys
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from servable_client import Client

provider = TracerProvider(ALWAYS_ON)
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
with Client(sys.argv[1], model=sys.argv[2], infer=False) as client:
    with trace.get_tracer("program").start_as_current_span("work"):
        client.predict({"x": [1.0]})
"""


def test_a_program_s_span_the_client_s_the_server_s_and_its_steps_are_one_trace(collector, served):
    subprocess.run([sys.executable, "-c", CLIENT, served.address, HALF], check=True, timeout=TIMEOUT_S)
    spans = collector.wait_for(lambda spans: len(spans) >= 6)
    (work,) = (span for span in spans if span.name == "work")
    client = children(spans, work)[PREDICT]
    server = children(spans, client)[PREDICT]
    assert set(children(spans, server)) >= STEPS
    assert len({span.trace_id for span in spans}) == 1
    assert (client.kind, server.kind) == (3, 2)
    assert client.start_time_unix_nano <= server.start_time_unix_nano
    assert server.end_time_unix_nano <= client.end_time_unix_nano + 50_000_000


def test_a_malformed_request_is_traced_too(collector, served):
    code, _ = refused(served.channel.unary_unary(f"/{PREDICT}"), b"\xff\xff", metadata=(("traceparent", SAMPLED),))
    (span,) = collector.wait_for_names(PREDICT)
    assert attributes_of(span)["rpc.grpc.status_code"] == code.value[0]
    assert code is not INVALID_ARGUMENT or span.status.code == 0


def test_a_server_that_is_ended_sends_its_last_spans(collector, models, monkeypatch):
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "600000")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "one-of-many")
    process = ServerProcess(f"--model_base_path={models.base_path(HALF)}", f"--model_name={HALF}")
    try:
        process.wait_until_serving()
        script = (
            "import sys; from servable_client import Client\n"
            "Client(sys.argv[1], model=sys.argv[2]).predict([1.0], metadata={'traceparent': sys.argv[3]})"
        )
        subprocess.run([sys.executable, "-c", script, process.address, HALF, SAMPLED], check=True, timeout=TIMEOUT_S)
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    finally:
        process.kill()
    assert collector.wait_for_names(PREDICT, *STEPS)
    assert collector.resource["service.name"] == "one-of-many"


def test_a_collector_that_does_not_answer_delays_no_call(collector, served):
    collector.may_answer.clear()
    predict(served, 1.0)
    assert collector.asked.wait(TIMEOUT_S)
    for _ in range(100):
        predict(served, 1.0)
    collector.may_answer.set()
    assert collector.wait_for(lambda spans: sum(span.name == PREDICT for span in spans) == 101)
