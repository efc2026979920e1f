"""What a caller shows, and who a rule names. Pure.

Each kind of caller is a class with `matches`; a rule allows what it allows to whoever matches one of its callers.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from servable.authorization.patterns import Names

# These hold several values in one text (RFC 8693, 4.2; `scp` is what Microsoft calls it).
_SPACE_SEPARATED: Final = frozenset({"scope", "scp"})
_LONGEST_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """A JSON Web Token whose signature, issuer, audience and times have been checked.

    Attributes:
        issuer: Who signed it.
        claims: What it says, kept out of the repr.
        expires_s: Until when it holds, the leeway included (seconds since 1970).
    """

    issuer: str
    claims: Mapping[str, Any] = field(repr=False)
    expires_s: float

    @property
    def name(self) -> str:
        """For logs: its subject and its issuer."""
        return f"{self.claims.get('sub', '?')}@{self.issuer}"

    def values(self, claim: str) -> Iterator[str]:
        """The texts of a claim: its own, or those in its list."""
        value = self.claims.get(claim)
        values = value if isinstance(value, list) else [value]
        for each in values:
            if isinstance(each, str):
                yield from each.split(" ") if claim in _SPACE_SEPARATED else [each]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a caller has shown.

    Attributes:
        identities: The names in its certificate; empty without one.
        bearer_sha256: The digest of its bearer token, if a rule knows it, in lower-case hexadecimal digits.
        token: Its JSON Web Token, if that is what its bearer token is.
    """

    identities: Sequence[str] = ()
    bearer_sha256: str | None = None
    token: VerifiedToken | None = None


class Caller(Protocol):
    """Who a rule names."""

    def matches(self, credentials: Credentials) -> bool:
        """Whether these credentials are those of such a caller."""

    def describe(self) -> str:
        """The caller as a rule has it; never a secret."""


@dataclass(frozen=True, slots=True)
class Anyone:
    """Everybody, with credentials or without."""

    def matches(self, _credentials: Credentials, /) -> bool:
        """See Caller."""
        return True

    def describe(self) -> str:
        """See Caller."""
        return "anyone"


@dataclass(frozen=True, slots=True)
class CertificateName:
    """Whoever shows a verified certificate with a name.

    Attributes:
        name: The name, or what it begins with, up to a slash.
        is_prefix: Which of the two.
    """

    name: str
    is_prefix: bool = False

    def matches(self, credentials: Credentials) -> bool:
        """See Caller."""
        return any(self._covers(identity) for identity in credentials.identities)

    def describe(self) -> str:
        """See Caller."""
        return f"mtls {self.name}{'*' if self.is_prefix else ''}"

    def _covers(self, identity: str) -> bool:
        if not self.is_prefix:
            return identity == self.name
        # SPIFFE forbids such segments; a certificate that has them may mean a path that is elsewhere.
        rest = identity[len(self.name) :].split("/")
        return identity.startswith(self.name) and not {"", ".", ".."}.intersection(rest)


def find_certificate_name_fault(text: str) -> str | None:
    """What is wrong with a name of a certificate in a rule; None if nothing is."""
    if not text:
        return 'is empty; give a name in the certificate, such as "spiffe://example.com/ns/team-a/*"'
    if "*" not in text:
        return None
    url = urlsplit(text[:-2])
    if text.index("*") != len(text) - 1 or not text.endswith("/*") or not url.scheme or not url.netloc:
        return (
            f'has a * where none can be ("{text}"); only a URI with a host can end in /*, such as '
            '"spiffe://example.com/ns/team-a/*", or names could be made up that begin alike'
        )
    return None


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """Whoever shows a token of an issuer with certain claims.

    Attributes:
        issuer: Its issuer.
        claims: For each claim the values of which the token must have one.
    """

    issuer: str
    claims: tuple[tuple[str, Names], ...]

    def matches(self, credentials: Credentials) -> bool:
        """See Caller."""
        token = credentials.token
        if token is None or token.issuer != self.issuer:
            return False
        return all(any(value in names for value in token.values(claim)) for claim, names in self.claims)

    def describe(self) -> str:
        """See Caller."""
        return f"jwt of {self.issuer} by {', '.join(claim for claim, _ in self.claims)}"


@dataclass(frozen=True, slots=True)
class BearerToken:
    """Whoever shows a token of which the rules have the hash.

    Attributes:
        sha256: The digest in lower-case hexadecimal digits.
        name: What logs call it.
    """

    sha256: str
    name: str

    def matches(self, credentials: Credentials) -> bool:
        """See Caller."""
        shown = credentials.bearer_sha256
        return shown is not None and hmac.compare_digest(shown, self.sha256)

    def describe(self) -> str:
        """See Caller."""
        return f"bearer {self.name}"


def make_printable(name: str) -> str:
    """A name for logs: of bounded length, without line ends and other characters that forge lines."""
    short = name[:_LONGEST_NAME]
    return short if short.isprintable() else short.encode("unicode_escape").decode()[: 2 * _LONGEST_NAME]
