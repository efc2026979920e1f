"""The page: the original's format, byte by byte, and what Prometheus's own parsers read in it."""

import re
from pathlib import Path

import pytest
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser

from servable.errors import Code
from servable.observability import page
from servable.observability.families import Family, Kind
from servable.observability.histograms import BATCH_ROWS, Histogram
from servable.observability.metrics import Metrics


def lines(*families):
    return page.write(families).decode().splitlines()


@pytest.mark.behaviour("10.1", "the page has TYPE lines only, braces always, no HELP and no _total")
def test_a_counter_is_written_as_the_original_writes_it():
    counter = Family("/tensorflow/serving/request_count", Kind.COUNTER, ("model_name", "status"), {("m", "OK"): 12})
    assert lines(counter) == [
        "# TYPE :tensorflow:serving:request_count counter",
        ':tensorflow:serving:request_count{model_name="m",status="OK"} 12',
    ]
    without_labels = Family("/a/b", Kind.COUNTER, (), {(): 5})
    assert lines(without_labels) == ["# TYPE :a:b counter", ":a:b{} 5"]


@pytest.mark.behaviour("10.1", "sums and limits have six significant digits, counts are in full")
def test_a_histogram_is_written_as_the_original_writes_it():
    histogram = Histogram(BATCH_ROWS)
    histogram.add(1_234_567)
    histogram.add(1)
    written = lines(Family("/a", Kind.HISTOGRAM, ("of-what",), {("x",): histogram}))
    assert written[:4] == [
        "# TYPE :a histogram",
        ':a_bucket{of_what="x",le="1"} 0',
        ':a_bucket{of_what="x",le="2"} 1',
        ':a_bucket{of_what="x",le="4"} 1',
    ]
    assert written[-3:] == [
        ':a_bucket{of_what="x",le="+Inf"} 2',
        ':a_sum{of_what="x"} 1.23457e+06',
        ':a_count{of_what="x"} 2',
    ]
    bare = lines(Family("/a", Kind.HISTOGRAM, (), {(): histogram}))
    assert bare[1:2] + bare[-2:] == [':a_bucket{le="1"} 0', ":a_sum{} 1.23457e+06", ":a_count{} 2"]


@pytest.mark.behaviour("10.1", "a metric without values has its TYPE line only")
def test_a_metric_without_values_has_its_type_line_only():
    assert lines(Family("/a", Kind.HISTOGRAM, (), {})) == ["# TYPE :a histogram"]


@pytest.mark.behaviour("10.1", "label values escape backslashes and quotes")
def test_a_label_s_value_is_escaped():
    odd = Family("/a", Kind.COUNTER, ("name",), {('a"b\\c\nd\udc80',): 1})
    assert lines(odd)[1] == ':a{name="a\\"b\\\\c\\nd?"} 1'


@pytest.mark.behaviour("10.1", "metrics are in the order of their names with slashes")
def test_the_original_s_metrics_come_first_in_the_order_of_their_names():
    metrics = Metrics()
    metrics.note_request("m", Code.OK, "", "REST", 0.1)
    found = re.findall(r"^# TYPE (\S+)", page.write(metrics.families()).decode(), re.MULTILINE)
    original = [name for name in found if name.startswith(":")]
    assert found[: len(original)] == original
    assert [name.replace(":", "/") for name in original] == sorted(name.replace(":", "/") for name in original)
    assert found[len(original) :] == sorted(found[len(original) :])


def full():
    metrics = Metrics()
    metrics.note_request('a"b', Code.OK, "", "REST", 0.1)
    metrics.note_request("m", Code.NOT_FOUND, "", "REST", 0.1)
    metrics.note_examples("m", 3)
    metrics.note_warmup(Path("/m/1"), "OK", 5, 0.25)
    return metrics.families()


def test_prometheus_s_parser_reads_the_page():
    read = {family.name: family for family in parser.text_string_to_metric_families(page.write(full()).decode())}
    requests = read[":tensorflow:serving:request_count"].samples
    assert {sample.labels["model_name"]: sample.value for sample in requests} == {'a"b': 1, "m": 1}
    assert read["servable_requests"].documentation
    assert [sample.name for sample in read["servable_requests"].samples] == ["servable_requests_total"] * 2


def test_open_metrics_has_the_original_s_names_unchanged():
    text = page.write_open_metrics(full()).decode()
    read = {family.name: family for family in openmetrics_parser.text_string_to_metric_families(text)}
    requests = read[":tensorflow:serving:request_count"]
    assert (requests.type, {sample.name for sample in requests.samples}) == (
        "unknown",
        {":tensorflow:serving:request_count"},
    )
    (examples,) = read[":tensorflow:serving:request_example_count"].samples
    assert (examples.name, examples.value) == (":tensorflow:serving:request_example_count_total", 3)
    assert read["servable_requests"].type == "counter"
    assert text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("Application/OpenMetrics-Text;version=1.0.0;q=0.5, text/plain;q=0.4", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.0;version=1.0.0, */*", False),
    ],
)
def test_open_metrics_is_sent_to_who_takes_it(accept, wanted):
    assert page.wants_open_metrics(accept) is wanted
