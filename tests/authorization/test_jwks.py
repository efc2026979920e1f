"""Key sets: which keys are taken, and for which algorithms."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import ECAlgorithm

from servable.authorization import jwks
from servable.errors import InvalidArgument
from tests.authorization import issuing
from tests.authorization.issuing import EC_KEY, ED_KEY, RSA_KEY, key_set, public_jwk


def parse(*keys):
    return jwks.parse("jwks.json", key_set(*keys).encode())


def test_a_key_is_found_by_its_id_and_an_algorithm_of_its_type():
    keys = jwks.parse("jwks.json", issuing.KEYS.encode())
    assert keys.find("ec", "ES256") is not None
    assert keys.find("ed", "EdDSA") is not None
    assert keys.find("rsa", "PS512") is not None
    assert keys.find("ec", "RS256") is None
    assert keys.find("rsa", "HS256") is None
    assert keys.find("rsa", "none") is None
    assert keys.find("../../etc/passwd", "ES256") is None


def test_the_algorithm_of_a_key_is_the_only_one():
    keys = parse(public_jwk(RSA_KEY, kid="r", alg="PS256"))
    assert keys.find("r", "PS256") is not None
    assert keys.find("r", "RS256") is None


def test_a_token_without_an_id_is_for_the_only_key():
    assert parse(public_jwk(EC_KEY)).find(None, "ES256") is not None
    assert parse(public_jwk(EC_KEY, kid="a")).find(None, "ES256") is not None
    assert parse(public_jwk(EC_KEY, kid="a"), public_jwk(ED_KEY, kid="b")).find(None, "ES256") is None


@pytest.mark.parametrize("members", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"kty": "PQ"}, {"crv": "P-1"}])
def test_keys_for_something_else_are_left_out(members):
    keys = parse(public_jwk(EC_KEY, kid="other", **members), public_jwk(ED_KEY, kid="mine"))
    assert keys.find("other", "ES256") is None
    assert keys.find("mine", "EdDSA") is not None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "it has no list of keys"),
        ('{"keys": [1]}', "it has no list of keys"),
        ('{"keys": []}', "it has no key that signs tokens"),
        (key_set({"kty": "oct", "k": "c2VjcmV0"}), "key 1 is a shared secret"),
        (key_set(json.loads(ECAlgorithm.to_jwk(EC_KEY))), "key 1 is a private key"),
        (key_set(public_jwk(EC_KEY, kid=1)), "the kid of key 1 is no text"),
        (key_set(public_jwk(EC_KEY, alg="RS256")), "the alg of key 1 is none that such a key has. Give one of ES256"),
        (key_set(public_jwk(EC_KEY, alg="HS256")), "the alg of key 1"),
        (key_set(public_jwk(EC_KEY, x="AA")), "key 1 cannot be read"),
        (key_set({"kty": "RSA"}), "key 1 cannot be read"),
        (key_set(public_jwk(EC_KEY), public_jwk(ED_KEY)), "two keys have the same kid"),
        (key_set(public_jwk(rsa.generate_private_key(65537, 1024))), "key 1 has 1024 bits"),
        (key_set(*[{}] * 1001), "it has 1001 keys"),
    ],
)
def test_a_mistake_is_told_without_the_keys(text, words):
    with pytest.raises(InvalidArgument) as caught:
        jwks.parse("jwks.json", text.encode())
    assert caught.value.message.startswith("jwks_file 'jwks.json': ")
    assert words in caught.value.message
    assert "c2VjcmV0" not in caught.value.message
    assert caught.value.__cause__ is None
