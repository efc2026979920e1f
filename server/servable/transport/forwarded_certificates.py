"""Whose call a proxy forwards: the header `x-forwarded-client-cert`, believed from named peers only.

The header is Envoy's (HTTP connection manager, "x-forwarded-client-cert"). It has one element for each proxy that the
call has passed, separated by commas: who calls first, the proxy that called us last. Anyone can send such a header, so:

- From a peer that is not named in --trusted_proxies the header is ignored, and the peer's own names count.
- From one that is, the **last** element is what that proxy itself saw, and all left of it came from its client. So each
  element but the first must name a trusted proxy, whose word is as good as if it had called us itself; the first names
  the caller. Where something stands left of a client that is no trusted proxy, that client has made it up, or has a
  certificate whose names pretend to be elements (Envoy 1.40 quotes neither URIs nor DNS names): nobody is named then.
- A trusted proxy speaks for others, never for itself: without the header, or with one that cannot be read, the call has
  no names at all. Envoy removes the header where its client showed no certificate, and such a client must not be taken
  for the proxy.
- If an element has the whole certificate (`Cert`, which is quoted), its names are read from that and from nothing else.

So the proxy must write the header (SANITIZE_SET or APPEND_FORWARD). One that only forwards what it gets (FORWARD_ONLY,
ALWAYS_FORWARD_ONLY) lets its clients be anybody, and nothing here can see that.
"""

from __future__ import annotations

import functools
import hashlib
import re
import ssl
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import unquote

from servable.errors import InvalidArgument
from servable.transport import x509
from servable.transport.identities import is_common_name, is_dns_name, is_uri, make_names

HEADER: Final = "x-forwarded-client-cert"
_MOST_CHARACTERS: Final = 1 << 16
# Subject is quoted since it has commas in it; a quote within is escaped.
_PAIR: Final = re.compile(r'\s*([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^",;]*)([,;]|\Z)')
_HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
# RFC 2253: attributes are separated by what is not escaped.
_ATTRIBUTE: Final = re.compile(r"((?:[^\\,+;]|\\.)+)(?:[,+;]|\Z)")

Element = dict[str, list[str]]
"""What one proxy wrote: values by keys in lower case."""


def identities_of(
    tls_identities: Sequence[str], metadata: Sequence[tuple[str, str | bytes]], trusted: AbstractSet[str]
) -> Sequence[str]:
    """The names of who calls: the peer, or whom a trusted peer calls for.

    Args:
        tls_identities: The names of the peer; see `transport.identities`.
        metadata: The call's metadata or headers, names in lower case.
        trusted: The names of peers whose header is believed.
    """
    if not trusted or trusted.isdisjoint(tls_identities):
        return tls_identities
    # Several headers of one name are one list (RFC 9110, section 5.3).
    header = ",".join(value for name, value in metadata if name == HEADER and isinstance(value, str))
    try:
        elements = parse(header)
    except ValueError:
        return ()
    caller, *proxies = map(_names, elements or [{}])
    is_for_another = trusted.isdisjoint(caller) and not any(map(trusted.isdisjoint, proxies))
    return caller if is_for_another else ()


def parse(header: str) -> list[Element]:
    """The elements of a header, in its order; none of an empty one.

    Raises:
        ValueError: if the header is not of Envoy's form, or too long.
    """
    if len(header) > _MOST_CHARACTERS:
        raise ValueError("too long")
    elements: list[Element] = [{}] if header else []
    at, separator = 0, "," if header else ""
    while separator:
        match = _PAIR.match(header, at)
        if match is None:
            raise ValueError(f"no key=value at {at}")
        key, value, separator = match.groups()
        elements[-1].setdefault(key.lower(), []).append(_unquote(value))
        if separator == ",":
            elements.append({})
        at = match.end()
    return elements


def _unquote(value: str) -> str:
    # Escapes stay, since Envoy adds none to those that the subject has itself.
    return value[1:-1] if value.startswith('"') else value.strip()


def parse_trusted(text: str) -> frozenset[str]:
    """Read the value of --trusted_proxies: names of peers, separated by commas.

    Raises:
        InvalidArgument: if one of them can be nobody's name.
    """
    names = [name.strip() for name in text.split(",")] if text else []
    return frozenset(map(_check_name, names))


def _check_name(name: str) -> str:
    if is_dns_name(name):
        return name.lower()
    if is_uri(name) or is_common_name(name):
        return name
    raise InvalidArgument(
        f"trusted_proxies: '{name}' can be no name in a certificate. Give whole names separated by commas, such as "
        "spiffe://example.org/ns/edge/sa/envoy; patterns are not taken."
    )


def _names(element: Element) -> Sequence[str]:
    """The names of the client that a proxy saw; none of an element that Envoy would not write."""
    hashes, certificates = element.get("hash", []), element.get("cert", [])
    if len(hashes) != 1 or not _HASH.fullmatch(hashes[0]) or len(certificates) > 1:
        return ()
    if certificates:
        return _names_in_certificate(certificates[0], hashes[0].lower())
    subjects = element.get("subject", [])
    common_names = _common_names(subjects[0]) if len(subjects) == 1 else []
    uris = [uri for uri in element.get("uri", []) if uri]
    return make_names(uris, element.get("dns", []), common_names)


@functools.lru_cache(maxsize=256)
def _names_in_certificate(quoted_pem: str, hash_: str) -> Sequence[str]:
    try:
        der = ssl.PEM_cert_to_DER_cert(unquote(quoted_pem, errors="strict"))
        certificate = x509.read(der)
    except ValueError:
        return ()
    if hashlib.sha256(der).hexdigest() != hash_:
        return ()
    return make_names(certificate.uris, certificate.dns_names, certificate.common_names)


def _common_names(subject: str) -> list[str]:
    """The common names of a subject in the form of RFC 2253; none if reading them takes more than a look.

    That is so with quotes, in which commas mean nothing, and with common names that have escapes or are in hexadecimal.
    """
    attributes = [attribute.partition("=") for attribute in _ATTRIBUTE.findall(subject)]
    names = [value for kind, _, value in attributes if kind.strip().upper() == "CN"]
    is_plain = '"' not in subject and not any("\\" in name or name.startswith("#") for name in names)
    return names if is_plain else []
