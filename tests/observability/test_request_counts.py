"""Counts of requests: each once, nothing lost between threads, and bounded whatever callers send."""

import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from servable.errors import Code, Internal, NotFound
from servable.observability import request_counts
from servable.observability.metrics import Metrics
from servable.observability.request_counts import MethodCounts, RequestCounts

COUNT, LATENCY = "/tensorflow/serving/request_count", "/tensorflow/serving/request_latency"
RUNTIME = "/tensorflow/serving/runtime_latency"
ATTACK = 100_000


@dataclass
class Target:
    model: str = "m"
    signature: str = "s"
    counted: Any = None


def family(metrics, name):
    return next(each for each in metrics.families() if each.name == name)


def answer(method, target, **took_s):
    """Count a request that took so long: `before` its dispatch, in the `queue`, in its `run`, and `after` that."""
    now_s = time.monotonic()
    ended_s = now_s - took_s.get("after", 0.0)
    began_s = ended_s - took_s.get("run", 0.0)
    dispatched_s = began_s - took_s.get("queue", 0.0)
    mark = method.mark(target, dispatched_s - took_s.get("before", 0.0), 10)
    mark[0].note(mark, dispatched_s, began_s, ended_s, 20)


def test_a_request_that_succeeds_is_counted_once_in_each_metric():
    metrics = Metrics()
    answer(metrics.method("Predict", "GRPC", len), Target(), before=1.0, queue=2.0, run=4.0, after=8.0)
    assert family(metrics, COUNT).values == {("m", "OK"): 1}
    (latency,) = family(metrics, LATENCY).values.items()
    assert latency[0] == ("m", "Predict", "GRPC")
    assert latency[1].sum == pytest.approx(15e6, rel=0.01)
    (runtime,) = family(metrics, RUNTIME).values.items()
    # With the time in the queue, as in the original.
    assert (runtime[0], runtime[1].count) == (("m", "Predict", "TF1"), 1)
    assert runtime[1].sum == pytest.approx(6e6, rel=0.01)
    of_signature = ("m", "s", "Predict", "GRPC")
    sums = {name: family(metrics, f"servable_{name}_seconds").values[of_signature].sum for name in ("queue", "run")}
    assert sums == {"queue": pytest.approx(2.0, rel=0.01), "run": pytest.approx(4.0, rel=0.01)}
    assert family(metrics, "servable_request_bytes").values == {of_signature: 10}
    assert family(metrics, "servable_reply_bytes").values == {of_signature: 20}


def test_an_api_has_the_original_s_name_for_it_over_rest():
    metrics = Metrics()
    answer(metrics.method("Classify", "REST", len), Target())
    assert list(family(metrics, LATENCY).values) == [("m", "classify", "REST")]
    assert list(family(metrics, RUNTIME).values) == [("m", "Classify", "TF1")]


def test_two_entrypoints_of_one_target_are_counted_apart():
    metrics, target = Metrics(), Target()
    grpc, rest = (metrics.method("Predict", entrypoint, len) for entrypoint in ("GRPC", "REST"))
    for method in (grpc, rest, grpc, rest, rest):
        answer(method, target)
    latency = family(metrics, LATENCY).values
    assert {labels[2]: each.count for labels, each in latency.items()} == {"GRPC": 2, "REST": 3}
    assert family(metrics, COUNT).values == {("m", "OK"): 5}


def test_multi_inference_is_not_among_the_original_s_requests():
    metrics = Metrics()
    answer(metrics.method("MultiInference", "GRPC", len), Target())
    assert not family(metrics, COUNT).values
    assert sum(family(metrics, "servable_requests").values.values()) == 1


def test_a_failure_is_counted_by_its_code_and_has_no_latency():
    metrics = Metrics()
    method = metrics.method("Predict", "GRPC", lambda message: message)
    method.note_failure("m", NotFound("none"))
    method.note_failure("m", ValueError("our fault"))
    # As gRPC does with bytes that do not parse: the original never sees them.
    method.note_failure(None, Internal(""))
    mark = method.mark(Target(signature="t"), time.monotonic(), 0)
    method.note_failure("unused", NotFound("none"), mark)
    assert family(metrics, COUNT).values == {("m", "NOT_FOUND"): 2, ("m", "INTERNAL"): 1}
    assert not family(metrics, LATENCY).values
    assert family(metrics, "servable_requests").values["m", "t", "Predict", "GRPC", "NOT_FOUND"] == 1


@pytest.mark.behaviour("10.1", "status, metadata and malformed requests over REST are counted, with an empty API")
def test_what_runs_nothing_is_counted_by_a_call():
    metrics = Metrics()
    metrics.note_request("m", Code.OK, "", "REST", 0.5)
    metrics.note_request("", Code.INVALID_ARGUMENT, "", "REST", 0.5)
    assert family(metrics, COUNT).values == {("m", "OK"): 1, ("", "INVALID_ARGUMENT"): 1}
    (latency,) = family(metrics, LATENCY).values.items()
    assert (latency[0], latency[1].sum) == (("m", "", "REST"), 500_000)
    assert not family(metrics, RUNTIME).values


def test_names_that_callers_make_up_are_bounded():
    metrics = Metrics()
    method = metrics.method("Predict", "GRPC", lambda message: message)
    for number in range(ATTACK):
        method.note_failure(f"made up {number}", NotFound("none"))
        metrics.note_request(f"made up {number}", Code.OK, "", "REST", 0.1)
    counts = family(metrics, COUNT).values
    assert len(counts) <= 2 * request_counts._MOST_UNKNOWN_NAMES + 2
    assert counts["", "NOT_FOUND"] == ATTACK - request_counts._MOST_UNKNOWN_NAMES
    assert sum(counts.values()) == 2 * ATTACK
    # A model that there is keeps its name.
    metrics.requests.add_model("late")
    method.note_failure("late", NotFound("none"))
    assert family(metrics, COUNT).values["late", "NOT_FOUND"] == 1


def test_a_long_name_is_no_label():
    metrics = Metrics()
    metrics.method("Predict", "GRPC", lambda message: message).note_failure("x" * 10_000, NotFound("none"))
    assert family(metrics, COUNT).values == {("", "NOT_FOUND"): 1}


def test_what_is_not_read_is_folded_before_it_grows_large():
    counts = RequestCounts()
    method, target = MethodCounts(counts, "Predict", "GRPC", len), Target()
    for _ in range(request_counts._MOST_TIMINGS + 100):
        answer(method, target)
    kept = [len(cell._timings) for cell in counts._cells]
    assert max(kept) < 200
    assert sum(cell.total_us.count for cell in counts.cells()) == request_counts._MOST_TIMINGS + 100


def test_nothing_is_lost_between_threads():
    metrics = Metrics()
    method, target = metrics.method("Predict", "GRPC", len), Target()
    over = threading.Event()

    def ask():
        for _ in range(5000):
            answer(method, target)

    def read():
        while not over.is_set():
            metrics.families()

    readers = [threading.Thread(target=read) for _ in range(2)]
    callers = [threading.Thread(target=ask) for _ in range(4)]
    for thread in (*readers, *callers):
        thread.start()
    for thread in callers:
        thread.join()
    over.set()
    for thread in readers:
        thread.join()
    assert family(metrics, COUNT).values == {("m", "OK"): 20_000}
    assert family(metrics, "servable_request_bytes").values["m", "s", "Predict", "GRPC"] == 200_000


def test_only_the_first_request_of_a_form_misses_the_template_cache():
    metrics = Metrics()
    method, target = metrics.method("Predict", "GRPC", len), Target()
    for _ in range(3):
        answer(method, target)
    answer(method, Target())
    assert family(metrics, "servable_template_cache_requests").values == {("hit",): 2, ("miss",): 2}
