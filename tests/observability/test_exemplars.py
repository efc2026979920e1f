"""Exemplars: which are kept, and how OpenMetrics has them."""

from prometheus_client.openmetrics import parser

from servable.observability import page
from servable.observability.exemplars import Exemplar, Exemplars
from servable.observability.families import Family, Kind
from servable.observability.histograms import MICROSECONDS, SECONDS, Histogram

NAME, LABEL_NAMES, LABELS = "servable_request_seconds", ("model_name",), ("m",)


def exemplar(value, trace="a"):
    return Exemplar(trace * 32, "b" * 16, value, 1_700_000_000.25)


def family(*seconds):
    histogram = Histogram(MICROSECONDS)
    for each in seconds:
        histogram.add(each * 1e6)
    return Family(NAME, Kind.HISTOGRAM, LABEL_NAMES, {LABELS: histogram.in_seconds()}, "Requests.")


def test_the_newest_of_each_bucket_is_kept():
    kept = Exemplars()
    for each in (exemplar(0.003), exemplar(0.0031, "c"), exemplar(3.0), exemplar(1e9)):
        kept.note(NAME, LABELS, each)
    found = kept.of(NAME, LABELS)
    assert [each.value for each in found.values()] == [0.0031, 3.0, 1e9]
    assert max(found) == len(SECONDS.limits)
    assert kept.of(NAME, ("other",)) == {}


def test_cells_are_bounded():
    kept = Exemplars()
    for index in range(1100):
        kept.note(NAME, (str(index),), exemplar(1.0))
    assert kept.of(NAME, ("999",))
    assert not kept.of(NAME, ("1000",))


def test_open_metrics_has_them_on_their_buckets():
    kept = Exemplars()
    kept.note(NAME, LABELS, exemplar(0.003))
    kept.note(NAME, LABELS, exemplar(1e9))
    text = page.write_open_metrics([family(0.003, 1e9)], exemplars=kept).decode()
    (read,) = parser.text_string_to_metric_families(text)
    found = {sample.labels["le"]: sample.exemplar for sample in read.samples if sample.exemplar}
    assert [each.value for each in found.values()] == [0.003, 1e9]
    limit = next(iter(found))
    assert 0.003 <= float(limit) < 0.006
    assert found[limit].labels == {"trace_id": "a" * 32, "span_id": "b" * 16}
    assert float(found[limit].timestamp) == 1_700_000_000.25
    assert "+Inf" in found


def test_the_text_format_has_none_since_it_has_no_room_for_them():
    kept = Exemplars()
    kept.note(NAME, LABELS, exemplar(0.003))
    assert b"trace_id" not in page.write([family(0.003)])
    assert b"trace_id" not in page.write_open_metrics([family(0.003)])


def test_an_exemplar_stands_on_the_bucket_whose_limit_it_has():
    kept = Exemplars()
    kept.note(NAME, LABELS, exemplar(SECONDS.limits[3]))
    assert list(kept.of(NAME, LABELS)) == [3]
