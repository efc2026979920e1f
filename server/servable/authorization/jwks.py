"""A JSON Web Key Set in a file: the public keys that may have signed a token, by their ids and algorithms.

Needs the extra `servable[jwt]`. A key is bound to the algorithms of its type when it is read, so a token cannot choose
one for which the key was not made: no HMAC over the text of a public key (RFC 8725, 2.1 and 3.1). No text of a key gets
into an error: the file may hold a private one by mistake. Source of the format: RFC 7517.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NoReturn

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from servable.errors import InvalidArgument

_OF_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_OF_CURVE: Final[Mapping[str, tuple[str, ...]]] = {
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}
ALGORITHMS: Final = frozenset((*_OF_RSA, *(name for names in _OF_CURVE.values() for name in names)))
"""The algorithms of tokens: asymmetric ones only."""

_FEWEST_RSA_BITS: Final = 2048
_MOST_KEYS: Final = 1000


class KeySet:
    """The keys of one file. Immutable."""

    def __init__(self, keys: Mapping[str | None, Mapping[str, Any]]) -> None:
        """Hold keys.

        Args:
            keys: For each key id, and None for a key without one, the key by each algorithm it may be used with.
        """
        self._keys = keys

    def find(self, key_id: str | None, algorithm: str) -> Any | None:
        """The key of a token, as PyJWT takes it; None if there is none.

        A token without an id is taken for one of the only key.
        """
        if key_id is None and len(self._keys) == 1:
            (by_algorithm,) = self._keys.values()
        else:
            by_algorithm = self._keys.get(key_id, {})
        return by_algorithm.get(algorithm)


def parse(path: str, text: bytes) -> KeySet:
    """The key set in the text of a file.

    Keys for encryption, and those of a type that is not known, are left out, as RFC 7517 asks.

    Raises:
        InvalidArgument: If it is no key set, if a key is not for this purpose, or if no key is left.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        _refuse(path, "it is no JSON", 'a JSON Web Key Set, {"keys": [...]}')
    listed = content.get("keys") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not all(isinstance(key, dict) for key in listed):
        _refuse(path, "it has no list of keys", 'a JSON Web Key Set, {"keys": [...]}')
    if len(listed) > _MOST_KEYS:
        _refuse(path, f"it has {len(listed)} keys", f"at most {_MOST_KEYS}")
    keys: dict[str | None, Mapping[str, Any]] = {}
    for number, key in enumerate(listed, 1):
        if algorithms := _find_algorithms(path, number, key):
            key_id = key.get("kid")
            if key_id in keys:
                _refuse(path, f"two keys have the same kid, or none (key {number} is the second)", "each a kid")
            keys[key_id] = MappingProxyType({name: _read_key(path, number, key, name) for name in algorithms})
    if not keys:
        _refuse(path, "it has no key that signs tokens", "a public key of the type RSA, EC or OKP")
    return KeySet(MappingProxyType(keys))


def _find_algorithms(path: str, number: int, key: Mapping[str, Any]) -> Sequence[str]:
    """The algorithms that a key may be used with; none if it is for something else."""
    if key.get("kty") == "oct":
        right = "public keys only: who can check a token with such a key can make tokens, too"
        _refuse(path, f"key {number} is a shared secret (kty oct)", right)
    if "d" in key:
        _refuse(path, f"key {number} is a private key", "its public half; the private one belongs to the issuer")
    if not isinstance(key.get("kid", ""), str):
        _refuse(path, f"the kid of key {number} is no text", "a text")
    operations = key.get("key_ops", ["verify"])
    if key.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return ()
    of_type = _of_type(key)
    if of_type and "alg" in key and key["alg"] not in of_type:
        _refuse(path, f"the alg of key {number} is none that such a key has", f"one of {', '.join(of_type)}")
    return (key["alg"],) if of_type and "alg" in key else of_type


def _of_type(key: Mapping[str, Any]) -> Sequence[str]:
    if key.get("kty") == "RSA":
        return _OF_RSA
    curve = key.get("crv")
    return _OF_CURVE.get(curve, ()) if key.get("kty") in {"EC", "OKP"} and isinstance(curve, str) else ()


def _read_key(path: str, number: int, key: Mapping[str, Any], algorithm: str) -> Any:
    try:
        read: Any = PyJWK(dict(key), algorithm).key
    except (PyJWTError, TypeError, ValueError, KeyError):
        _refuse(path, f"key {number} cannot be read", "a public key as RFC 7518 has it")
    bits = getattr(read, "key_size", _FEWEST_RSA_BITS)
    if algorithm in _OF_RSA and bits < _FEWEST_RSA_BITS:
        _refuse(path, f"key {number} has {bits} bits", f"RSA keys of at least {_FEWEST_RSA_BITS}")
    return read


def _refuse(path: str, wrong: str, right: str) -> NoReturn:
    raise InvalidArgument(f"jwks_file '{path}': {wrong}. Give {right}.") from None
