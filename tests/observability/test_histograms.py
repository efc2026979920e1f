"""Histograms: which bucket a value belongs to."""

import numpy as np
import pytest

from servable.observability.histograms import BATCH_ROWS, MICROSECONDS, ROWS, Histogram


def as_limits(buckets):
    return [f"{limit:.6g}" for limit in buckets.limits]


@pytest.mark.behaviour("10.1", "latencies have 33 limits: 10 us times 1.8 to the nth")
def test_the_limits_of_latencies_are_the_original_s():
    written = as_limits(MICROSECONDS)
    assert len(written) == 33
    assert written[:9] == ["10", "18", "32.4", "58.32", "104.976", "188.957", "340.122", "612.22", "1102"]
    assert written[-1] == "1.47476e+09"


@pytest.mark.behaviour("10.1", "a value that equals a limit counts in the next bucket")
@pytest.mark.parametrize(("value", "bucket"), [(9.99, 0), (10.0, 1), (17.0, 1), (18.0, 2), (1e12, 33), (0.0, 0)])
def test_the_original_s_limits_are_exclusive(value, bucket):
    histogram = Histogram(MICROSECONDS)
    histogram.add(value)
    assert histogram.counts.index(1) == bucket


def test_limits_of_ours_are_inclusive():
    histogram = Histogram(ROWS)
    histogram.add(2, times=3)
    assert (histogram.counts[1], histogram.sum) == (3, 6)
    exclusive = Histogram(BATCH_ROWS)
    exclusive.add(2)
    assert exclusive.counts[2] == 1


@pytest.mark.parametrize("count", [1, 23, 24, 1000])
@pytest.mark.parametrize("buckets", [MICROSECONDS, ROWS])
def test_many_values_at_once_count_as_one_after_the_other(count, buckets):
    values = np.random.default_rng(count).choice([1.0, 2.0, 10.0, 18.0, 500.0, 1e11], count)
    one_by_one, together = Histogram(buckets), Histogram(buckets)
    for value in values:
        one_by_one.add(value)
    together.add_all(values)
    assert together.counts == one_by_one.counts
    assert together.sum == pytest.approx(one_by_one.sum)


def test_seconds_count_the_same_values_under_fewer_limits():
    histogram = Histogram(MICROSECONDS)
    values_us = [0.0, 9.0, 104.0, 105.0, 5_000.0, 7e6, 2e7, 1e12]
    for value in values_us:
        histogram.add(value)
    seconds = histogram.in_seconds()
    assert seconds.count == len(values_us)
    assert seconds.sum == pytest.approx(sum(values_us) / 1e6)
    for limit, count in seconds.cumulative():
        assert count == sum(value / 1e6 < limit for value in values_us)
    assert seconds.buckets.limits[0] == pytest.approx(104.976e-6)
    assert 1 < seconds.buckets.limits[-1] < 10
