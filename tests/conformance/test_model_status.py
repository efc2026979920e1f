"""GetModelStatus over a socket, with the stock stubs, and from the monitor's states to the reply.

Section 4.1 of docs/conformance.md; which states the manager publishes is in tests/lifecycle/test_manager.py.
"""

import pytest
from tensorflow_serving.apis import get_model_status_pb2

from servable import errors
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import ServableId, State, VersionState
from servable.management.model_service import GetModelStatus
from tests.conformance.calls import (
    INTERNAL,
    INVALID_ARGUMENT,
    MODEL_SERVICE,
    NOT_FOUND,
    TIMEOUT_S,
    model_spec,
    refusal,
)
from tests.conformance.calls import refused as refused_call
from tests.conformance.example_calls import MODELS
from tests.conformance.versions import serve_versions

ModelVersionStatus = get_model_status_pb2.ModelVersionStatus
START, LOADING, AVAILABLE = ModelVersionStatus.START, ModelVersionStatus.LOADING, ModelVersionStatus.AVAILABLE
END = ModelVersionStatus.END


@pytest.fixture
def served(servers):
    return servers(*MODELS, runs="private")


@pytest.fixture(scope="module")
def four_versions(models, tmp_path_factory):
    """The model `many`: 2, 10 and 123 serve, 124 has no saved_model.pb."""
    good, empty = models.version_path("half_plus_two"), models.version_path("empty_directory")
    versions = {"10": good, "2": good, "00000123": good, "124": empty}
    with serve_versions(tmp_path_factory.mktemp("many"), "many", versions) as running:
        yield running


def request_for(*arguments, **spec):
    return get_model_status_pb2.GetModelStatusRequest(model_spec=model_spec(*arguments, **spec))


def ask(running, *arguments, **spec):
    response = running.model.GetModelStatus(request_for(*arguments, **spec), timeout=TIMEOUT_S)
    return list(response.model_version_status)


def refused(running, *arguments, **spec):
    return refused_call(running.model.GetModelStatus, request_for(*arguments, **spec))


def states(entries):
    return [(entry.version, entry.state) for entry in entries]


# Over a socket.


@pytest.mark.behaviour("4.1", "the status submessage is always set")
@pytest.mark.behaviour("13.1", "1 testGetModelStatus")
def test_a_version_that_serves_is_available_with_an_empty_status(served):
    (entry,) = ask(served, "half_plus_two")
    assert states([entry]) == [(1, AVAILABLE)]
    assert entry.HasField("status")
    assert (entry.status.error_code, entry.status.error_message) == (0, "")


@pytest.mark.behaviour("4.1", "all versions ever seen, by descending number")
@pytest.mark.behaviour("13.9", "124 AllVersionsSuccess")
def test_all_versions_come_by_descending_number(four_versions):
    assert states(ask(four_versions, "many")) == [(124, END), (123, AVAILABLE), (10, AVAILABLE), (2, AVAILABLE)]


@pytest.mark.behaviour("4.1", "a failed load is END with its error")
def test_a_version_that_failed_to_load_says_why(four_versions):
    entry = ask(four_versions, "many")[0]
    assert entry.status.error_code == 5
    assert entry.status.error_message.startswith(
        "Specified file path does not appear to contain a SavedModel bundle "
        "(should have a file called `saved_model.pb`)\nSpecified file path: /"
    )


@pytest.mark.behaviour("4.1", "the status submessage is always set")
def test_every_version_has_a_status_failed_or_not(four_versions):
    assert all(entry.HasField("status") for entry in ask(four_versions, "many"))


@pytest.mark.behaviour("4.1", "a version comes alone, an unknown one is not found")
@pytest.mark.behaviour("13.9", "125 SingleVersionSuccess")
@pytest.mark.parametrize(("version", "state"), [(124, END), (123, AVAILABLE), (2, AVAILABLE)])
def test_a_version_that_is_asked_for_comes_alone(four_versions, version, state):
    assert states(ask(four_versions, "many", version=version)) == [(version, state)]


@pytest.mark.behaviour("4.1", "a label is ignored")
@pytest.mark.parametrize("label", ["stable", "nope", ""])
def test_a_label_is_not_looked_at(four_versions, label):
    assert len(ask(four_versions, "many", label=label)) == 4


@pytest.mark.behaviour("4.1", "a label is ignored")
def test_a_signature_name_is_not_looked_at(served):
    assert ask(served, "half_plus_two", "nope") == ask(served, "half_plus_two")


@pytest.mark.behaviour("4.1", "no model spec")
@pytest.mark.behaviour("12", "no model_spec")
@pytest.mark.behaviour("13.9", "121 MissingOrEmptyModelSpecFailure")
def test_a_request_without_a_model_spec_is_refused(served):
    request = get_model_status_pb2.GetModelStatusRequest()
    assert refused_call(served.model.GetModelStatus, request) == (INVALID_ARGUMENT, "Missing ModelSpec")


@pytest.mark.behaviour("4.1", "an empty name is a name of which nothing is known")
@pytest.mark.behaviour("4.1", "a version comes alone, an unknown one is not found")
@pytest.mark.behaviour("4.1", "an unknown model is not found")
@pytest.mark.behaviour("12", "status of an unknown model or version")
@pytest.mark.behaviour("13.9", "121 MissingOrEmptyModelSpecFailure")
@pytest.mark.behaviour("13.9", "122 InvalidModelNameFailure, 123 InvalidModelVersionFailure")
@pytest.mark.parametrize(
    ("name", "spec", "text"),
    [
        ("nope", {}, "Could not find any versions of model nope"),
        ("nope", {"label": "stable"}, "Could not find any versions of model nope"),
        ("nope", {"version": 1}, "Could not find version 1 of model nope"),
        ("half_plus_two", {"version": 9}, "Could not find version 9 of model half_plus_two"),
        ("half_plus_two", {"version": 0}, "Could not find version 0 of model half_plus_two"),
        ("half_plus_two", {"version": -1}, "Could not find version -1 of model half_plus_two"),
        # An empty name is a name of which nothing is known: the text ends with a space.
        ("", {}, "Could not find any versions of model "),
        ("", {"version": 1}, "Could not find version 1 of model "),
    ],
)
def test_what_was_never_seen_is_not_found(served, name, spec, text):
    assert refused(served, name, **spec) == (NOT_FOUND, text)


@pytest.mark.behaviour("4.1", "an unknown model is not found")
def test_known_versions_and_models_are_listed_beside_the_text(four_versions):
    reported = refusal(four_versions.model.GetModelStatus, request_for("many", version=9))
    assert reported.hints == {"known_versions": "124, 123, 10, 2"}
    reported = refusal(four_versions.model.GetModelStatus, request_for("mani"))
    assert reported.hints == {"known_models": "many", "did_you_mean": "many"}


@pytest.mark.behaviour("12", "undecodable request bytes")
def test_bytes_that_are_no_request_are_internal_without_a_text(served):
    method = served.channel.unary_unary(MODEL_SERVICE + "GetModelStatus")
    assert refused_call(method, b"\xff") == (INTERNAL, "")


# From the monitor to the reply.


def status_of(monitor, name="m", **spec):
    reply = GetModelStatus(monitor)(request_for(name, **spec).SerializeToString(), None)
    return list(get_model_status_pb2.GetModelStatusResponse.FromString(reply).model_version_status)


def identify(number, name="m"):
    return ServableId(name, number)


@pytest.mark.behaviour("4.1", "UNLOADING: removed, waiting for those in flight")
@pytest.mark.behaviour("4.1", "END: unloaded with status OK")
@pytest.mark.parametrize(
    ("state", "reported"),
    [
        (State.START, ModelVersionStatus.START),
        (State.LOADING, ModelVersionStatus.LOADING),
        (State.AVAILABLE, ModelVersionStatus.AVAILABLE),
        (State.UNLOADING, ModelVersionStatus.UNLOADING),
        (State.END, ModelVersionStatus.END),
    ],
)
def test_each_state_is_reported_by_its_number_with_status_ok(state, reported):
    monitor = StateMonitor()
    monitor.publish(identify(1), VersionState(state))
    (entry,) = status_of(monitor)
    assert entry.state == reported
    assert entry.HasField("status")
    assert (entry.status.error_code, entry.status.error_message) == (0, "")


@pytest.mark.behaviour("4.1", "the text of an error is complete")
def test_the_text_of_a_failure_is_reported_whole():
    monitor = StateMonitor()
    text = "long" * 1000
    monitor.publish(identify(1), VersionState(State.END, errors.DataLoss(text)))
    (entry,) = status_of(monitor)
    assert (entry.status.error_code, entry.status.error_message) == (15, text)


@pytest.mark.behaviour("4.1", "only END has an error: the state of a failed try is LOADING with status OK")
@pytest.mark.parametrize("state", [State.START, State.LOADING, State.AVAILABLE, State.UNLOADING])
def test_an_error_is_reported_only_when_a_version_has_ended_with_it(state):
    monitor = StateMonitor()
    monitor.publish(identify(1), VersionState(state, errors.DataLoss("of the last try")))
    (entry,) = status_of(monitor)
    assert (entry.status.error_code, entry.status.error_message) == (0, "")


@pytest.mark.behaviour("4.1", "a state is never forgotten")
def test_an_ended_version_is_never_forgotten():
    monitor = StateMonitor()
    monitor.publish(identify(1), VersionState(State.AVAILABLE))
    monitor.publish(identify(1), VersionState(State.END))
    monitor.publish(identify(2), VersionState(State.AVAILABLE))
    assert states(status_of(monitor)) == [(2, AVAILABLE), (1, END)]


@pytest.mark.behaviour("4.1", "a version that comes back overwrites its entry")
def test_a_version_that_comes_back_takes_the_place_of_what_was_known():
    monitor = StateMonitor()
    monitor.publish(identify(1), VersionState(State.END, errors.NotFound("gone")))
    monitor.publish(identify(1), VersionState(State.AVAILABLE))
    (entry,) = status_of(monitor)
    assert states([entry]) == [(1, AVAILABLE)]
    assert (entry.status.error_code, entry.status.error_message) == (0, "")


@pytest.mark.behaviour("4.1", "all versions ever seen, by descending number")
@pytest.mark.behaviour("13.14", "servable_state_monitor_test")
def test_versions_are_sorted_as_numbers_whatever_order_they_came_in():
    monitor = StateMonitor()
    for number in (9, -1, 10, 2**63 - 1, 0):
        monitor.publish(identify(number), VersionState(State.START))
    assert [entry.version for entry in status_of(monitor)] == [2**63 - 1, 10, 9, 0, -1]
    assert states(status_of(monitor, version=0)) == [(0, START)]


@pytest.mark.behaviour("4.1", "all versions ever seen, by descending number")
def test_models_are_kept_apart():
    monitor = StateMonitor()
    monitor.publish(identify(1, "a"), VersionState(State.AVAILABLE))
    monitor.publish(identify(2, "b"), VersionState(State.END))
    assert states(status_of(monitor, "a")) == [(1, AVAILABLE)]
    assert states(status_of(monitor, "b")) == [(2, END)]
    assert sorted(monitor.names()) == ["a", "b"]
    assert (monitor.is_available("a"), monitor.is_available("b"), monitor.is_available("c")) == (True, False, False)


@pytest.mark.behaviour("4.1", "what is published can be read at once and what was read does not change")
def test_what_was_read_of_a_monitor_does_not_change_later():
    monitor = StateMonitor()
    monitor.publish(identify(1), VersionState(State.START))
    read = monitor.versions("m")
    monitor.publish(identify(1), VersionState(State.END))
    assert read == {1: VersionState(State.START)}


@pytest.mark.behaviour("4.1", "what is published can be read at once and what was read does not change")
@pytest.mark.behaviour("13.14", "servable_state_monitor_test")
def test_a_listener_hears_every_state_when_it_can_already_be_read():
    monitor = StateMonitor()
    monitor.publish(identify(1), VersionState(State.START))
    heard = []
    monitor.listen(lambda servable, state: heard.append((servable, state, monitor.versions("m")[servable.version])))
    for state in (VersionState(State.LOADING), VersionState(State.AVAILABLE)):
        monitor.publish(identify(1), state)
    assert heard == [
        (identify(1), VersionState(State.LOADING), VersionState(State.LOADING)),
        (identify(1), VersionState(State.AVAILABLE), VersionState(State.AVAILABLE)),
    ]
