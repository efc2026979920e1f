"""Which calls are recorded, by the standard's samplers."""

import logging
from random import Random

import pytest

from servable.tracing import sampling
from servable.tracing.sampling import Sampling
from tests.tracing.records import SAMPLED, UNSAMPLED


@pytest.mark.parametrize(
    ("name", "argument", "alone", "sampled", "unsampled"),
    [
        ("", "", True, True, False),
        ("parentbased_always_on", "", True, True, False),
        ("parentbased_always_off", "", False, True, False),
        ("parentbased_traceidratio", "0", False, True, False),
        ("parentbased_traceidratio", "1.0", True, True, False),
        ("always_on", "", True, True, True),
        ("Always_Off", "", False, False, False),
        ("traceidratio", "0", False, False, False),
        ("traceidratio", "", True, True, True),
    ],
)
def test_the_standard_samplers_are_honoured(name, argument, alone, sampled, unsampled):
    found = sampling.from_environment({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    assert [found.wants(sent) for sent in (None, SAMPLED, UNSAMPLED)] == [alone, sampled, unsampled]


@pytest.mark.parametrize(
    ("name", "argument"), [("jaeger_remote", ""), ("traceidratio", "2"), ("traceidratio", "nan"), ("traceidratio", "x")]
)
def test_a_sampler_that_is_not_known_is_told_and_replaced(name, argument, caplog):
    caplog.set_level(logging.WARNING)
    found = sampling.from_environment({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    assert found.wants(None)
    assert len(caplog.records) == 1


def test_of_calls_without_a_parent_a_share_is_recorded():
    some = Sampling(0.25, random=Random(7))
    assert sum(some.wants(None) for _ in range(10_000)) == pytest.approx(2500, rel=0.1)


def test_a_malformed_parent_is_none():
    assert Sampling(1.0).wants("nonsense")
    assert not Sampling(0.0).wants("nonsense")


def test_a_trace_that_begins_here_is_one_that_the_same_ratio_takes_elsewhere():
    here, elsewhere = Sampling(0.1, random=Random(7)), Sampling(0.1, follows_parent=False)
    ids = [here.make_trace_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(elsewhere.wants(f"00-{trace_id:032x}-{1:016x}-00") for trace_id in ids)
    assert max(ids) < 1 << 128


def test_by_a_ratio_all_members_of_a_trace_decide_alike():
    first, second = (Sampling(0.5, follows_parent=False, random=Random(seed)) for seed in (1, 2))
    sent = [f"00-{Random(seed).getrandbits(128) or 1:032x}-{1:016x}-01" for seed in range(200)]
    assert [first.wants(each) for each in sent] == [second.wants(each) for each in sent]
    assert 50 < sum(first.wants(each) for each in sent) < 150
