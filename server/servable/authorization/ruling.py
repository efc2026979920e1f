"""One set of rules in force: finds out who calls, and remembers it for as long as these rules hold.

What a caller shows: a verified certificate, and one header `authorization: Bearer ...` at most. A header that is wrong
is refused, even where a certificate or no credentials at all would do: a caller with an expired token must learn of it.
So no rule that is added can make a header wrong that was right.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from servable.authorization.cache import ExpiringCache
from servable.authorization.credentials import BearerToken, CertificateName, Credentials, TokenClaims
from servable.authorization.principal import ANONYMOUS, Principal, name_credentials
from servable.authorization.refusals import InvalidCredentials, MissingCredentials
from servable.authorization.rules import Rules
from servable.calls import CallContext

if TYPE_CHECKING:
    from servable.authorization.tokens import TokenVerifier

_HEADER: Final = "authorization"
# The scheme in any case, then spaces (RFC 9110, 11.4), and a token68.
_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9\-._~+/]+=*)")
# More than gRPC takes as metadata by default; HTTP takes as much as --rest_api_max_head_kb says.
_MOST_HEADER_BYTES: Final = 17 * 1024
_MOST_PRINCIPALS: Final = 4096


class Ruling:
    """One set of rules in force, and what has been found out by it. Thread-safe."""

    def __init__(self, rules: Rules, verifier: TokenVerifier | None, clock: Callable[[], float]) -> None:
        """Nobody is known yet.

        Args:
            rules: Who may do what.
            verifier: Checks JSON Web Tokens; None if no rule names one.
            clock: Seconds since 1970.
        """
        self.rules = rules
        self._verifier, self._clock = verifier, clock
        self._bearer_tokens = rules.bearer_tokens
        self._principals: ExpiringCache[tuple[bytes, tuple[str, ...]], Principal] = ExpiringCache(_MOST_PRINCIPALS)
        self._needed = _describe_needed(rules)
        self._anonymous = Principal(ANONYMOUS, rules.grants(Credentials()), self._needed)

    def identify(self, header: str | None, identities: Sequence[str], peer: Callable[[], str]) -> Principal:
        """Find out who calls.

        Args:
            header: The value of the header `authorization`.
            identities: The names in the caller's certificate.
            peer: Gives its address.

        Raises:
            Unauthenticated: If what the caller shows is missing or wrong.
            ResourceExhausted: If the peer has sent too many wrong tokens.
        """
        if header is None and not identities:
            return self._find_anonymous()
        digest = b"" if header is None else hashlib.sha256(header.encode(errors="surrogatepass")).digest()
        key, now_s = (digest, tuple(identities)), self._clock()
        known = self._principals.get(key, now_s)
        if known is not None:
            return known
        principal, expires_s = self._look_up(header, identities, peer)
        self._principals.put(key, principal, expires_s)
        return principal

    def _find_anonymous(self) -> Principal:
        if not self._anonymous.grants.by_action:
            raise MissingCredentials(f"No credentials: show {self._needed}")
        return self._anonymous

    def _look_up(
        self, header: str | None, identities: Sequence[str], peer: Callable[[], str]
    ) -> tuple[Principal, float]:
        credentials = self.read_credentials(None if header is None else _read_header(header), identities, peer)
        shown = self._bearer_tokens.get(credentials.bearer_sha256 or "")
        name = name_credentials(credentials, None if shown is None else shown.name)
        expires_s = math.inf if credentials.token is None else credentials.token.expires_s
        return Principal(name, self.rules.grants(credentials)), expires_s

    def read_credentials(self, token: str | None, identities: Sequence[str], peer: Callable[[], str]) -> Credentials:
        """What a caller has shown, checked.

        Raises:
            InvalidCredentials: If the token is none that the rules know.
            ResourceExhausted: If the peer has sent too many wrong tokens.
        """
        if token is None:
            return Credentials(identities)
        sha256 = hashlib.sha256(token.encode()).hexdigest()
        if any(hmac.compare_digest(sha256, known) for known in self._bearer_tokens):
            return Credentials(identities, sha256)
        if self._verifier is None:
            raise InvalidCredentials("no rule knows this token")
        return Credentials(identities, None, self._verifier.verify(token, peer()))


def find_header(context: CallContext) -> str | None:
    """The value of the header `authorization`.

    Raises:
        InvalidCredentials: If there are several: who reads the first and who reads the last would not agree.
    """
    found = [value for key, value in context.metadata() if key == _HEADER]
    if not found:
        return None
    if len(found) > 1 or not isinstance(found[0], str):
        raise InvalidCredentials("there is more than one header authorization, or it is no text")
    return found[0]


def _read_header(header: str) -> str:
    """The token of `Bearer <token>`."""
    if len(header) > _MOST_HEADER_BYTES:
        raise InvalidCredentials(f"the header authorization has more than {_MOST_HEADER_BYTES} bytes")
    match = _BEARER.fullmatch(header)
    if match is None:
        raise InvalidCredentials("the header authorization is not of the form: Bearer <token>")
    return match[1]


def _describe_needed(rules: Rules) -> str:
    """The kinds of credentials that the rules know, in words; empty if there is only `anyone`."""
    callers = [caller for rule in rules.rules for caller in rule.callers]
    has_certificates = any(isinstance(caller, CertificateName) for caller in callers)
    has_tokens = any(isinstance(caller, (BearerToken, TokenClaims)) for caller in callers)
    certificate, token = "a client certificate", "authorization: Bearer <token>"
    known = [what for what, is_known in ((certificate, has_certificates), (token, has_tokens)) if is_known]
    return " or ".join(known)
