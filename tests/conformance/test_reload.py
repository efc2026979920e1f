"""HandleReloadConfigRequest over a socket, with the stock stubs: section 4.2, and server_core_test of 13.14."""

import contextlib
import logging

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2
from tensorflow_serving.config import model_server_config_pb2

from servable.calls import NO_CONTEXT
from servable.errors import DeadlineExceeded
from servable.transport.server import _WAITING_THREADS
from tests.conformance.calls import (
    DEADLINE_EXCEEDED,
    FAILED_PRECONDITION,
    INTERNAL,
    INVALID_ARGUMENT,
    MODEL_SERVICE,
    NOT_FOUND,
    TIMEOUT_S,
    refused,
)
from tests.conformance.operating import Gate, eventually, model, operate, put, reload_request, remove

METHOD = MODEL_SERVICE + "HandleReloadConfigRequest"
MANAGER = logging.getLogger("servable.lifecycle.manager")
UNKNOWN = grpc.StatusCode.UNKNOWN
LOAD_ATTEMPTS = "/tensorflow/cc/saved_model/load_attempt_count"
NO_LIST = (
    INVALID_ARGUMENT,
    "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported",
)
CUSTOM = 'custom_model_config { type_url: "type.googleapis.com/nobody.Knows" }'


@pytest.fixture
def first(tmp_path):
    """The model that serves at first, with a label that a reload may give it."""
    put(tmp_path / "first", 1)
    return model("first", tmp_path / "first", labels={"stable": 1})


@pytest.fixture
def server(tmp_path, first):
    """A server of `first`."""
    with operate(tmp_path, model("first", tmp_path / "first")) as server:
        server.reload(first)
        yield server


@pytest.fixture
def empty_server(tmp_path):
    """A server to which no config was applied yet."""
    with operate(tmp_path) as server:
        yield server


def unavailable(causes, noun="model(s)"):
    reported = "".join(f"{{{who} due to error: {cause}}}, " for who, cause in causes.items())
    return UNKNOWN, f"{len(causes)} {noun} did not become available: {{{reported}}}"


def failed_load(name, path):
    return f"{{name: {name} version: {path.name}}}", f"NOT_FOUND: no answer in {path}"


# What is refused, and changes nothing.


@pytest.mark.behaviour("4.2", "a config that is no model_config_list is refused")
@pytest.mark.behaviour("12", "reload with a wrong oneof, path, duplicate, platform or label")
@pytest.mark.parametrize("config", ["", "config {}", f"config {{ {CUSTOM} }}", 'metric_names: "/any"'])
def test_a_config_that_is_no_list_is_refused(server, config):
    request = text_format.Parse(config, model_management_pb2.ReloadConfigRequest())
    assert refused(server.running.model.HandleReloadConfigRequest, request) == NO_LIST
    assert server.answer("first", label="stable") == 1


@pytest.mark.behaviour("4.2", "bytes that are no request are INTERNAL without a text")
@pytest.mark.behaviour("12", "undecodable request bytes")
@pytest.mark.parametrize("garbage", [b"\xff", b"\x0a\x05abc"])
def test_bytes_that_are_no_request_are_internal_without_a_text(server, garbage):
    assert refused(server.running.channel.unary_unary(METHOD), garbage) == (INTERNAL, "")


REFUSED = {
    "a name twice": (
        [{"name": "new"}, {"name": "new"}],
        "Illegal to list model new multiple times in config list",
    ),
    "a relative base path": (
        [{"name": "new", "base_path": "models/new"}],
        "Expected model new to have an absolute path or URI; got base_path()=models/new",
    ),
    "an empty base path": (
        [{"name": "new", "base_path": ""}],
        "Expected model new to have an absolute path or URI; got base_path()=",
    ),
    "type and platform": (
        [{"name": "new", "model_type": "TENSORFLOW", "model_platform": "tensorflow"}],
        "Illegal setting both ModelServerConfig::model_type (deprecated) and ModelServerConfig::model_platform, "
        "model name is new",
    ),
    "neither type nor platform": (
        [{"name": "new", "model_platform": ""}],
        "Illegal setting neither ModelServerConfig::model_type (deprecated) nor ModelServerConfig::model_platform, "
        "model name is new",
    ),
    "the type OTHER": (
        [{"name": "new", "model_type": "OTHER"}],
        "ModelServerConfig::model_type choice 2 not supported.",
    ),
    "an unknown platform": (
        [{"name": "new", "model_platform": "caffe"}],
        "Model new requests unsupported platform caffe",
    ),
    "another platform than before": (
        [{"name": "first", "model_platform": "caffe"}],
        "Illegal to change a model's platform. For model first platform was tensorflow and new platform requested is "
        "caffe",
    ),
    "request logging": (
        [{"name": "new", "model_platform": "tensorflow", "logging_config": {}}],
        "No request-logger-creator provided.",
    ),
}


@pytest.mark.behaviour("4.2", "a duplicate name, a bad base path and a changed platform change nothing")
@pytest.mark.behaviour(
    "4.2",
    "type and platform, neither of both, an unsupported platform; ours: they change nothing, and good "
    "configs are taken afterwards",
)
@pytest.mark.behaviour("4.2", "logging_config is refused; ours: before anything has changed")
@pytest.mark.behaviour("6.2", "a name twice, bad paths, type and platform, the platform that changes")
@pytest.mark.behaviour("12", "reload with a wrong oneof, path, duplicate, platform or label")
@pytest.mark.behaviour("13.14", "252 to 257, rules for absolute and relative paths")
@pytest.mark.behaviour("13.14", "261 to 267, type, platform and duplicate names")
@pytest.mark.parametrize(("models", "text"), REFUSED.values(), ids=REFUSED)
def test_a_config_that_is_not_valid_is_refused_and_changes_nothing(server, first, tmp_path, models, text):
    put(tmp_path / "new", 1)
    put(tmp_path / "good", 1)
    bad = [model(**{"base_path": tmp_path / "new", **fields}) for fields in models]
    assert server.refused_reload(model("good", tmp_path / "good"), *bad) == (INVALID_ARGUMENT, text)
    assert server.answer("first", label="stable") == 1
    assert (server.states("first"), server.states("new"), server.states("good")) == ({1: "AVAILABLE"}, {}, {})
    # The original keeps the bad config half and refuses good ones afterwards.
    server.reload(first, model("new", tmp_path / "new"))
    assert server.answer("new") == 1


@pytest.mark.behaviour("4.2", "a label error is FAILED_PRECONDITION; ours: nothing has changed")
@pytest.mark.behaviour("12", "reload with a wrong oneof, path, duplicate, platform or label")
def test_a_label_of_a_version_that_does_not_serve_refuses_the_whole_config(server, first, tmp_path):
    put(tmp_path / "new", 1)
    labelled = model("new", tmp_path / "new", labels={"stable": 1})
    assert server.refused_reload(labelled) == (
        FAILED_PRECONDITION,
        "Request to assign label to version 1 of model new, which is not currently available for inference",
    )
    assert server.answer("first", label="stable") == 1
    assert server.states("new") == {}
    server.reload(first, model("new", tmp_path / "new"))
    server.reload(labelled)
    assert server.answer("new", label="stable") == 1


# What is taken.


@pytest.mark.behaviour("4.2", "success is OK with status OK")
@pytest.mark.behaviour("4.2", "a reload waits for each new model")
@pytest.mark.behaviour("13.14", "268 RequestLoggingOff")
def test_a_reload_is_ok_with_a_status_of_ok_once_the_new_model_serves(server, first, tmp_path):
    put(tmp_path / "new", 7)
    response = server.reload(first, model("new", tmp_path / "new"))
    assert response.HasField("status")
    assert (response.status.error_code, response.status.error_message, list(response.metric)) == (0, "", [])
    assert server.answer("new") == 7
    assert server.answer("first", label="stable") == 1
    assert server.is_serving("new")


@pytest.mark.behaviour("4.2", "the list replaces models, policies and labels")
def test_the_same_config_again_changes_nothing(server, first):
    for _ in range(3):
        server.reload(first)
    assert len(server.loader.tries) == 1
    assert server.answer("first", label="stable") == 1


@pytest.mark.behaviour("4.1", "an unload and a removed model are published")
@pytest.mark.behaviour("4.2", "the list replaces models, policies and labels")
@pytest.mark.behaviour("13.14", "249 ReloadConfigUnloadsModels")
@pytest.mark.behaviour("13.14", "287 MultipleServables, 288 ChangeSetOfServables, 289 ChangeVersionPolicy")
def test_a_model_that_is_not_in_the_list_leaves(server, tmp_path):
    leaving = server.loader.servables[tmp_path / "first" / "1"]
    put(tmp_path / "new", 1)
    server.reload(model("new", tmp_path / "new"))
    server.await_states("first", {1: "END"})
    assert server.refused_call("first") == (NOT_FOUND, "Servable not found for request: Latest(first)")
    assert server.refused_call("first", label="stable") == (
        INVALID_ARGUMENT,
        "Unrecognized servable version label: stable",
    )
    assert not server.is_serving("first")
    assert leaving.closed.is_set()


@pytest.mark.behaviour("4.2", "ours: a reload is answered once the models that it removes are refused")
def test_a_reload_that_removes_a_model_is_answered_only_once_the_model_is_refused(server, first, tmp_path, caplog):
    caplog.set_level(logging.INFO, MANAGER.name)
    put(tmp_path / "guest", 1)
    server.reload(first, model("guest", tmp_path / "guest"))
    with held_at(MANAGER, "unloading {name: guest version: 1}") as gate:
        removal = server.begin_reload(first)
        gate.await_arrival()
        assert server.answer("guest") == 1
        # Not answered: this one comes after it, and not even this one is.
        assert server.refused_reload(first, timeout_s=0.2)[0] is DEADLINE_EXCEEDED
        assert not removal.done()
    removal.result(TIMEOUT_S)
    assert server.refused_call("guest")[0] is NOT_FOUND


@contextlib.contextmanager
def held_at(log, text):
    """Yields a Gate that holds the thread which logs a text, until the end."""
    gate = Gate()

    def hold(record):
        if text in record.getMessage():
            gate.hold()
        return True

    log.addFilter(hold)
    try:
        yield gate
    finally:
        gate.open()
        log.removeFilter(hold)


@pytest.mark.behaviour("4.1", "a version that comes back overwrites its entry")
@pytest.mark.behaviour("13.14", "250 ReloadConfigHandlesLoadingAPreviouslyUnloadedModel")
def test_a_model_that_left_comes_back(server, first, tmp_path):
    server.reload()
    server.await_states("first", {1: "END"})
    server.reload(model("first", tmp_path / "first"))
    assert server.states("first") == {1: "AVAILABLE"}
    assert server.is_serving("first")
    server.reload(first)
    assert server.answer("first", label="stable") == 1


@pytest.mark.behaviour("4.1", "an unload and a removed model are published")
@pytest.mark.behaviour("4.2", "an empty list unloads everything")
@pytest.mark.behaviour("13.14", "249 ReloadConfigUnloadsModels")
def test_an_empty_list_unloads_everything(server):
    server.reload()
    server.await_states("first", {1: "END"})
    assert server.refused_call("first") == (NOT_FOUND, "Servable not found for request: Latest(first)")
    assert not server.is_serving("first")
    assert server.is_serving("")


@pytest.mark.behaviour("4.2", "the list replaces models, policies and labels")
@pytest.mark.behaviour("4.2", "changes to models that were configured before are not waited for")
@pytest.mark.behaviour("13.14", "251 ReloadConfigChangeModelBasePath")
def test_the_list_replaces_base_paths_and_policies_without_waiting(server, tmp_path):
    held = server.loader.hold_load(put(tmp_path / "moved", 5))
    put(tmp_path / "moved", 4)
    server.reload(model("first", tmp_path / "moved", "all {}"))
    held.await_arrival()
    assert server.answer("first") == 1
    held.open()
    server.await_states("first", {5: "AVAILABLE", 4: "AVAILABLE", 1: "END"})
    assert [server.answer("first", version=number) for number in (4, 5)] == [4, 5]


@pytest.mark.behaviour("6.2", "models may share a base path, and a slash at its end is fine")
def test_models_may_share_a_base_path_and_a_trailing_slash_is_fine(server, first, tmp_path):
    server.reload(first, model("twin", tmp_path / "first"), model("third", f"{tmp_path}/first/"))
    assert [server.answer(name) for name in ("first", "twin", "third")] == [1, 1, 1]


@pytest.mark.behaviour("6.2", "model_type TENSORFLOW still works")
@pytest.mark.behaviour("13.14", "261 to 267, type, platform and duplicate names")
def test_the_deprecated_model_type_still_works(server, tmp_path):
    put(tmp_path / "old", 3)
    server.reload(model("old", tmp_path / "old", model_type="TENSORFLOW"))
    assert server.answer("old") == 3


# A new model that does not become available.


@pytest.mark.behaviour("4.2", "a new model that fails to load is UNKNOWN, and the others serve")
def test_a_new_model_that_cannot_be_loaded_is_reported_and_the_others_serve(server, first, tmp_path):
    bad = put(tmp_path / "bad", 2)
    (bad / "answer").unlink()
    put(tmp_path / "good", 1)
    models = [first, model("bad", tmp_path / "bad"), model("good", tmp_path / "good")]
    assert server.refused_reload(*models) == unavailable(dict([failed_load("bad", bad)]))
    assert server.states("bad") == {2: ("END", 5, f"no answer in {bad}")}
    assert not server.is_serving("bad")
    eventually(lambda: server.states("good"), {1: "AVAILABLE"})
    assert server.answer("first", label="stable") == 1


@pytest.mark.behaviour("4.2", "a new model that fails to load is UNKNOWN, and the others serve")
def test_models_that_cannot_be_loaded_are_reported_in_the_order_of_the_config(server, tmp_path):
    paths = {name: put(tmp_path / name, 1) for name in ("z", "a", "m")}
    for path in paths.values():
        (path / "answer").unlink()
    models = [model(name, tmp_path / name) for name in paths]
    assert server.refused_reload(*models) == unavailable(dict(failed_load(*pair) for pair in paths.items()))


@pytest.mark.behaviour("4.2", "ours: a missing base path, or one without versions, is reported at once, and polled on")
def test_a_new_model_whose_base_path_is_missing_is_reported_at_once_and_loaded_once_it_exists(server, first, tmp_path):
    new = model("new", tmp_path / "new")
    cause = (
        f"NOT_FOUND: Could not find base path {tmp_path}/new for servable new with error "
        f"NOT_FOUND: {tmp_path}/new; No such file or directory"
    )
    assert server.refused_reload(first, new) == unavailable({"new": cause})
    assert not server.is_serving("new")
    put(tmp_path / "new", 1)
    server.await_states("new", {1: "AVAILABLE"})
    assert server.is_serving("new")


@pytest.mark.behaviour("4.2", "ours: a missing base path, or one without versions, is reported at once, and polled on")
def test_a_new_model_without_versions_is_reported_at_once_and_loaded_once_it_has_one(server, first, tmp_path):
    (tmp_path / "new" / "first").mkdir(parents=True)
    cause = f"NOT_FOUND: no versions found under base path {tmp_path}/new"
    assert server.refused_reload(first, model("new", tmp_path / "new")) == unavailable({"new": cause})
    put(tmp_path / "new", 1)
    server.await_states("new", {1: "AVAILABLE"})


@pytest.mark.behaviour("4.2", "the highest version that is AVAILABLE or END decides")
def test_the_highest_version_that_serves_or_has_ended_decides(server, tmp_path):
    bad = put(tmp_path / "new", 2)
    (bad / "answer").unlink()
    put(tmp_path / "new", 1)
    reported = server.refused_reload(model("new", tmp_path / "new", "all {}"))
    assert reported == unavailable(dict([failed_load("new", bad)]))
    server.await_states("new", {2: ("END", 5, f"no answer in {bad}"), 1: "AVAILABLE"})


@pytest.mark.behaviour("4.2", "the highest version that is AVAILABLE or END decides")
def test_the_highest_version_decides_even_if_a_lower_one_serves_by_then(tmp_path, first):
    bad = put(tmp_path / "new", 2)
    (bad / "answer").unlink()
    put(tmp_path / "new", 1)
    slow = put(tmp_path / "slow", 1)
    with operate(tmp_path, model("first", tmp_path / "first"), num_load_threads=2) as server:
        held = server.loader.hold_load(slow)
        models = [model("new", tmp_path / "new", "all {}"), model("slow", tmp_path / "slow")]
        waiting = server.begin_reload(*models)
        server.await_states("new", {2: ("END", 5, f"no answer in {bad}"), 1: "AVAILABLE"})
        assert not waiting.done()
        held.open()
        error = waiting.exception(TIMEOUT_S)
    assert (error.code(), error.details()) == unavailable(dict([failed_load("new", bad)]))


@pytest.mark.behaviour("4.2", "old END states do not count")
def test_what_became_of_a_model_before_does_not_count(server, first, tmp_path):
    path = put(tmp_path / "new", 1)
    (path / "answer").unlink()
    new = model("new", tmp_path / "new")
    assert server.refused_reload(first, new)[0] is UNKNOWN
    server.reload(first)
    (path / "answer").write_text("4")
    held = server.loader.hold_load(path)
    call = server.begin_reload(first, new)
    held.await_arrival()
    assert not call.done()
    held.open()
    assert call.result(TIMEOUT_S).status.error_code == 0
    assert server.answer("new") == 4


# Waiting.


@pytest.mark.behaviour("4.2", "a reload waits for each new model")
def test_a_reload_waits_for_each_new_model(server, first, tmp_path):
    gates = [server.loader.hold_load(put(tmp_path / name, 1)) for name in ("a", "b")]
    call = server.begin_reload(first, model("a", tmp_path / "a"), model("b", tmp_path / "b"))
    for gate in gates:
        gate.await_arrival()
        assert not call.done()
        gate.open()
    call.result(TIMEOUT_S)
    assert [server.answer(name) for name in ("a", "b")] == [1, 1]


@pytest.mark.behaviour("4.2", "ours: a deadline ends the wait, not the load, and its error names what is missing")
def test_a_reload_whose_deadline_passes_stays_applied(server, first, tmp_path):
    held = server.loader.hold_load(put(tmp_path / "new", 1))
    models = [first, model("new", tmp_path / "new")]
    assert server.refused_reload(*models, timeout_s=0.2)[0] is DEADLINE_EXCEEDED
    held.await_arrival()
    assert server.states("new") == {1: "LOADING"}
    held.open()
    server.await_states("new", {1: "AVAILABLE"})
    assert server.answer("new") == 1


@pytest.mark.behaviour("4.2", "ours: a deadline ends the wait, not the load, and its error names what is missing")
def test_models_that_still_load_at_the_deadline_are_reported(server, first, tmp_path):
    held = server.loader.hold_load(put(tmp_path / "new", 1))
    method = server.running.server._waiting_methods({})[METHOD]
    request = reload_request(first, model("new", tmp_path / "new")).SerializeToString()
    with pytest.raises(DeadlineExceeded) as caught:
        method(request, 0.05, NO_CONTEXT)
    held.open()
    assert str(caught.value) == (
        "DEADLINE_EXCEEDED: The config is applied, and goes on to load what is missing: "
        "{{new due to error: UNAVAILABLE: it is still loading}, }"
    )


@pytest.mark.behaviour("4.2", "ours: a reload that waits holds up no other, and no request")
def test_a_reload_that_waits_holds_up_no_other(server, first, tmp_path):
    held = server.loader.hold_load(put(tmp_path / "slow", 1))
    put(tmp_path / "new", 1)
    slow = model("slow", tmp_path / "slow")
    waiting = server.begin_reload(first, slow)
    held.await_arrival()
    # Its load holds the one load thread, so that the other reload brings a label.
    server.reload(model("first", tmp_path / "first", labels={"other": 1}), slow)
    assert server.answer("first", label="other") == 1
    assert not waiting.done()
    held.open()
    waiting.result(TIMEOUT_S)


@pytest.mark.behaviour("4.2", "ours: a reload that waits holds up no other, and no request")
@pytest.mark.behaviour("5", "--num_load_threads")
def test_with_two_load_threads_a_model_that_hangs_holds_up_no_other(tmp_path, first):
    put(tmp_path / "new", 1)
    hanging = put(tmp_path / "hanging", 1)
    with operate(tmp_path, model("first", tmp_path / "first"), num_load_threads=2) as server:
        held = server.loader.hold_load(hanging)
        models = [first, model("hanging", tmp_path / "hanging")]
        waiting = server.begin_reload(*models)
        held.await_arrival()
        server.reload(*models, model("new", tmp_path / "new"))
        assert server.answer("new") == 1
        held.open()
        waiting.result(TIMEOUT_S)


@pytest.mark.behaviour("4.2", "ours: a reload that waits holds up no other, and no request")
def test_reloads_that_wait_hold_up_no_predict(tmp_path, first):
    slow = [model(f"slow{number}", put(tmp_path / f"slow{number}", 1).parent) for number in range(12)]
    with operate(tmp_path, model("first", tmp_path / "first"), grpc_max_threads=1, num_load_threads=12) as server:
        gates = [server.loader.hold_load(tmp_path / each.name / "1") for each in slow]
        waiting = []
        for count in range(1, len(slow) + 1):
            waiting.append(server.begin_reload(first, *slow[:count]))
            gates[count - 1].await_arrival()
        for _ in range(20):
            assert server.answer("first") == 1
            assert server.is_serving("first")
        assert not any(call.done() for call in waiting)
        for gate in gates:
            gate.open()
        assert [call.result(TIMEOUT_S).status.error_code for call in waiting] == [0] * 12


@pytest.mark.behaviour("4.2", "ours: a wait for a model that is removed again ends")
def test_a_reload_that_leaves_a_model_out_again_ends_who_waits_for_it(server, first, tmp_path):
    held = server.loader.hold_load(put(tmp_path / "slow", 1))
    waiting = server.begin_reload(first, model("slow", tmp_path / "slow"))
    held.await_arrival()
    server.reload(first)
    assert waiting.exception(TIMEOUT_S).code() is UNKNOWN
    assert waiting.exception().details().startswith("1 model(s) did not become available: {{slow due to error: ")
    held.open()
    server.await_states("slow", {1: ("END", 1, "Loading of servable cancelled")})
    assert server.loader.servables[tmp_path / "slow" / "1"].closed.wait(TIMEOUT_S)


# The first config of a server that was started without one.


@pytest.mark.behaviour("6.1", "a config that sets neither is taken, and the first reload is then like a start")
@pytest.mark.behaviour("13.14", "248 ReloadConfigWaitsTillModelsAvailable")
def test_the_first_reload_waits_for_all_models_as_a_start_does(empty_server, tmp_path):
    held = empty_server.loader.hold_load(put(tmp_path / "a", 1))
    call = empty_server.begin_reload(model("a", tmp_path / "a"))
    held.await_arrival()
    assert not call.done()
    held.open()
    call.result(TIMEOUT_S)
    assert empty_server.answer("a") == 1


@pytest.mark.behaviour("6.1", "a config that sets neither is taken, and the first reload is then like a start")
@pytest.mark.behaviour("13.14", "258 ErroringModel")
def test_the_first_reload_says_servables(empty_server, tmp_path):
    bad = put(tmp_path / "bad", 1)
    (bad / "answer").unlink()
    models = [model("bad", tmp_path / "bad")]
    causes = dict([failed_load("bad", bad)])
    assert empty_server.refused_reload(*models) == unavailable(causes, "servable(s)")
    empty_server.reload()
    assert empty_server.refused_reload(*models) == unavailable(causes, "model(s)")


@pytest.mark.behaviour("4.2", "a config that is no model_config_list is refused")
def test_until_a_config_is_taken_a_custom_one_is_refused_in_the_same_words(empty_server):
    config = text_format.Parse(CUSTOM, model_server_config_pb2.ModelServerConfig())
    request = model_management_pb2.ReloadConfigRequest(config=config)
    assert refused(empty_server.running.model.HandleReloadConfigRequest, request) == NO_LIST


# Metrics.


def increases(response):
    return {metric.name: metric.int64_value_increase for metric in response.metric}


@pytest.mark.behaviour("4.2", "metric_names are answered with their increase, each once, an unknown one with 0")
def test_a_metric_is_reported_with_its_increase_once_however_often_it_is_asked_for(empty_server, tmp_path):
    put(tmp_path / "a", 1)
    names = [LOAD_ATTEMPTS, "/tensorflow/serving/request_count", LOAD_ATTEMPTS, "nobody's"]
    response = empty_server.reload(model("a", tmp_path / "a"), metrics=names)
    assert len(response.metric) == 3
    assert increases(response) == {LOAD_ATTEMPTS: 1, "/tensorflow/serving/request_count": 0, "nobody's": 0}


@pytest.mark.behaviour("4.2", "metric_names are answered with their increase, each once, an unknown one with 0")
def test_a_metric_counts_from_reload_to_reload(empty_server, tmp_path):
    put(tmp_path / "a", 1)
    empty_server.reload(model("a", tmp_path / "a"))
    assert increases(empty_server.reload(model("a", tmp_path / "a"), metrics=[LOAD_ATTEMPTS])) == {LOAD_ATTEMPTS: 0}
    empty_server.reload()
    empty_server.await_states("a", {1: "END"})
    assert increases(empty_server.reload(model("a", tmp_path / "a"), metrics=[LOAD_ATTEMPTS])) == {LOAD_ATTEMPTS: 1}


@pytest.mark.behaviour("4.2", "status and metric are only visible on OK")
def test_a_reload_that_fails_reports_no_metrics(server, tmp_path):
    request = reload_request(model("new", tmp_path / "new"), metrics=[LOAD_ATTEMPTS])
    with pytest.raises(grpc.RpcError) as caught:
        server.running.model.HandleReloadConfigRequest(request, timeout=TIMEOUT_S)
    assert caught.value.code() is UNKNOWN


@pytest.mark.behaviour("4.2", "ours: a wait for a model that is removed again ends")
def test_a_version_that_is_removed_while_a_reload_waits_for_it_ends_the_wait(server, first, tmp_path):
    path = put(tmp_path / "new", 1)
    held = server.loader.hold_load(path)
    waiting = server.begin_reload(first, model("new", tmp_path / "new"))
    held.await_arrival()
    put(tmp_path / "new", 0)
    remove(path)
    server.await_states("new", {1: "LOADING", 0: "START"})
    held.open()
    assert (waiting.exception(TIMEOUT_S).code(), waiting.exception().details()) == unavailable(
        dict([failed_load("new", path)])
    )
    server.await_states("new", {1: ("END", 5, f"no answer in {path}"), 0: "AVAILABLE"})


@pytest.mark.behaviour("4.2", "ours: a cancelled call keeps no thread")
def test_callers_who_go_away_hold_no_thread(server, first, tmp_path):
    models = [first]
    # More of them than there are threads for calls that wait.
    for number in range(_WAITING_THREADS + 1):
        held = server.loader.hold_load(put(tmp_path / f"new{number}", 1))
        models.append(model(f"new{number}", tmp_path / f"new{number}"))
        waiting = server.running.model.HandleReloadConfigRequest.future(reload_request(*models), timeout=TIMEOUT_S)
        server.await_states(f"new{number}", {1: "LOADING"} if number == 0 else {1: "START"})
        waiting.cancel()
    server.reload(first)
    held.open()
