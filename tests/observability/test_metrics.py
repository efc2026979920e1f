"""Counters under the original's names, as a reload reads them."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from servable.errors import Code
from servable.observability.families import Kind
from servable.observability.metrics import Metrics

LOADS = "/tensorflow/cc/saved_model/load_attempt_count"


def load(metrics, path, error=None):
    def loader(path):
        if error is not None:
            raise error
        return f"loaded from {path}"

    return metrics.counting_loads(loader)(Path(path))


def test_a_load_is_counted_and_what_was_loaded_is_given_on():
    metrics = Metrics()
    assert metrics.read([LOADS]) == {LOADS: 0}
    assert load(metrics, "/m/1") == "loaded from /m/1"
    assert load(metrics, "/m/1") == "loaded from /m/1"
    assert metrics.read([LOADS]) == {LOADS: 2}


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_a_load_that_fails_is_counted_too_and_its_error_goes_on(error):
    metrics = Metrics()
    with pytest.raises(type(error)) as caught:
        load(metrics, "/m/1", error)
    assert caught.value is error
    assert metrics.read([LOADS]) == {LOADS: 1}


@pytest.mark.behaviour("4.2", "metric_names are answered with their increase, each once, an unknown one with 0")
@pytest.mark.behaviour("4.2", "metrics: the first cell of a counter, 0 for what is not known, duplicates collapse")
def test_of_several_cells_the_first_by_its_labels_is_read():
    metrics = Metrics()
    for _ in range(3):
        load(metrics, "/m/2")
    load(metrics, "/m/1")
    load(metrics, "/m/1")
    assert metrics.read([LOADS]) == {LOADS: 2}
    # "fail" comes before "success".
    with pytest.raises(ValueError, match="bad"):
        load(metrics, "/m/1", ValueError("bad"))
    assert metrics.read([LOADS]) == {LOADS: 1}


@pytest.mark.behaviour("4.2", "metrics: the first cell of a counter, 0 for what is not known, duplicates collapse")
@pytest.mark.parametrize("name", ["", "nope", "/tensorflow/serving/nope", LOADS + "_total", "\0", "größe"])
def test_an_unknown_counter_is_zero(name):
    metrics = Metrics()
    load(metrics, "/m/1")
    assert metrics.read([name, LOADS, name]) == {name: 0, LOADS: 1}


def test_two_servers_count_apart():
    first, second = Metrics(), Metrics()
    load(first, "/m/1")
    assert second.read([LOADS]) == {LOADS: 0}


def test_loads_on_many_threads_are_all_counted():
    metrics = Metrics()
    threads = [threading.Thread(target=lambda: [load(metrics, "/m/1") for _ in range(100)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.read([LOADS]) == {LOADS: 400}


def test_counting_needs_no_tensorflow():
    code = "import sys, servable.observability.metrics; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.behaviour("4.2", "a histogram is 0")
def test_every_counter_of_the_page_can_be_read_by_a_reload():
    metrics = Metrics()
    load(metrics, "/m/1")
    metrics.note_request("m", Code.OK, "", "REST", 0.1)
    metrics.note_examples("m", 7)
    metrics.note_warmup(Path("/m/1"), "OK", 5, 0.25)
    counters = {each.name for each in metrics.families() if each.kind is Kind.COUNTER and each.values}
    values = metrics.read(counters)
    assert all(values.values())
    assert values["/tensorflow/serving/request_example_count_total"] == 7
    assert values["/tensorflow/serving/model_warmup_records_read"] == 5
    assert metrics.read(["/tensorflow/serving/request_latency"]) == {"/tensorflow/serving/request_latency": 0}
