"""docs/metrics.md names every metric of the page, and no other."""

import re
from pathlib import Path

import pytest

from servable.observability.page import prometheus_name

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
FIRST_CELLS = [line.split("|")[1] for line in DOCUMENT.splitlines() if line.startswith("| `")]
DOCUMENTED = {name for cell in FIRST_CELLS for name in re.findall(r"`([a-z:_]+)`", cell)}


@pytest.fixture(scope="module")
def published(servers):
    """The names on the page of a server, as its TYPE lines have them."""
    page = servers("half_plus_two").server.metrics.write().decode()
    return set(re.findall(r"^# TYPE (\S+)", page, re.MULTILINE))


def test_each_metric_is_documented(published):
    assert sorted(published - DOCUMENTED) == []


def test_each_documented_metric_is_there(published):
    assert sorted(DOCUMENTED - published) == []


def test_names_are_converted_as_in_the_original():
    assert prometheus_name("/tensorflow/serving/request_count") in DOCUMENTED
