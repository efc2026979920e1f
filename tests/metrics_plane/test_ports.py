"""The page over HTTP: on the REST port if the config says so, and on a port of its own."""

import re
import urllib.error
import urllib.request

import pytest

from tests.conformance.calls import TIMEOUT_S, predict_request
from tests.metrics_plane.reading import serve_with_ports

MODEL = "half_plus_two"


@pytest.fixture(scope="module")
def served(models, tmp_path_factory):
    file = tmp_path_factory.mktemp("monitoring") / "config"
    file.write_text('prometheus_config { enable: true path: "/v1/metrics" }')
    with serve_with_ports(models, MODEL, monitoring_config_file=str(file)) as running:
        yield running


def get(port, path):
    """Status, content type and text."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=TIMEOUT_S) as reply:
            return reply.status, reply.headers["Content-Type"], reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read().decode()


@pytest.mark.behaviour("10.1", "the path of the config wins over /v1, and must be equal, case included")
def test_the_rest_port_has_the_page_at_the_path_of_the_config(served):
    (port,) = served.server.http_ports
    status, content_type, text = get(port, "/v1/metrics")
    assert (status, content_type) == (200, "text/plain")
    assert text.startswith("# TYPE :tensorflow:cc:saved_model:load_attempt_count counter\n")
    assert get(port, "/v1/metrics?x")[::2] == (400, "Unexpected path: /v1/metrics?x. Should be /v1/metrics")
    assert get(port, "/V1/metrics")[0] != 200
    assert get(port, "/metrics")[0] == 404


@pytest.mark.behaviour("13.1", "21 testPrometheusEndpoint")
def test_a_request_is_on_the_page_of_both_ports(served):
    served.prediction.Predict(predict_request(MODEL, {"x": [1.0]}), timeout=TIMEOUT_S)
    counts = re.compile(r':tensorflow:serving:request_count\{model_name="half_plus_two",status="OK"\} ([1-9]\d*)\n')
    pages = (
        (served.server.http_ports, "/v1/metrics"),
        (served.server.metrics_ports, "/v1/metrics"),
        (served.server.metrics_ports, "/metrics"),
    )
    for (port,), path in pages:
        assert counts.search(get(port, path)[2])


def test_a_port_that_is_taken_leaves_the_server_without_it(models, served, caplog):
    (taken,) = served.server.metrics_ports
    with serve_with_ports(models, MODEL, metrics_listen=taken) as second:
        assert second.server.metrics_ports == []
        second.prediction.Predict(predict_request(MODEL, {"x": [1.0]}), timeout=TIMEOUT_S)
