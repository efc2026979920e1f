"""The pages: what their handlers answer over HTTP, and when there are any."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics_parser

from servable.config import monitoring
from servable.config.monitoring import DEFAULT_PATH, MonitoringConfig
from servable.errors import InvalidArgument, NotFound
from servable.http_exchange import HttpRequest
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import ServableId, State, VersionState
from servable.metrics_plane import MetricsPlane
from servable.observability.metrics import Metrics
from servable.routing import Router
from servable.servables import Handle
from tests.batching.fakes import FakeServable


def plane(path=DEFAULT_PATH, *, enabled=True, monitor=None, router=None):
    return MetricsPlane(
        Metrics(), MonitoringConfig(enabled, path), monitor or StateMonitor(), router or Router(), "2.21.0"
    )


def get(handler, target, verb="GET", **headers):
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    return asyncio.run(handler(HttpRequest(verb, target, b"", sent)))


@pytest.mark.behaviour("10.1", "any HTTP method gets the page, as text/plain without charset")
@pytest.mark.parametrize("verb", ["GET", "POST", "OPTIONS", "nonsense"])
def test_any_verb_gets_the_page(verb):
    reply = get(plane().rest_handlers()[DEFAULT_PATH], DEFAULT_PATH, verb)
    assert (reply.status, reply.content_type) == (200, "text/plain")
    assert b"\n# TYPE :tensorflow:serving:request_count counter\n" in reply.body


@pytest.mark.behaviour("10.1", "a query is refused: Unexpected path")
def test_a_query_is_refused_as_in_the_original():
    reply = get(plane("/m").rest_handlers()["/m"], "/m?a=b")
    assert (reply.status, reply.content_type) == (400, "text/plain")
    assert reply.body == b"Unexpected path: /m?a=b. Should be /m"


@pytest.mark.behaviour("10.1", "metrics are not served unless they are enabled")
def test_the_rest_port_has_no_page_unless_the_config_enables_it():
    assert plane(enabled=False).rest_handlers() == {}


def test_a_port_of_its_own_serves_the_page_at_both_paths_whatever_the_config_says():
    handler = plane("/m", enabled=False).port_handler()
    assert [get(handler, path).status for path in ("/m", "/metrics", "/metrics?name=x", "/m?a", "/")] == [
        200,
        200,
        200,
        400,
        404,
    ]


def test_open_metrics_is_sent_to_who_asks_for_it():
    reply = get(plane().port_handler(), "/metrics", accept="application/openmetrics-text; version=1.0.0")
    assert (reply.status, reply.content_type) == (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    families = {family.name for family in openmetrics_parser.text_string_to_metric_families(reply.body.decode())}
    assert {"servable_build_info", "process_cpu_seconds", ":tensorflow:serving:request_count"} <= families


@pytest.mark.parametrize(
    ("text", "config"),
    [
        ("prometheus_config { enable: true }", MonitoringConfig(True, DEFAULT_PATH)),
        ("prometheus_config { enable: true path: '/m' }", MonitoringConfig(True, "/m")),
        ("prometheus_config { path: '/m' }", MonitoringConfig(False, "/m")),
        ("# nothing", MonitoringConfig()),
    ],
)
@pytest.mark.behaviour("10.1", "monitoring_config_file: enable, and a path, by default /monitoring/prometheus/metrics")
def test_a_config_says_whether_and_where(text, config, tmp_path):
    file = tmp_path / "monitoring"
    file.write_text(text)
    assert monitoring.from_flag(str(file)) == config


def test_without_a_file_nothing_is_served():
    assert monitoring.from_flag("") == MonitoringConfig(False, "/monitoring/prometheus/metrics")


def test_a_file_that_does_not_parse_is_refused(tmp_path, capsys):
    file = tmp_path / "monitoring"
    file.write_text("prometheus_config { enabled: true }")
    with pytest.raises(InvalidArgument, match="Invalid protobuf file"):
        monitoring.from_flag(str(file))
    assert "MonitoringConfig" in capsys.readouterr().err
    with pytest.raises(NotFound):
        monitoring.from_flag(str(tmp_path / "missing"))


def test_versions_are_counted_by_state_and_failed_ones_apart():
    monitor = StateMonitor()
    measured = plane(monitor=monitor)
    states = [State.AVAILABLE, State.AVAILABLE, State.LOADING, State.END]
    for number, state in enumerate(states):
        monitor.publish(ServableId("m", number), VersionState(state))
    monitor.publish(ServableId("m", 9), VersionState(State.END, NotFound("gone")))
    text = measured.write().decode()
    found = {state: f'servable_versions{{model_name="m",state="{state}"}} ' for state in ("available", "loading")}
    assert found["available"] + "2\n" in text
    assert found["loading"] + "1\n" in text
    assert 'servable_versions{model_name="m",state="failed"} 1\n' in text
    assert 'servable_versions{model_name="m",state="end"} 1\n' in text


def test_what_a_load_took_is_told_as_long_as_its_version_serves():
    router = Router()
    measured = plane(router=router)
    version = measured.measuring(lambda path: FakeServable(None))(Path("/m/1"))
    load = measured.load_of(version)
    assert load.seconds >= 0
    assert load.resident_bytes >= 0
    handle = Handle("m", 1, version)
    router.add(handle)
    assert 'servable_version_load_seconds{model_name="m",version="1"}' in measured.write().decode()
    router.remove(handle)
    assert "servable_version_load_seconds{" not in measured.write().decode()
