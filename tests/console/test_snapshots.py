"""A snapshot sums the metrics over all models, and says when the models should be asked for again."""

import gc
import weakref

from servable.console.snapshots import Snapshots
from servable.lifecycle.version import State
from servable.observability.families import Family, Kind
from servable.observability.histograms import Buckets, Histogram
from tests.console.serving import Served, Version, definition


def histogram(*values):
    made = Histogram(Buckets((0.1, 1.0), are_exclusive=False))
    for value in values:
        made.add(value)
    return made


def families():
    by_status = {("a", "OK"): 5, ("b", "OK"): 2, ("a", "NOT_FOUND"): 3}
    return [
        Family("/tensorflow/serving/request_count", Kind.COUNTER, ("model_name", "status"), by_status),
        Family(
            "servable_request_seconds", Kind.HISTOGRAM, ("m",), {("a",): histogram(0.05, 5), ("b",): histogram(0.5)}
        ),
        Family("servable_batches", Kind.COUNTER, ("model_name", "cut"), {("a", "full"): 2, ("a", "timeout"): 1}),
        Family("servable_batch_rows", Kind.HISTOGRAM, ("m",), {("a",): histogram(1)}),
    ]


def test_the_sums_are_over_all_models():
    served = Served()
    taken = Snapshots(families, served.router, served.monitor).take()
    assert (taken["requests"], taken["errors"], taken["batches"]) == (10, 3, 3)
    assert taken["latency"] == {"limits": [0.1, 1.0], "counts": [1, 1, 1], "sum": 5.55}
    assert taken["cpu_s"] > 0
    assert taken["resident_bytes"] > 0


def test_a_server_without_requests_has_sums_of_zero():
    served = Served()
    taken = Snapshots(list, served.router, served.monitor).take()
    assert (taken["requests"], taken["latency"]["counts"]) == (0, [0])


def test_each_change_of_versions_states_and_labels_is_told():
    served = Served()
    snapshots = Snapshots(list, served.router, served.monitor)
    seen = [snapshots.take()["changes"]]
    for change in (
        lambda: served.publish("m", 1, State.LOADING),
        lambda: served.add("m", 1),
        lambda: served.router.relabel({"m": {"stable": 1}}),
    ):
        change()
        seen.append(snapshots.take()["changes"])
        assert snapshots.take()["changes"] == seen[-1]
    assert len(set(seen)) == len(seen)


def test_snapshots_keep_no_version():
    served = Served()
    snapshots = Snapshots(list, served.router, served.monitor)
    version = Version(serving_default=definition())
    remembered = weakref.ref(version)
    served.add("m", 1, version)
    snapshots.take()
    (handle,) = served.router.routes
    served.router.remove(handle)
    del version, handle
    gc.collect()
    assert remembered() is None
