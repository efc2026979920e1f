"""Every phase of a version against every event, and what is published in each."""

import itertools
from pathlib import Path

import pytest

from servable.errors import DataLoss
from servable.lifecycle.states import ServableId, State, VersionState
from servable.lifecycle.version import Event, IllegalTransitionError, Phase, Version

# Written from the contract's section 6.5; every pair that is not here cannot happen.
LEADS_TO = {
    ("queued", "load"): "loading",
    ("queued", "cancel"): "ended",
    ("loading", "loaded"): "ready",
    ("loading", "loaded late"): "unloading",
    ("loading", "failed"): "waiting",
    ("loading", "given up"): "ended",
    ("waiting", "retry"): "queued",
    ("waiting", "cancel"): "ended",
    ("ready", "drain"): "draining",
    ("draining", "released"): "unloading",
    ("unloading", "unloaded"): "ended",
}
PUBLISHED = {
    "queued": State.START,
    "loading": State.LOADING,
    "waiting": State.LOADING,
    "ready": State.AVAILABLE,
    "draining": State.UNLOADING,
    "unloading": State.UNLOADING,
    "ended": State.END,
}


def version_in(phase):
    version = Version(ServableId("m", 7), Path("/base/7"))
    version.phase = phase
    return version


@pytest.mark.behaviour("13.14", "loader_harness_test: every event in every phase")
@pytest.mark.parametrize(("phase", "event"), list(itertools.product(Phase, Event)), ids=lambda item: item.value)
def test_each_event_leads_on_or_is_refused_without_a_change(phase, event):
    version = version_in(phase)
    expected = LEADS_TO.get((phase.value, event.value))
    if expected is None:
        with pytest.raises(IllegalTransitionError) as caught:
            version.move(event)
        assert str(caught.value) == f"{{name: m version: 7}} is {phase.value}: it cannot be {event.value}"
        expected = phase.value
    else:
        version.move(event)
    assert version.phase.value == expected


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.value)
def test_each_phase_is_published_as_one_state(phase):
    assert version_in(phase).state == VersionState(PUBLISHED[phase.value])


@pytest.mark.parametrize("phase", Phase, ids=lambda phase: phase.value)
def test_an_error_is_published_with_the_state(phase):
    version = version_in(phase)
    version.error = DataLoss("cut")
    assert version.state == VersionState(PUBLISHED[phase.value], version.error)


@pytest.mark.behaviour("4.1", "LOADING lasts the whole loop of retries")
def test_a_version_that_waits_for_its_turn_again_is_still_loading():
    # The original's LOADING lasts through all attempts.
    version = version_in(Phase.QUEUED)
    version.attempts = 1
    assert version.state.state is State.LOADING


def test_a_version_is_born_queued_and_aspired():
    version = Version(ServableId("m", 7), Path("/base/7"))
    assert (version.phase, version.is_aspired, version.attempts, version.error) == (Phase.QUEUED, True, 0, None)
    assert version.number == 7


def test_two_lives_of_one_version_are_two():
    assert version_in(Phase.QUEUED) != version_in(Phase.QUEUED)


def test_from_every_phase_an_end_can_be_reached():
    ended = {"ended"}
    while more := {phase for (phase, _), then in LEADS_TO.items() if then in ended} - ended:
        ended |= more
    assert ended == {phase.value for phase in Phase}
