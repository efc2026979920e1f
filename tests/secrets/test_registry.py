"""The search finds what it should find: else it proves nothing."""

import base64
import json
import os
import urllib.parse
from pathlib import Path

import pytest

from tests.process.certificates import Authority
from tests.secrets.registry import SECRETS, Secrets

TOKEN = 'canary "token" of the registry'
ROOT = Path(__file__).parents[2]
pytest_plugins = ["pytester"]


@pytest.fixture
def secrets():
    made = Secrets()
    made.add("the token", TOKEN)
    return made


@pytest.mark.parametrize(
    "output",
    [
        f"before {TOKEN} after",
        json.dumps({"text": TOKEN}),
        urllib.parse.quote(TOKEN, safe=""),
        TOKEN.encode().hex(),
        base64.b64encode(f"Bearer {TOKEN}".encode()).decode(),
        base64.b64encode(f"user:{TOKEN}".encode()).decode(),
        f"abc {TOKEN}".encode(),
    ],
)
def test_a_secret_is_found_in_every_usual_form(secrets, output):
    assert secrets.find(output) == ["the token"]


def test_other_text_holds_none(secrets):
    assert secrets.find("canary 'token' of nobody") == []


def test_keys_of_the_suite_are_registered_and_found_by_a_part(secrets):
    identity = Authority("ours").vouch_for("server")
    line = identity.key.decode().splitlines()[2]
    assert SECRETS.find(f"... {line[:64]} ...")
    assert SECRETS.find(identity.certificate) == []


def test_a_test_that_writes_a_secret_fails(pytester, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    pytester.makeconftest("from tests.secrets.searching import pytest_runtest_makereport")
    pytester.makepyfile(
        """
        from tests.secrets.registry import SECRETS

        def test_leak():
            print(SECRETS.add("a token", "canary-of-a-test-that-leaks"))

        def test_tight():
            SECRETS.add("a token", "canary-of-a-test-that-leaks")
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*what test_leak wrote holds a secret: a token*"])
