"""Bench: what it sends, counts and prints. Runs are short; their numbers are only compared with themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from servable_client import errors
from servable_client.bench import report
from servable_client.bench.coordinator import Progress, Result
from servable_client.bench.counters import BUCKETS, MAX_NS, Latencies, bucket_of
from servable_client.bench.worker import Plan
from servable_client.testing import Delay

ENV = {"PYTHONPATH": ":".join(sys.path)}


@pytest.fixture
def bench(server):
    """Runs the command as a process, as users do: it starts processes itself."""

    def bench(*words, status=0):
        command = [
            sys.executable,
            "-m",
            "servable_client.cli",
            "bench",
            f"-a{server.address}",
            "-mhalf",
            "--warmup=0",
            *words,
        ]
        found = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False, timeout=60)
        assert found.returncode == status, found.stderr
        return found

    return bench


def counts_of(latencies_ns):
    return Latencies(np.bincount([bucket_of(each) for each in latencies_ns], minlength=BUCKETS))


@pytest.mark.parametrize("latency_ns", [0, 1, 127, 128, 255, 256, 1000, 123_456, 7_654_321, 10**9, 10**11, MAX_NS])
def test_a_bucket_is_at_most_a_128th_wide(latency_ns):
    upper_s = counts_of([latency_ns]).percentile_s(100)
    assert latency_ns / 1e9 < upper_s <= (latency_ns + 1 + latency_ns / 128) / 1e9


def test_buckets_are_in_the_order_of_latencies():
    buckets = [bucket_of(int(each)) for each in np.geomspace(1, MAX_NS, 5000)]
    assert buckets == sorted(buckets)
    assert bucket_of(MAX_NS + 1) == bucket_of(MAX_NS) == BUCKETS - 1
    assert bucket_of(-1) == 0


def test_percentiles_are_those_of_the_values():
    values = np.random.default_rng(1).lognormal(14, 1, 20_000).astype(int)
    found = counts_of(values.tolist())
    for percent in (1, 50, 90, 99, 99.9, 100):
        exact = np.percentile(values, percent, method="inverted_cdf") / 1e9
        assert found.percentile_s(percent) == pytest.approx(exact, rel=0.01)
    assert found.mean_s() == pytest.approx(values.mean() / 1e9, rel=0.01)


def test_the_rows_of_a_histogram_hold_every_call_once():
    found = counts_of([5, 70, 900, 11_000, 11_000, 2_000_000])
    rows = found.rows()
    assert sum(row.count for row in rows) == 6
    assert all(a.to_s == b.from_s for a, b in pairwise(rows))
    assert counts_of([]).rows() == []
    assert counts_of([]).percentile_s(99) == counts_of([]).mean_s() == 0.0


def test_a_closed_loop_reports_what_the_server_saw(bench, server):
    found = json.loads(bench("-d0.5", "-c3", "--json", "x=[1, 2]").stdout)
    # One call to try the request, and one for each process to connect.
    assert len(server.asked()) == found["succeeded"] + 2
    assert all(request.inputs["x"].tolist() == [1.0, 2.0] for request in server.asked())
    assert found["statuses"] == {"OK": found["succeeded"]}
    assert sum(row["count"] for row in found["histogram"]) == found["succeeded"] > 0
    assert found["rate"] == pytest.approx(found["succeeded"] / found["elapsed_s"])
    assert 0 < found["latency_s"]["p50"] <= found["latency_s"]["p99"] <= found["latency_s"]["max"]


def test_several_processes_share_the_slots(bench, server):
    found = json.loads(bench("-d0.3", "-c3", "--processes=2", "--json", "x=1").stdout)
    assert (found["processes"], found["concurrency"]) == (2, 3)
    assert len(server.asked()) == found["succeeded"] + 3


def test_calls_that_fail_are_counted_by_their_code(bench, server):
    def fail_at_times(x):
        if len(server.asked()) % 2 == 0:
            raise errors.ResourceExhausted("full")
        return {"y": x}

    server.model("half").predict(fail_at_times)
    found = json.loads(bench("-d0.3", "-c1", "--json", "x=1").stdout)
    assert set(found["statuses"]) == {"OK", "RESOURCE_EXHAUSTED"}
    assert found["statuses"]["OK"] == found["succeeded"]


def test_at_a_rate_a_stall_counts_for_every_call_that_it_held_up(bench, server):
    # Tried, connected, and then the third call takes 0.3 s, while 100 calls a second are due on one slot.
    server.misbehave(Delay(0), times=2, method="Predict")
    server.misbehave(Delay(0.3), method="Predict")
    found = json.loads(bench("-d0.6", "-r100", "-c1", "--json", "x=1").stdout)
    assert found["latency_s"]["max"] >= 0.3
    # A closed loop would have one slow call in 30 and more; here about half of the calls had to wait.
    assert found["latency_s"]["p75"] > 0.05


def test_a_rate_that_is_out_of_reach_is_reported(bench, server):
    server.misbehave(Delay(0.1), times=None, method="Predict")
    out = bench("-d0.5", "-r200", "-c2", "x=1").stdout
    assert "calls could not be sent before the end" in out
    assert "the rate of 200/s was not reached" in out


def test_a_rate_is_kept(bench, server):
    found = json.loads(bench("-d1", "-r50", "--json", "x=1").stdout)
    assert found["succeeded"] == 50
    assert found["unsent"] == 0


def test_warming_up_is_not_counted(bench, server):
    found = json.loads(bench("-d0.2", "--warmup=0.3", "-r50", "--json", "x=1").stdout)
    assert len(server.asked()) >= found["succeeded"] + 5


def test_without_inputs_zeros_of_the_signatures_shape_are_sent(bench, server):
    shapes = {"x": ("float32", [None, 3]), "t": ("string", [None])}
    server.model("half").predict(lambda x, t: {"y": x}, inputs=shapes)
    bench("-d0.1", "--batch=2")
    request = server.asked()[0]
    assert request.inputs["x"].tolist() == [[0.0] * 3] * 2
    assert request.inputs["t"].tolist() == [b"", b""]


def test_what_is_wrong_is_reported_in_one_line_before_anything_is_measured(bench, server):
    assert bench(status=1).stderr == "servable-client: input 'x' has no known rank: pass x=...\n"
    assert "the signature has no such input" in bench("z=1", status=1).stderr
    server.misbehave(errors.Internal("broken"), method="Predict")
    assert "INTERNAL: broken" in bench("x=1", status=1).stderr
    assert "expected 1 or more" in bench("-c0", status=2).stderr


def test_ctrl_c_ends_a_run_with_what_it_has(server):
    command = [
        sys.executable,
        "-m",
        "servable_client.cli",
        "bench",
        f"-a{server.address}",
        "-mhalf",
        "-d60",
        "--warmup=0",
        "x=1",
    ]
    process = subprocess.Popen(
        command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        server.wait_for(20, timeout_s=30)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert "interrupted before the end" in out
    assert "p99" in out


@pytest.fixture
def plan():
    return Plan(None, "/Predict", b"", (), 1.0, 5, None, 1.0, 0.0, 2)


def test_slots_are_dealt_out_to_all_processes(plan):
    assert [plan.slots(worker) for worker in range(2)] == [3, 2]


def test_the_progress_line_reports_rate_latency_and_failures():
    line = report.progress_line(Progress(2.0, counts_of([1_000_000] * 10), 3))
    assert line == "  2.0 s  10 calls, 5/s  p50 1.004 ms, p99 1.004 ms  3 failed"
    assert report.progress_line(Progress(-0.5, counts_of([]), 0)) == "warming up"


def test_a_sender_that_was_busy_all_the_time_says_so(plan):
    result = Result(1.0, counts_of([1000]), {"OK": 1}, 0, 1.95, is_whole=True)
    assert "try more --processes" in report.as_text(plan, result)
    assert "try more" not in report.as_text(plan, Result(1.0, counts_of([1000]), {"OK": 1}, 0, 0.5, is_whole=True))
