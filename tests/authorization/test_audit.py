"""The audit log: one line of JSON for each management call."""

import json
import logging

import pytest

from servable.authorization.audit import AuditLog
from servable.calls import Action, CallRecord, LocalContext, MethodInfo
from servable.errors import Code


def record(action=Action.RELOAD, **changed):
    context = LocalContext([("authorization", "Bearer secret-token")], "ipv4:10.0.0.1:4000", ["spiffe://td/ops"])
    values = {"request": b"secret-payload", "message": "secret-error", "principal": "ops", "code": Code.OK, **changed}
    method = MethodInfo("HandleReloadConfigRequest", "GRPC", action, "/path")
    return CallRecord(method, context, 1.0, 1_700_000_000_123_000_000, 10, **values)


@pytest.fixture
def lines(caplog):
    """What has been logged, parsed."""
    caplog.set_level(logging.INFO)
    return lambda: [json.loads(line.getMessage()) for line in caplog.records if line.name == "servable.audit"]


def test_a_reload_is_one_line_with_who_what_when_where_and_how_it_ended(lines):
    AuditLog().take(record(), ["m", "n"])
    assert lines() == [
        {
            "time": "2023-11-14T22:13:20.123+00:00",
            "action": "reload",
            "api": "HandleReloadConfigRequest",
            "entrypoint": "GRPC",
            "principal": "ops",
            "certificate": "spiffe://td/ops",
            "peer": "ipv4:10.0.0.1:4000",
            "models": ["m", "n"],
            "more_models": 0,
            "code": "OK",
        }
    ]


def test_a_call_that_was_refused_is_written_down(lines):
    AuditLog().take(record(Action.PROFILE, code=Code.PERMISSION_DENIED, principal=""))
    (line,) = lines()
    assert (line["code"], line["principal"], line["models"]) == ("PERMISSION_DENIED", "anonymous", [])


@pytest.mark.parametrize("action", [action for action in Action if action not in {Action.RELOAD, Action.PROFILE}])
def test_other_calls_are_left_out(lines, action):
    AuditLog().take(record(action))
    assert lines() == []


def test_nothing_that_a_call_held_is_written(lines, caplog):
    AuditLog().take(record(code=Code.INVALID_ARGUMENT), ["m"])
    assert lines()
    assert "secret" not in caplog.text


def test_a_name_cannot_forge_a_line(lines, caplog):
    AuditLog().take(record(), ["m\nWARNING forged"])
    assert len(caplog.text.splitlines()) == 1
    assert lines()[0]["models"] == [r"m\nWARNING forged"]


def test_many_models_are_cut_off(lines):
    AuditLog().take(record(), [str(number) for number in range(5000)])
    (line,) = lines()
    assert (len(line["models"]), line["more_models"]) == (50, 4950)


def test_the_lines_come_at_any_level_of_the_log(lines):
    logging.getLogger().setLevel(logging.ERROR)  # The fixture puts it back.
    AuditLog().take(record())
    assert lines()


def test_start_and_stop_of_the_server_are_written_down(lines):
    audit = AuditLog()
    audit.note_start(0, "1.0")
    audit.note_stop(0, "SIGTERM")
    assert [(line["action"], line["time"]) for line in lines()] == [
        ("start", "1970-01-01T00:00:00.000+00:00"),
        ("stop", "1970-01-01T00:00:00.000+00:00"),
    ]
