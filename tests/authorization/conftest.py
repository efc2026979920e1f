"""Files of rules, and authorizers by them."""

import hashlib

import pytest

from servable.authorization.authorizer import Authorizer
from tests.authorization import issuing

BEARER = "jobs-token-of-more-than-128-random-bits"


@pytest.fixture
def rules_path(tmp_path):
    """The path of rules that know certificates, tokens of one issuer, and the bearer token BEARER."""
    (tmp_path / "jwks.json").write_text(issuing.KEYS)
    path = tmp_path / "rules.textproto"
    path.write_text(issuing.RULES % hashlib.sha256(BEARER.encode()).hexdigest())
    return path


@pytest.fixture
def authorizer(rules_path):
    return Authorizer(str(rules_path))
