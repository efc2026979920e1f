"""`servable authorize`: what a file of rules would decide, and by which rule."""

import io

import pytest

from servable import cli
from tests.authorization import issuing
from tests.authorization.conftest import BEARER

TEAM_A = "spiffe://example.com/ns/team-a/web"


@pytest.fixture
def ask(rules_path, capsys):
    """Runs the verb; returns its status, and what it printed to stdout and stderr."""

    def ask(*arguments):
        status = cli.main(["authorize", str(rules_path), *arguments])
        return (status, *capsys.readouterr())

    return ask


def test_a_file_that_is_right_is_counted(ask, rules_path):
    assert ask() == (0, f"{rules_path} is right: 2 rules, 1 issuers\n", "")


def test_what_is_allowed_is_said_with_the_rule(ask):
    asked = ("--action", "predict", "--model", "team-a-1", "--identity", TEAM_A)
    assert ask(*asked) == (0, 'allow: rule 1 "team a", mtls spiffe://example.com/ns/team-a/*\n', "")


def test_what_is_denied_is_said(ask):
    asked = ("--action", "reload", "--model", "team-a-1", "--identity", TEAM_A)
    assert ask(*asked) == (1, "deny: no rule allows it\n", "")


@pytest.mark.parametrize(
    ("token", "words"),
    [(BEARER, 'rule 2 "operators", bearer deploy job'), (issuing.sign(), "")],
)
def test_a_token_is_read_from_a_file(ask, tmp_path, token, words):
    file = tmp_path / "token"
    file.write_text(f"{token}\n")
    status, out, _ = ask("--action", "metrics", "--token_file", str(file))
    assert (status, words in out) == (0 if words else 1, True)


def test_a_token_is_read_from_the_standard_input(ask, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{issuing.sign()}\n"))
    status, out, _ = ask("--action", "predict", "--model", "shared", "--token_file", "-")
    assert (status, out) == (0, 'allow: rule 1 "team a", jwt of https://login.example.com/ by groups\n')


def test_a_wrong_token_is_an_error_that_does_not_show_it(ask, tmp_path):
    file = tmp_path / "token"
    file.write_text("hunter2")
    status, out, err = ask("--action", "predict", "--token_file", str(file))
    assert (status, out) == (255, "")
    assert err.startswith("UNAUTHENTICATED: Credentials refused")
    assert "hunter2" not in err


def test_a_wrong_file_is_an_error(ask, rules_path):
    rules_path.write_text("rule {")
    status, _, err = ask()
    assert status == 255
    assert f"{rules_path}:1:" in err


def test_a_token_file_that_is_not_there_is_an_error(ask):
    assert (
        ask("--action", "predict", "--token_file", "/absent")[2] == "cannot read /absent: No such file or directory\n"
    )
