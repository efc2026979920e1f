"""An issuer of JSON Web Tokens, and files of rules, for tests."""

from __future__ import annotations

import base64
import json
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from servable.calls import LocalContext

ISSUER, AUDIENCE = "https://login.example.com/", "servable"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_EC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(65537, 2048)
ED_KEY = ed25519.Ed25519PrivateKey.generate()

RULES = """
issuer { issuer: "https://login.example.com/" audience: "servable" jwks_file: "jwks.json" }
rule {
  name: "team a"
  who { mtls: "spiffe://example.com/ns/team-a/*" }
  who { jwt { issuer: "https://login.example.com/" claim { name: "groups" value: "team-a" } } }
  may: [PREDICT, METADATA]
  models: ["team-a-*", "shared"]
}
rule {
  name: "operators"
  who { name: "deploy job" bearer_sha256: "%s" }
  may: [STATUS, RELOAD, PROFILE, METRICS, CONSOLE]
  models: "*"
}
"""


def public_jwk(key, **members):
    """The public half of a key as a member of a key set."""
    kinds = {ec.EllipticCurvePrivateKey: ECAlgorithm, rsa.RSAPrivateKey: RSAAlgorithm}
    kind = next((kind for of, kind in kinds.items() if isinstance(key, of)), OKPAlgorithm)
    return {**json.loads(kind.to_jwk(key.public_key())), **members}


def key_set(*keys):
    return json.dumps({"keys": list(keys)})


KEYS = key_set(
    public_jwk(EC_KEY, kid="ec", use="sig", alg="ES256"),
    public_jwk(RSA_KEY, kid="rsa"),
    public_jwk(ED_KEY, kid="ed"),
)


def claims(**changed):
    now_s = int(time.time())
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now_s, "exp": now_s + 600, "groups": ["team-a"]}
    return {name: value for name, value in {**said, **changed}.items() if value is not None}


def sign(key=EC_KEY, algorithm="ES256", headers=None, **changed):
    """A token; claims that are None are left out."""
    return jwt.encode(claims(**changed), key, algorithm, {"kid": "ec"} if headers is None else headers)


def forge(header, payload, signature=b"none"):
    """A token of any header and payload, which nobody has signed."""
    parts = (json.dumps(header).encode(), json.dumps(payload).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def bearer(token, *more, peer="ipv4:10.0.0.1:4000", identities=()):
    return LocalContext([("authorization", f"Bearer {token}"), *more], peer, identities)


def caller(*identities):
    return LocalContext(identities=identities, peer="ipv4:10.0.0.2:4000")
