"""deploy/ against a real Prometheus that scrapes a server under load: the dashboard's queries, the rules, the page."""

import json
import re
import subprocess
import threading
from pathlib import Path

import pytest

from tests.conformance.calls import TIMEOUT_S, predict_request, refused
from tests.deploy import manifests, prometheus
from tests.metrics_plane.reading import serve_with_ports
from tests.tools import require

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "servable.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
MODEL = "half_plus_two"
# Whatever else a test asks, a rate over this time has had several scrapes.
RANGE = "[10s]"
VARIABLES = {"$__rate_interval": RANGE[1:-1], "$job": "servable", "$instance": ".*", "$model": ".*"}


@pytest.fixture(scope="module")
def loaded(models, tmp_path_factory):
    """A Prometheus that scrapes a batching server while somebody calls it."""
    program = require("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    batching = folder / "batching"
    batching.write_text("max_batch_size { value: 4 } allowed_batch_sizes: 4")
    with serve_with_ports(models, MODEL, enable_batching=True, batching_parameters_file=str(batching)) as served:
        (port,), over = served.server.metrics_ports, threading.Event()
        caller = threading.Thread(target=call, args=(served, over))
        with prometheus.run(program, folder, f"127.0.0.1:{port}") as running:
            caller.start()
            try:
                yield running
            finally:
                over.set()
                caller.join()


def call(served, over):
    while not over.wait(0.01):
        served.prediction.Predict(predict_request(MODEL, {"x": [1.0, 2.0, 3.0]}), timeout=TIMEOUT_S)
        refused(served.prediction.Predict, predict_request(MODEL, signature="nope"))


def without_variables(expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


@pytest.mark.parametrize(("title", "expression"), QUERIES, ids=[f"{title}-{n}" for n, (title, _) in enumerate(QUERIES)])
def test_each_query_of_the_dashboard_has_samples(loaded, title, expression):
    samples = prometheus.wait_for(lambda: loaded.query(without_variables(expression)))
    values = [float(sample["value"][1]) for sample in samples]
    assert all(value >= 0 for value in values), values


def test_the_dashboard_s_figures_are_those_of_the_load(loaded):
    of_original = 'increase(:tensorflow:serving:request_count{status="OK"}[1m])'
    ours = 'increase(servable_requests_total{status="OK"}[1m])'
    prometheus.wait_for(lambda: loaded.query(f"{of_original} > 10"))
    (padding,) = prometheus.wait_for(
        lambda: loaded.query("rate(servable_padding_rows_total[1m]) / rate(servable_batch_rows_sum[1m])")
    )
    # Three rows are filled up to four.
    assert float(padding["value"][1]) == pytest.approx(0.25, abs=0.02)
    (difference,) = loaded.query(f"sum({of_original}) - sum({ours})")
    assert float(difference["value"][1]) == pytest.approx(0.0, abs=1e-6)


def test_what_the_autoscaler_asks_the_adapter_for_has_a_sample(loaded):
    (values,) = manifests.documents(ROOT / "deploy" / "kubernetes" / "monitoring" / "prometheus-adapter-values.yaml")
    (rule,) = values["rules"]["custom"]
    filled = {"<<.Series>>": rule["name"]["as"], "<<.LabelMatchers>>": 'job="servable"', "<<.GroupBy>>": "instance"}
    query = rule["metricsQuery"]
    for name, value in filled.items():
        query = query.replace(name, value)
    (sample,) = prometheus.wait_for(lambda: loaded.query(query))
    assert float(sample["value"][1]) >= 0


def test_prometheus_takes_the_whole_page_under_the_original_s_names(loaded):
    (target,) = prometheus.wait_for(loaded.targets)
    prometheus.wait_for(lambda: loaded.targets()[0]["health"] == "up")
    assert target["lastError"] == ""
    kinds = loaded.metadata()
    # In OpenMetrics, which Prometheus asks for, a counter of that name is not allowed.
    assert kinds[":tensorflow:serving:request_count"] == "unknown"
    assert kinds[":tensorflow:serving:request_latency"] == "histogram"
    assert kinds["servable_requests"] == "counter"


def test_each_rule_can_be_evaluated_and_each_recording_has_samples(loaded):
    prometheus.wait_for(lambda: all(rule["health"] != "unknown" for rule in loaded.rules()))
    rules = loaded.rules()
    assert [rule["name"] for rule in rules if rule["health"] != "ok"] == []
    recordings = [rule["name"] for rule in rules if rule["type"] == "recording"]
    assert len(recordings) >= 7
    for name in recordings:
        prometheus.wait_for(lambda name=name: loaded.query(name))
    assert {rule["name"] for rule in rules if rule["type"] == "alerting" and rule["state"] == "firing"} == set()


def test_alerts_fire_when_they_should_and_only_then(tmp_path):
    promtool = require("promtool")
    cases = (Path(__file__).parent / "rules_test.yml").read_text()
    recording, alerting = (ROOT / "deploy" / "prometheus" / f"{kind}_rules.yml" for kind in ("recording", "alerting"))
    file = tmp_path / "cases.yml"
    file.write_text(cases.replace("RECORDING_RULES", str(recording)).replace("ALERTING_RULES", str(alerting)))
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_the_files_of_deploy_right():
    promtool = require("promtool")
    config = ROOT / "deploy" / "prometheus" / "prometheus.yml"
    done = subprocess.run(
        [promtool, "check", "config", config], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_case():
    rules = (ROOT / "deploy" / "prometheus" / "alerting_rules.yml").read_text()
    cases = (Path(__file__).parent / "rules_test.yml").read_text()
    for name in re.findall(r"alert: (\w+)", rules):
        assert f'alertname="{name}"' in cases


def test_the_dashboard_names_no_metric_that_docs_do_not():
    documented = (ROOT / "docs" / "metrics.md").read_text()
    for _, expression in QUERIES:
        for name in re.findall(r"(?:servable|process|python|:tensorflow)[a-z_:]+(?=[{\[])", expression):
            assert re.sub(r"_(bucket|sum|count)$", "", name) in documented or name in documented
