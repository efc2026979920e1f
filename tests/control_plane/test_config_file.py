"""The config file that is read again and again: when, what is applied, and what is logged of a bad one."""

from concurrent.futures import Future

import pytest

from servable.control_plane import ConfigFile
from servable.lifecycle.monitor import StateMonitor
from servable.management.served_models import ServedModels
from servable.routing import Router

ONE = 'model_config_list { config { name: "one" base_path: "/one" model_platform: "tensorflow" } }'
LABELLED = ONE.replace('base_path: "/one"', 'base_path: "/one" version_labels { key: "stable" value: 1 }')


class Polled:
    """A config file, and the names of each config that was applied."""

    def __init__(self, path):
        self.path, self.applied, self.monitor = path, [], StateMonitor()
        self.served = ServedModels(self._watch, self.monitor, Router())
        self.file = ConfigFile(str(path), 10, self.served)

    def _watch(self, models):
        self.applied.append([model.name for model in models])
        looked = Future()
        looked.set_result({})
        return looked


@pytest.fixture
def polled(tmp_path):
    return Polled(tmp_path / "models.config")


@pytest.mark.behaviour("6.6", "the file is read again and applied even if unchanged")
def test_the_file_is_read_at_once_and_then_when_the_interval_is_over(polled):
    polled.path.write_text(ONE)
    assert polled.file.turn(100) == 110
    assert polled.file.turn(109.9) == 110
    assert polled.applied == [["one"]]
    assert polled.file.turn(110) == 120
    assert polled.file.turn(135) == 145
    # Also if it did not change, as in the original.
    assert polled.applied == [["one"]] * 3


def test_what_the_file_says_now_is_applied(polled):
    for now_s, (text, names) in enumerate(
        [(ONE, ["one"]), (ONE.replace("one", "two"), ["two"]), ("model_config_list {}", [])]
    ):
        polled.path.write_text(text)
        polled.file.turn(now_s * 10)
        assert polled.applied[-1] == names
    assert len(polled.applied) == 3


@pytest.mark.behaviour("6.1", "a config that is not set asks for no change")
def test_a_file_that_sets_no_config_changes_nothing_and_is_no_error(polled, caplog):
    polled.path.write_text(ONE)
    polled.file.turn(0)
    polled.path.write_text("# nothing")
    polled.file.turn(10)
    assert polled.applied == [["one"]]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.behaviour(
    "6.6", "what is wrong with it is only logged, and the old state stays; ours: once, not at each reading"
)
@pytest.mark.behaviour("6.6", "what is wrong with the file is only logged; ours: once")
@pytest.mark.behaviour("14", "an error of a polled config file is logged once, not at each poll, and changes nothing")
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (None, "Failed to read ModelServerConfig file: NOT_FOUND: {path}; No such file or directory"),
        ("", "Failed to read ModelServerConfig file: INVALID_ARGUMENT: {path}; Invalid argument"),
        ("rubbish", "Failed to read ModelServerConfig file: INVALID_ARGUMENT: Invalid protobuf file: '{path}'"),
        (
            ONE.replace('"/one"', '"relative"'),
            "Failed to read ModelServerConfig file: INVALID_ARGUMENT: Expected model one to have an absolute path or "
            "URI; got base_path()=relative",
        ),
        (
            "custom_model_config {}",
            "Failed to read ModelServerConfig file: FAILED_PRECONDITION: Cannot transition to requested config. "
            "It is only legal to transition from one ModelConfigList to another.",
        ),
        (
            LABELLED,
            "PollFilesystemAndReloadConfig failed to ReloadConfig: FAILED_PRECONDITION: Request to assign label to "
            "version 1 of model one, which is not currently available for inference",
        ),
    ],
)
def test_what_is_wrong_is_logged_once_and_changes_nothing(polled, caplog, text, complaint):
    polled.path.write_text(ONE)
    polled.file.turn(0)
    polled.path.unlink()
    if text is not None:
        polled.path.write_text(text)
    for now_s in (10, 20, 30):
        assert polled.file.turn(now_s) == now_s + 10
    assert caplog.messages == [complaint.format(path=polled.path)]
    assert polled.applied == [["one"]]
    # Once it is right it is applied again; and the same fault after that is logged again.
    polled.path.write_text(ONE)
    polled.file.turn(40)
    assert polled.applied == [["one"]] * 2
    polled.path.write_text(text or "")
    polled.file.turn(50)
    assert len(caplog.messages) == 2


def test_models_that_are_not_waited_for_have_no_listener(polled):
    polled.path.write_text(ONE)
    polled.file.turn(0)
    assert polled.monitor._listeners == []


@pytest.mark.behaviour("14", "an error of a polled config file is logged once, not at each poll, and changes nothing")
def test_what_parsing_a_text_logs_is_logged_once(polled, caplog, capsys):
    caplog.set_level("INFO")
    texts = ("rubbish", "# no config", ONE.replace('model_platform: "tensorflow"', "model_type: TENSORFLOW"))
    for start_s, text in enumerate(texts):
        polled.path.write_text(text)
        for poll in range(3):
            polled.file.turn(start_s * 100 + poll * 10)
    assert capsys.readouterr().err.count("Error parsing text-format") == 1
    assert [message.split()[0] for message in caplog.messages] == ["Failed", "Taking", "Deprecated", "config"]
    assert polled.applied == [["one"]] * 3
