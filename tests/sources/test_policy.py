"""Which of the existing versions a policy selects."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servable.config.models import All, Latest, Specific
from servable.sources import Version, list_versions, select_versions, warn_of_missing_versions

NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)


def versions(*numbers):
    return [Version(number, Path("/models/m", str(number))) for number in numbers]


def chosen(policy, *numbers):
    return [version.number for version in select_versions(versions(*numbers), policy)]


@pytest.mark.behaviour("6.4", "the policies latest, all and specific")
@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Latest(), [30]),
        (Latest(1), [30]),
        (Latest(2), [7, 30]),
        (Latest(3), [-1, 7, 30]),
        (Latest(4), [-1, 7, 30]),
        (All(), [-1, 7, 30]),
        (Specific((7,)), [7]),
        (Specific((30, -1)), [-1, 30]),
        (Specific((7, 8, 9)), [7]),
        (Specific((7, 7)), [7]),
        (Specific((8,)), []),
        (Specific(()), []),
    ],
)
def test_a_policy_chooses_by_number(policy, expected):
    assert chosen(policy, 7, 30, -1) == expected


@pytest.mark.parametrize("policy", [Latest(), Latest(5), All(), Specific((1,))])
def test_of_nothing_nothing_is_chosen(policy):
    assert chosen(policy) == []


@pytest.mark.behaviour("6.4", "a specific version is found under a name with zeros")
def test_a_specific_version_is_found_under_a_name_with_zeros(tmp_path):
    (tmp_path / "00000123").mkdir()
    found = list_versions("m", str(tmp_path)).versions
    assert select_versions(found, Specific((123,))) == [Version(123, tmp_path / "00000123")]


@pytest.mark.behaviour("6.4", "the policies latest, all and specific")
@pytest.mark.behaviour("13.14", "279 to 281, 285 and 286, several versions and the latest of them")
@given(st.lists(NUMBERS, unique=True), st.integers(1, 1 << 32))
def test_the_latest_are_the_highest_and_no_more_than_asked_for(numbers, count):
    latest = chosen(Latest(count), *numbers)
    assert latest == sorted(latest)
    assert len(latest) == min(count, len(numbers))
    assert all(other < min(latest) for other in set(numbers) - set(latest))


@pytest.mark.behaviour("6.4", "the policies latest, all and specific")
@given(st.lists(NUMBERS, unique=True), st.lists(NUMBERS))
def test_specific_versions_are_those_that_are_requested_and_exist(numbers, asked):
    assert chosen(Specific(tuple(asked)), *numbers) == sorted(set(numbers) & set(asked))


@given(st.lists(NUMBERS, unique=True))
def test_all_are_all(numbers):
    assert chosen(All(), *numbers) == sorted(numbers)


@pytest.mark.behaviour("6.4", "specific versions that are missing, or none, are warned of")
@pytest.mark.parametrize(
    ("policy", "there", "faults"),
    [
        (Latest(), [], []),
        (All(), [], []),
        (Specific((7, 8)), [8, 7], []),
        (
            Specific((9, 7, 8)),
            [7],
            [
                "Version 9 of servable m, which was requested specifically, was not found on the file system",
                "Version 8 of servable m, which was requested specifically, was not found on the file system",
            ],
        ),
        (Specific(()), [], ["The version policy of servable m names no specific version, so nothing is served."]),
    ],
)
def test_only_specific_versions_can_be_missing(policy, there, faults):
    assert warn_of_missing_versions("m", versions(*there), policy) == faults
