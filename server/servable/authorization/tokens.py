"""JSON Web Tokens: whether one is what an issuer signed for this server, and still holds.

Needs the extra `servable[jwt]`. To check a signature takes 50 to 250 us, and anybody can send something to check. So
what can be seen without a signature is looked at first: size, shape, algorithm, issuer, audience, times, key. A refusal
for what a token says of itself needs no proof. PyJWT then checks all of it once more, with the signature. A caller that
sends wrong signatures all the same is held to a few a second (`failures.FailureBudget`). Which URLs and keys a header
names (`jku`, `x5u`, `jwk`) does not matter: nothing is fetched. Nothing of a token gets into an error.
Source of the rules: RFC 7515, RFC 7519, RFC 8725.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from jwt.exceptions import InvalidSignatureError, PyJWTError

from servable.authorization.cache import ExpiringCache
from servable.authorization.credentials import VerifiedToken
from servable.authorization.failures import FailureBudget
from servable.authorization.jwks import ALGORITHMS, KeySet
from servable.authorization.refusals import InvalidCredentials
from servable.authorization.rules import TokenIssuer

MOST_BYTES: Final = 16 * 1024
# Three parts of base64url without padding (RFC 7515, 3.1); decoders take more.
_SHAPE: Final = re.compile(r"([\w-]+)\.([\w-]+)\.[\w-]+", re.ASCII)
# PyJWT cannot make a date of much later times: some 30 million years from now.
_LATEST_S: Final = 1e15
_MOST_WRONG: Final = 1024
_WRONG_SIGNATURE: Final = "the signature of the token is wrong"
_REQUIRED: Final = ["exp", "iss", "aud"]


@dataclass(frozen=True, slots=True)
class _Unverified:
    """What a token says of itself."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


class TokenVerifier:
    """Checks tokens of some issuers. Thread-safe."""

    def __init__(
        self,
        issuers: Sequence[tuple[TokenIssuer, KeySet]],
        failures: FailureBudget | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Know some issuers.

        Args:
            issuers: Each with its keys.
            failures: How many wrong signatures a peer may send; None: as many as the default says.
            clock: Seconds since 1970, for what is looked at first. PyJWT has the system's.
        """
        self._issuers = {issuer.issuer: (issuer, keys) for issuer, keys in issuers}
        self._failures, self._clock = failures or FailureBudget(), clock
        self._wrong: ExpiringCache[bytes, bool] = ExpiringCache(_MOST_WRONG)

    def verify(self, token: str, peer: str) -> VerifiedToken:
        """Check a token.

        Args:
            token: As sent.
            peer: Who sent it; see CallContext.peer.

        Raises:
            InvalidCredentials: With why, and nothing of the token.
            ResourceExhausted: If that peer has sent too many wrong signatures just now.
        """
        said = _read(token)
        issuer, keys = self._find_issuer(said)
        self._check_claims(said.claims, issuer.leeway_s)
        if not _is_for(said.claims.get("aud"), issuer.audiences):
            raise InvalidCredentials("the token is for another audience than this server")
        key = keys.find(said.header.get("kid"), said.header["alg"])
        if key is None:
            raise InvalidCredentials("the token is signed with a key that is not known here")
        self._refuse_known(token)
        self._failures.check(peer)
        return self._verify(token, key, said.header["alg"], issuer, peer)

    def _find_issuer(self, said: _Unverified) -> tuple[TokenIssuer, KeySet]:
        name = said.claims.get("iss")
        found = self._issuers.get(name) if isinstance(name, str) else None
        if found is None:
            raise InvalidCredentials("the token is of an issuer that is not known here")
        return found

    def _check_claims(self, claims: Mapping[str, Any], leeway_s: float) -> None:
        if not _is_time(claims.get("exp")):
            raise InvalidCredentials("the token does not say when it expires (exp)")
        if not all(_is_time(claims.get(name, 0)) for name in ("nbf", "iat")):
            raise InvalidCredentials("the token has a time that is none (nbf or iat)")
        if not isinstance(claims.get("sub", ""), str):
            raise InvalidCredentials("the token has a subject that is no text (sub)")
        now_s = self._clock()
        if claims["exp"] + leeway_s <= now_s:
            raise InvalidCredentials("the token has expired")
        if max(claims.get("nbf", 0), claims.get("iat", 0)) - leeway_s > now_s:
            raise InvalidCredentials("the token does not hold yet")

    def _verify(self, token: str, key: Any, algorithm: str, issuer: TokenIssuer, peer: str) -> VerifiedToken:
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=list(issuer.audiences),
                issuer=issuer.issuer,
                leeway=issuer.leeway_s,
                options={"require": _REQUIRED},
            )
        except InvalidSignatureError:
            self._failures.note(peer)
            self._wrong.put(_digest(token), True, math.inf)
            raise InvalidCredentials(_WRONG_SIGNATURE) from None
        except (PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            # Older releases of PyJWT let some of these through.
            raise InvalidCredentials("the token is not valid") from None
        return VerifiedToken(issuer.issuer, claims, float(claims["exp"]) + issuer.leeway_s)

    def _refuse_known(self, token: str) -> None:
        """Refuse a signature that was found wrong already: a client that tries on and on costs little."""
        if self._wrong.get(_digest(token), self._clock()):
            raise InvalidCredentials(_WRONG_SIGNATURE)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _read(token: str) -> _Unverified:
    if len(token) > MOST_BYTES:
        raise InvalidCredentials(f"the token has more than {MOST_BYTES} bytes")
    parts = _SHAPE.fullmatch(token)
    if parts is None:
        raise InvalidCredentials("the token is neither one that a rule names nor a signed JSON Web Token")
    header, claims = _read_part(parts[1]), _read_part(parts[2])
    if not isinstance(header.get("alg"), str) or header["alg"] not in ALGORITHMS:
        raise InvalidCredentials(f"the token is not signed with one of {', '.join(sorted(ALGORITHMS))}")
    if not isinstance(header.get("kid", ""), str):
        raise InvalidCredentials("the token has a key id that is no text")
    if "crit" in header or "b64" in header:
        # What must be understood is not understood here (RFC 7515, 4.1.11; RFC 7797).
        raise InvalidCredentials("the token needs an extension that is not known here")
    return _Unverified(header, claims)


def _read_part(part: str) -> Mapping[str, Any]:
    try:
        read = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise InvalidCredentials("the token is no JSON Web Token")
    return read


def _is_time(value: object) -> bool:
    """Whether a value is a NumericDate; a bool, which Python counts among its numbers, is none."""
    # The comparison is false for what is no finite number, too.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LATEST_S


def _is_for(audience: object, audiences: Sequence[str]) -> bool:
    of_token = audience if isinstance(audience, list) else [audience]
    return any(each in audiences for each in of_token if isinstance(each, str))
