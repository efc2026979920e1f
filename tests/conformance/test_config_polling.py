"""The config file that is polled: section 6.6."""

import grpc
import pytest

from tests.conformance.calls import NOT_FOUND
from tests.conformance.operating import POLL_INTERVAL_S, eventually, model, operate, put, write_config

ANOTHER = (NOT_FOUND, "Servable not found for request: Latest(another)")


@pytest.fixture
def file(tmp_path):
    """The config file."""
    return tmp_path / "models.config"


@pytest.fixture
def models(tmp_path):
    """Two models, of which the server knows the first."""
    for name in ("m", "another"):
        put(tmp_path / name, 1)
    return [model(name, tmp_path / name) for name in ("m", "another")]


@pytest.fixture
def server(tmp_path, models):
    """A server of `m` that reads its config file often."""
    with operate(tmp_path, models[0], model_config_file_poll_wait_seconds=POLL_INTERVAL_S) as server:
        yield server


@pytest.mark.behaviour("5", "--model_config_file_poll_wait_seconds")
@pytest.mark.behaviour("6.6", "the file is read again each period and applied like a reload")
def test_a_changed_file_is_applied(server, file, models):
    write_config(file, *models)
    server.await_states("another", {1: "AVAILABLE"})
    assert server.answer("another") == 1
    write_config(file, models[1])
    server.await_states("m", {1: "END"})
    assert server.answer("another") == 1


@pytest.mark.behaviour("1.3", "labels come from the model config")
@pytest.mark.behaviour("6.6", "the file is read again each period and applied like a reload")
def test_labels_and_policies_of_the_file_are_applied(server, file, tmp_path):
    put(tmp_path / "m", 2)
    server.await_states("m", {2: "AVAILABLE", 1: "END"})
    write_config(file, model("m", tmp_path / "m", "all {}", {"stable": 2}))
    server.await_states("m", {2: "AVAILABLE", 1: "AVAILABLE"})
    eventually(lambda: server.version("m", label="stable"), 2)


@pytest.mark.behaviour("6.6", "it is applied even if it has not changed")
def test_a_file_that_does_not_change_is_applied_again_over_what_came_by_rpc(server, models):
    # The file may be applied again before the new model serves, which is reported.
    eventually(lambda: server.begin_reload(*models).code(), grpc.StatusCode.OK)
    server.await_states("another", {1: "END"})
    assert server.answer("m") == 1


WRONG = {
    "no text proto": (
        lambda file, base: file.write_text("improperly formatted"),
        "Failed to read ModelServerConfig file: INVALID_ARGUMENT: Invalid protobuf file: '{file}'",
    ),
    "nothing at all": (
        lambda file, base: file.write_text(""),
        "Failed to read ModelServerConfig file: INVALID_ARGUMENT: {file}; Invalid argument",
    ),
    "no file": (
        lambda file, base: file.unlink(),
        "Failed to read ModelServerConfig file: NOT_FOUND: {file}; No such file or directory",
    ),
    "a name twice": (
        lambda file, base: write_config(file, *[model("m", base)] * 2),
        "INVALID_ARGUMENT: Illegal to list model m multiple times in config list",
    ),
    "another platform": (
        lambda file, base: write_config(file, model("m", base, model_platform="caffe")),
        "INVALID_ARGUMENT: Illegal to change a model's platform.",
    ),
    "a label of a version that does not serve": (
        lambda file, base: write_config(file, model("m", base, "all {}", {"stable": 9})),
        "PollFilesystemAndReloadConfig failed to ReloadConfig: FAILED_PRECONDITION: "
        "Request to assign label to version 9 of model m, which is not currently available for inference",
    ),
}


@pytest.mark.behaviour(
    "6.6", "what is wrong with it is only logged, and the old state stays; ours: once, not at each reading"
)
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_with_the_file_is_logged_once_and_changes_nothing(server, file, models, caplog, wrong):
    spoil, text = WRONG[wrong]
    spoil(file, models[0].base_path)
    eventually(lambda: text.format(file=file) in caplog.text, True)
    assert server.states("m") == {1: "AVAILABLE"}
    assert server.answer("m") == 1
    write_config(file, *models)
    server.await_states("another", {1: "AVAILABLE"})
    assert caplog.text.count(text.format(file=file)) == 1


@pytest.mark.behaviour("6.2", "a list does not give way to a custom config")
@pytest.mark.behaviour(
    "6.6", "what is wrong with it is only logged, and the old state stays; ours: once, not at each reading"
)
@pytest.mark.behaviour("13.14", "259 and 260, a list to a custom config and back")
def test_a_custom_config_where_models_are_served_is_refused_in_the_log(server, file, models, caplog):
    file.write_text('custom_model_config { type_url: "type.googleapis.com/nobody.Knows" }')
    text = (
        "FAILED_PRECONDITION: Cannot transition to requested config. It is only legal to transition from one "
        "ModelConfigList to another."
    )
    eventually(lambda: text in caplog.text, True)
    assert server.answer("m") == 1


@pytest.mark.behaviour("6.6", "a file that sets no config asks for no change")
def test_a_file_that_sets_no_config_changes_nothing(server, file, models, caplog):
    caplog.set_level("INFO")
    file.write_text("# nothing now\n")
    eventually(lambda: "Taking no action for empty config." in caplog.text, True)
    assert server.states("m") == {1: "AVAILABLE"}


@pytest.mark.behaviour("6.6", "the file is read again each period and applied like a reload")
def test_an_empty_list_in_the_file_unloads_everything(server, file):
    write_config(file)
    server.await_states("m", {1: "END"})


@pytest.mark.behaviour("6.6", "ours: a model of the file that is slow holds up no later reading")
def test_a_broken_model_in_the_file_holds_up_no_other_reading(server, file, models, tmp_path):
    held = server.loader.hold_load(put(tmp_path / "slow", 1))
    write_config(file, models[0], model("slow", tmp_path / "slow"))
    held.await_arrival()
    write_config(file, model("m", tmp_path / "m", labels={"stable": 1}), model("slow", tmp_path / "slow"))
    eventually(lambda: server.running.server._router.routes.labels["m"], {"stable": 1})
    assert server.version("m", label="stable") == 1
    held.open()
    server.await_states("slow", {1: "AVAILABLE"})


@pytest.mark.behaviour("5", "--model_config_file_poll_wait_seconds")
@pytest.mark.behaviour("6.6", "0 or less: the file is read once")
@pytest.mark.parametrize("seconds", [0, -1])
def test_without_polling_the_file_is_read_once(tmp_path, models, file, seconds):
    with operate(tmp_path, models[0], model_config_file_poll_wait_seconds=seconds) as server:
        write_config(file, *models)
        put(tmp_path / "m", 2)
        # Base paths are polled meanwhile, more than once.
        server.await_states("m", {2: "AVAILABLE", 1: "END"})
        assert server.refused_call("another") == ANOTHER
        assert not [loop for loop in server.running.server._control._loops if loop._thread.name == "config file"]


@pytest.mark.behaviour("6.6", "the file is read again each period and applied like a reload")
def test_a_server_whose_file_sets_nothing_at_first_serves_once_it_does(tmp_path, models, file):
    with operate(tmp_path, model_config_file_poll_wait_seconds=POLL_INTERVAL_S) as server:
        write_config(file, *models)
        server.await_states("m", {1: "AVAILABLE"})
        assert server.is_serving("m")
