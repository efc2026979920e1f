"""What a snapshot says: rates and quantiles since the one before."""

import numpy as np
import pytest

from servable.console.snapshots import Snapshots, quantile
from servable.observability.families import Family, Kind
from servable.observability.histograms import MICROSECONDS, ROWS, Histogram

REQUEST_LABELS = ("model_name", "status")


class Server:
    """Counts that a test sets, and a clock."""

    def __init__(self):
        self.now_s, self.revision = 100.0, 1
        self.counts = {}
        self.latency_us, self.rows = Histogram(MICROSECONDS), Histogram(ROWS)

    def families(self):
        latency_s = self.latency_us.copy().in_seconds()
        return [
            Family("servable_requests", Kind.COUNTER, REQUEST_LABELS, dict(self.counts)),
            Family("servable_request_seconds", Kind.HISTOGRAM, ("model_name",), {("m",): latency_s}),
            Family("servable_batch_rows", Kind.HISTOGRAM, ("model_name",), {("m",): self.rows.copy()}),
        ]


@pytest.fixture
def server():
    return Server()


@pytest.fixture
def snapshots(server):
    return Snapshots(server.families, lambda: server.revision, lambda: server.now_s)


def test_the_first_snapshot_has_no_rates(server, snapshots):
    server.counts = {("m", "OK"): 5}
    first = snapshots.take()
    assert first["requests"] == 5
    assert not {"requests_per_s", "p50_ms", "cpu_cores"} & first.keys()


def test_rates_are_of_the_time_since_the_last_snapshot(server, snapshots):
    server.counts = {("m", "OK"): 5, ("n", "NOT_FOUND"): 1}
    snapshots.take()
    server.counts = {("m", "OK"): 25, ("n", "NOT_FOUND"): 3, ("m", "INTERNAL"): 2}
    server.now_s += 2
    snapshot = snapshots.take()
    assert snapshot["requests_per_s"] == 12
    assert snapshot["errors_per_s"] == 2


def test_quantiles_are_of_the_requests_since_the_last_snapshot(server, snapshots):
    server.latency_us.add(9e6, 1000)
    snapshots.take()
    server.latency_us.add(2000, 90)
    server.latency_us.add(50_000, 10)
    server.now_s += 1
    snapshot = snapshots.take()
    # Each bucket is 1.8 times as wide as the one before.
    assert 2 / 1.8 <= snapshot["p50_ms"] <= 2 * 1.8
    assert 50 / 1.8 <= snapshot["p99_ms"] <= 50 * 1.8


def test_batches_have_a_mean_and_a_quantile(server, snapshots):
    snapshots.take()
    server.rows.add(1, 10)
    server.rows.add(8, 10)
    server.now_s += 1
    snapshot = snapshots.take()
    assert snapshot["mean_batch_rows"] == 4.5
    assert 4 < snapshot["p99_batch_rows"] <= 8


def test_without_requests_there_is_no_latency(server, snapshots):
    snapshots.take()
    server.now_s += 1
    snapshot = snapshots.take()
    assert snapshot["requests_per_s"] == 0
    assert snapshot["p50_ms"] is snapshot["p99_ms"] is snapshot["mean_batch_rows"] is None


def test_after_a_pause_rates_begin_anew(server, snapshots):
    snapshots.take()
    server.now_s += 3600
    assert "requests_per_s" not in snapshots.take()


def test_a_server_that_counts_nothing_has_snapshots_too():
    snapshots = Snapshots(list, lambda: 7)
    assert (snapshots.take()["requests"], snapshots.take()["revision"]) == (0, 7)


def test_a_quantile_lies_between_the_limits_of_its_bucket():
    values = Histogram(ROWS)
    values.add_all(np.array([3.0] * 100))
    assert 2 < quantile(values, 0.5) <= 4
    assert quantile(values, 1.0) == 4


def test_a_quantile_above_the_last_limit_is_that_limit():
    values = Histogram(ROWS)
    values.add(1e9)
    assert quantile(values, 0.5) == ROWS.limits[-1]


def test_no_values_have_no_quantile():
    assert quantile(None, 0.5) is None
    assert quantile(Histogram(ROWS), 0.5) is None
