"""Every phase of a version against every event, what is published in each, and which version loads or unloads next.

The latter by the examples of the original's availability_preserving_policy_test, then by properties.
"""

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servable.errors import DataLoss
from servable.lifecycle.version import (
    Action,
    Change,
    Event,
    IllegalTransitionError,
    Phase,
    ServableId,
    State,
    Version,
    VersionState,
    next_action,
)

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


def test_a_new_version_is_queued_and_aspired():
    version = Version(ServableId("m", 7), Path("/base/7"))
    assert (version.phase, version.is_aspired, version.attempts, version.error) == (Phase.QUEUED, True, 0, None)
    assert version.number == 7


def test_two_versions_of_one_number_are_not_equal():
    assert version_in(Phase.QUEUED) != version_in(Phase.QUEUED)


def test_from_every_phase_an_end_can_be_reached():
    ended = {"ended"}
    while more := {phase for (phase, _), then in LEADS_TO.items() if then in ended} - ended:
        ended |= more
    assert ended == {phase.value for phase in Phase}


# The next action.

READY, QUEUED, LOADING, WAITING = Phase.READY, Phase.QUEUED, Phase.LOADING, Phase.WAITING
DRAINING, UNLOADING, ENDED = Phase.DRAINING, Phase.UNLOADING, Phase.ENDED
WANTED, UNWANTED = True, False


def version(number, is_aspired, phase):
    made = Version(ServableId("m", number), Path(f"/base/{number}"), is_aspired)
    made.phase = phase
    return made


def choice(*versions):
    action = next_action([version(*parts) for parts in versions])
    return action and (action.change.value, action.version.number)


@pytest.mark.behaviour("6.5", "at most one action an iteration, unloads before loads, the highest version first")
@pytest.mark.behaviour("13.14", "availability_preserving_policy_test")
@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([], None),
        # A new version loads, though an old one that is not wanted still serves.
        ([(1, UNWANTED, READY), (2, WANTED, QUEUED)], ("load", 2)),
        # The highest loads first, whatever their order.
        ([(1, WANTED, QUEUED), (3, WANTED, QUEUED), (2, WANTED, QUEUED)], ("load", 3)),
        ([(3, WANTED, LOADING), (2, WANTED, QUEUED)], ("load", 2)),
        # A version that is not wanted does not load.
        ([(2, UNWANTED, QUEUED), (1, WANTED, QUEUED)], ("load", 1)),
        ([(2, UNWANTED, QUEUED)], None),
        # The lowest goes first once something wanted is ready, and goes before anything loads.
        ([(2, UNWANTED, READY), (1, UNWANTED, READY), (4, WANTED, READY)], ("unload", 1)),
        ([(1, UNWANTED, READY), (2, WANTED, READY), (3, WANTED, QUEUED)], ("unload", 1)),
        # Nothing is wanted: all go.
        ([(1, UNWANTED, READY)], ("unload", 1)),
        ([(2, UNWANTED, READY), (1, UNWANTED, READY)], ("unload", 1)),
        # More than one that is not wanted serves: one of them is spare.
        ([(2, UNWANTED, READY), (1, UNWANTED, READY), (3, WANTED, LOADING)], ("unload", 1)),
        ([(2, UNWANTED, READY), (1, UNWANTED, READY), (3, WANTED, QUEUED)], ("unload", 1)),
        # The last that serves stays while what is wanted is not ready, or has failed, or comes back first.
        ([(1, UNWANTED, READY), (2, WANTED, LOADING)], None),
        ([(1, UNWANTED, READY), (2, WANTED, WAITING)], None),
        ([(1, UNWANTED, READY), (2, WANTED, ENDED)], None),
        ([(1, WANTED, DRAINING), (2, UNWANTED, READY)], None),
        ([(1, WANTED, UNLOADING), (2, UNWANTED, READY)], None),
        # What is on its way needs no action.
        ([(1, WANTED, READY), (2, UNWANTED, LOADING), (3, UNWANTED, DRAINING), (4, UNWANTED, UNLOADING)], None),
    ],
)
def test_the_next_action(versions, expected):
    assert choice(*versions) == expected


VERSIONS = st.lists(
    st.builds(version, st.integers(-2, 5), st.booleans(), st.sampled_from(Phase)),
    max_size=6,
    unique_by=lambda made: made.number,
)


@settings(deadline=None, derandomize=True, database=None)
@given(VERSIONS)
def test_an_action_is_one_that_its_version_can_take(versions):
    action = next_action(versions)
    if action is not None:
        action.version.move(Event.LOAD if action.change is Change.LOAD else Event.DRAIN)


@pytest.mark.behaviour(
    "6.5", "availability preserving: the old version serves until the new one does, and on if that fails"
)
@pytest.mark.behaviour("6.5", "what serves stays until a wanted version is ready")
@pytest.mark.behaviour("13.14", "availability_preserving_policy_test")
@settings(deadline=None, derandomize=True, database=None)
@given(VERSIONS)
def test_the_last_that_serves_is_never_unloaded_while_something_wanted_is_not_ready(versions):
    action = next_action(versions)
    serving = [made for made in versions if made.phase is READY]
    if len(serving) == 1 and any(made.is_aspired for made in versions):
        assert action is None or action.change is Change.LOAD


@pytest.mark.behaviour("13.14", "availability_preserving_policy_test")
@settings(deadline=None, derandomize=True, database=None)
@given(VERSIONS)
def test_only_what_is_wanted_loads_and_only_what_is_not_unloads(versions):
    action = next_action(versions)
    assert action is None or action.version.is_aspired is (action.change is Change.LOAD)


@pytest.mark.behaviour("6.5", "unloads go before loads, one action a step, the highest version loads first")
@settings(deadline=None, derandomize=True, database=None)
@given(VERSIONS)
def test_loads_start_at_the_top_and_unloads_at_the_bottom(versions):
    action = next_action(versions)
    if action is not None:
        kind, extreme = (QUEUED, max) if action.change is Change.LOAD else (READY, min)
        rivals = [
            made.number for made in versions if made.phase is kind and made.is_aspired is action.version.is_aspired
        ]
        assert action.version.number == extreme(rivals)


@settings(deadline=None, derandomize=True, database=None)
@given(VERSIONS)
def test_what_may_unload_does_so_before_anything_loads(versions):
    serving = [made for made in versions if made.phase is READY]
    unwanted = [made for made in serving if not made.is_aspired]
    if unwanted and len(serving) > 1:
        assert next_action(versions) == Action(Change.UNLOAD, min(unwanted, key=lambda made: made.number))


@settings(deadline=None, derandomize=True, database=None)
@given(VERSIONS, st.randoms())
def test_the_order_of_the_versions_makes_no_difference(versions, shuffler):
    before = next_action(versions)
    shuffler.shuffle(versions)
    assert next_action(versions) == before


@settings(deadline=None, derandomize=True, database=None)
@given(VERSIONS)
def test_actions_lead_to_what_is_wanted_and_then_to_rest(versions):
    ended = {Event.LOAD: Event.LOADED, Event.DRAIN: Event.RELEASED}
    for _ in range(len(versions) * 2):
        action = next_action(versions)
        if action is None:
            break
        event = Event.LOAD if action.change is Change.LOAD else Event.DRAIN
        action.version.move(event)
        action.version.move(ended[event])
    assert next_action(versions) is None
    assert not any(made.is_aspired and made.phase is QUEUED for made in versions)
    if any(made.is_aspired and made.phase is READY for made in versions):
        assert not any(made.phase is READY and not made.is_aspired for made in versions)
