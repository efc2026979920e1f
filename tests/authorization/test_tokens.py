"""JSON Web Tokens: which are taken, and that those which are not cost little."""

import json
import time
import traceback

import jwt
import pytest

from servable.authorization import jwks, tokens
from servable.authorization.failures import FailureBudget
from servable.authorization.refusals import InvalidCredentials
from servable.authorization.rules import TokenIssuer
from servable.errors import ResourceExhausted
from tests.authorization import issuing
from tests.authorization.issuing import AUDIENCE, EC_KEY, ED_KEY, ISSUER, OTHER_EC_KEY, RSA_KEY, forge, sign

PEER = "ipv4:10.0.0.1:4000"


def make_verifier(keys=issuing.KEYS, leeway_s=30, clock=time.time, failures=None):
    issuer = TokenIssuer(ISSUER, (AUDIENCE, "other"), "jwks.json", leeway_s)
    return tokens.TokenVerifier([(issuer, jwks.parse("jwks.json", keys.encode()))], failures, clock)


VERIFIER = make_verifier()


def refusal(token, verifier=VERIFIER):
    with pytest.raises(InvalidCredentials) as caught:
        verifier.verify(token, PEER)
    return caught.value.message


@pytest.mark.parametrize(
    ("key", "algorithm", "key_id"),
    [
        (EC_KEY, "ES256", "ec"),
        (ED_KEY, "EdDSA", "ed"),
        *((RSA_KEY, algorithm, "rsa") for algorithm in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
    ],
)
def test_a_token_of_each_asymmetric_algorithm_is_verified(key, algorithm, key_id):
    token = VERIFIER.verify(sign(key, algorithm, {"kid": key_id}), PEER)
    assert token.issuer == ISSUER
    assert token.name == f"alice@{ISSUER}"
    assert list(token.values("groups")) == ["team-a"]


def test_a_token_may_be_for_several_audiences():
    assert VERIFIER.verify(sign(aud=["elsewhere", "other"]), PEER)


def test_a_scope_is_a_list_in_one_text():
    assert list(VERIFIER.verify(sign(scope="read write"), PEER).values("scope")) == ["read", "write"]


def test_a_claim_that_is_no_text_has_no_values():
    token = VERIFIER.verify(sign(groups={"a": 1}, level=3), PEER)
    assert list(token.values("groups")) == list(token.values("level")) == list(token.values("absent")) == []


def test_a_token_holds_a_little_longer_than_it_says():
    now_s = int(time.time())
    token = make_verifier(leeway_s=60).verify(sign(exp=now_s - 30), PEER)
    assert token.expires_s == now_s + 30


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"exp": int(time.time()) - 3600}, "has expired"),
        ({"exp": None}, "does not say when it expires"),
        ({"exp": True}, "does not say when it expires"),
        ({"exp": "never"}, "does not say when it expires"),
        ({"exp": float("inf")}, "does not say when it expires"),
        ({"exp": float("nan")}, "does not say when it expires"),
        ({"exp": 10**400}, "does not say when it expires"),
        ({"nbf": 10**400}, "has a time that is none"),
        ({"sub": 5}, "a subject that is no text"),
        ({"nbf": int(time.time()) + 3600}, "does not hold yet"),
        ({"iat": int(time.time()) + 3600}, "does not hold yet"),
        ({"nbf": "soon"}, "has a time that is none"),
        ({"aud": None}, "another audience"),
        ({"aud": "elsewhere"}, "another audience"),
        ({"aud": []}, "another audience"),
        ({"aud": AUDIENCE.upper()}, "another audience"),
        ({"aud": [1, None]}, "another audience"),
        ({"iss": "https://login.example.com"}, "issuer that is not known"),
    ],
)
def test_a_token_that_does_not_hold_here_and_now_is_refused(changed, words):
    token = jwt.PyJWS().encode(json.dumps(issuing.claims(**changed)).encode(), EC_KEY, "ES256", {"kid": "ec"})
    assert words in refusal(token)


@pytest.mark.parametrize("issuer", [None, ["https://login.example.com/"], 1])
def test_an_issuer_that_is_no_known_text_is_refused(issuer):
    said = {**issuing.claims(), "iss": issuer}
    assert "issuer that is not known" in refusal(forge({"alg": "ES256", "kid": "ec"}, said))


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", None, "HS256", "HS384", "HS512", "ES256K", ["ES256"]]
)
def test_an_algorithm_that_is_not_asymmetric_is_refused(algorithm):
    assert "is not signed with one of" in refusal(forge({"alg": algorithm, "kid": "ec"}, issuing.claims()))


@pytest.mark.parametrize("key", [EC_KEY, RSA_KEY])
def test_a_public_key_is_no_secret_of_hmac(key):
    pem = issuing.public_pem(key)
    # PyJWT refuses to make such a token, so it is made by hand.
    import hashlib
    import hmac

    unsigned = forge({"alg": "HS256", "kid": "rsa"}, issuing.claims(), b"").removesuffix(".")
    signature = hmac.new(pem, unsigned.encode(), hashlib.sha256).digest()
    assert "is not signed with one of" in refusal(f"{unsigned}.{jwt.utils.base64url_encode(signature).decode()}")


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ES256", "kid": "rsa"},
        {"alg": "RS256", "kid": "ec"},
        {"alg": "ES256", "kid": "../../../dev/null"},
        {"alg": "ES256", "kid": "ec' OR 1=1"},
        {"alg": "ES256", "kid": ""},
        {"alg": "ES256", "kid": None},
        {"alg": "ES256"},
        {"alg": "ES256", "kid": ["ec"]},
        {"alg": "ES256", "jwk": issuing.public_jwk(OTHER_EC_KEY), "jku": "http://127.0.0.1:1/"},
    ],
)
def test_a_header_cannot_choose_another_key(header):
    assert "key" in refusal(forge(header, issuing.claims()))


@pytest.mark.parametrize("header", [{"crit": ["exp"]}, {"b64": False}, {"crit": []}])
def test_an_extension_that_must_be_understood_is_refused(header):
    assert "extension" in refusal(forge({"alg": "ES256", "kid": "ec", **header}, issuing.claims()))


def test_a_token_that_another_key_has_signed_is_refused():
    assert "signature" in refusal(sign(OTHER_EC_KEY))


def test_a_token_whose_claims_were_changed_is_refused():
    header, _, signature = sign().split(".")
    _, claims, _ = sign(groups=["admin"]).split(".")
    assert "signature" in refusal(f"{header}.{claims}.{signature}")


def test_a_key_that_was_taken_out_signs_no_more():
    fewer = make_verifier(issuing.key_set(issuing.public_jwk(RSA_KEY, kid="rsa")))
    assert "a key that is not known" in refusal(sign(), fewer)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "a" * 200,
        "e30.e30.",
        "bnVsbA.bnVsbA.",
        "\u00e9.\u00e9.\u00e9",
        forge({}, {}),
        forge([], []),
        forge({"alg": "ES256"}, []),
        ".".join(["WyJ" * 4000, "e30", ""]),
        sign() + ".",
        sign() + "=",
        " " + sign(),
        sign() + "\n",
        sign().replace(".", "+.", 1),
        "." + sign(),
    ],
)
def test_what_is_no_token_is_refused(token):
    assert refusal(token).startswith("Credentials refused: ")


def test_nested_lists_in_a_token_are_refused():
    deep = jwt.utils.base64url_encode(b"[" * 8000).decode()
    assert refusal(f"{deep}.{deep}.x")


def test_a_huge_token_is_refused_by_its_size():
    assert "more than 16384 bytes" in refusal(sign(padding="x" * 20000))


def test_no_part_of_a_token_is_in_an_error():
    secret = sign(OTHER_EC_KEY, sub="my-subject")
    with pytest.raises(InvalidCredentials) as caught:
        VERIFIER.verify(secret, PEER)
    told = "".join(traceback.format_exception(caught.value))
    assert not [part for part in (*secret.split("."), "my-subject") if part in told]
    assert "my-subject" not in repr(VERIFIER.verify(sign(sub="my-subject"), PEER))


class FakeClock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def test_a_peer_that_floods_with_wrong_signatures_is_refused_without_a_look():
    clock = FakeClock()
    verifier = make_verifier(failures=FailureBudget(clock))
    wrong = [sign(OTHER_EC_KEY, sub=str(number)) for number in range(200)]
    for token in wrong:
        assert "signature" in refusal(token, verifier)
    with pytest.raises(ResourceExhausted, match="Too many tokens"):
        verifier.verify(sign(), "ipv4:10.0.0.1:9999")
    assert verifier.verify(sign(), "ipv4:10.0.0.2:4000")
    clock.now_s += 1
    assert verifier.verify(sign(), PEER)


def test_the_same_wrong_token_again_and_again_spends_nothing():
    verifier = make_verifier(failures=FailureBudget(FakeClock()))
    token = sign(OTHER_EC_KEY)
    for _ in range(1000):
        assert "signature" in refusal(token, verifier)
    assert verifier.verify(sign(), PEER)


def test_what_can_be_seen_without_a_signature_spends_nothing():
    verifier = make_verifier(failures=FailureBudget(FakeClock()))
    for number in range(300):
        refusal(forge({"alg": "ES256", "kid": f"unknown {number}"}, issuing.claims()), verifier)
    assert verifier.verify(sign(), PEER)


def test_a_budget_knows_a_bounded_number_of_peers():
    budget = FailureBudget(FakeClock())
    for number in range(5000):
        budget.note(f"ipv6:[::{number:x}]:1")
    assert len(budget._spent) == 1024
