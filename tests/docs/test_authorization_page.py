"""The examples of docs/authorization.md: the rules are right, and the commands do what the page says."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

from servable import cli
from servable.authorization import rules_file
from servable.calls import Action
from servable.wire import AuthorizationRule
from tests.authorization import issuing

PAGE = (Path(__file__).parents[2] / "docs" / "authorization.md").read_text()
(RULES,) = re.findall(r"```proto\n(.*?)```", PAGE, re.DOTALL)
(MAKE_TOKEN,) = re.findall(r"```sh\n(python3 .*?)```", PAGE, re.DOTALL)
QUESTIONS = re.findall(r"^servable authorize (.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's rules and a token, in which the commands run."""
    (tmp_path / "rules.textproto").write_text(RULES)
    (tmp_path / "jwks.json").write_text(issuing.KEYS)
    (tmp_path / "token").write_text("foo\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_rules_are_right():
    assert len(rules_file.parse("rules.textproto", RULES.encode()).rules) == 4


def test_the_commands_make_a_token_and_its_hash(folder):
    made = subprocess.run(["sh", "-euc", MAKE_TOKEN], capture_output=True, text=True, check=True, cwd=folder)
    token = (folder / "token").read_text().strip()
    assert len(token) == 43
    assert made.stdout.strip() == hashlib.sha256(token.encode()).hexdigest()


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_to_the_rules_is_answered(folder, question, capsys):
    assert cli.main(["authorize", *question.split()]) == 0
    assert re.match(r"rules\.textproto is right|allow: rule", capsys.readouterr().out)


def test_the_page_lists_each_action():
    listed = re.findall(r"^\| `([A-Z]+)` \|", PAGE, re.MULTILINE)
    assert listed == [action.name for action in Action] == list(AuthorizationRule.Action.keys()[1:])
