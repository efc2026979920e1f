"""The names of a peer by its verified certificate, over gRPC and over HTTP. Pure but for a small cache.

A name is a text that rules are compared with, so none may be taken for another kind: a common name that looks like a
URI is dropped, and so are names with characters that no such name has (a NUL above all), and wildcards, which are
patterns and nobody's name. Addresses of e-mail and of IP are no names here.
"""

from __future__ import annotations

import functools
import re
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

from servable.transport import x509

_LONGEST_NAME: Final = 2048
_SPIFFE_SCHEME: Final = "spiffe:"
# SPIFFE-ID.md, section 2. That of a workload has a path (X509-SVID.md, section 3.1); segments are never `.` or `..`.
_SPIFFE_ID: Final = re.compile(r"spiffe://[a-z0-9._-]{1,255}(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_DNS_NAME: Final = re.compile(
    r"(?!.{254})(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_NOT_IN_COMMON_NAMES: Final = frozenset(":/*")
_ENCRYPTED: Final = b"TSI_PRIVACY_AND_INTEGRITY"


def grpc_identities(auth_context: Mapping[str, Sequence[bytes]]) -> Sequence[str]:
    """The names of a peer on a gRPC connection.

    Args:
        auth_context: What grpcio's `ServicerContext.auth_context()` gives. A certificate in it has been verified if the
            server's credentials are of `make_tls_credentials`, which ask for certificates only to verify them.

    Returns:
        URIs, then DNS names, then the common name; empty without a certificate, and if the connection is not encrypted.
    """
    certificates = auth_context.get("x509_pem_cert", ())
    is_encrypted = list(auth_context.get("security_level", ())) == [_ENCRYPTED]
    if list(auth_context.get("transport_security_type", ())) != [b"ssl"] or not is_encrypted or len(certificates) != 1:
        return ()
    return _read_pem(certificates[0])


def http_identities(ssl_object: ssl.SSLObject | ssl.SSLSocket | None) -> Sequence[str]:
    """The names of a peer on an HTTP connection, as `grpc_identities` gives them.

    Args:
        ssl_object: What asyncio's transports give as `ssl_object`; None for clear text.
    """
    if ssl_object is None or ssl_object.context.verify_mode != ssl.CERT_REQUIRED:
        return ()
    der = ssl_object.getpeercert(binary_form=True)
    return () if der is None else _read_der(der)


def make_names(
    uris: Sequence[str] = (), dns_names: Sequence[str] = (), common_names: Sequence[str] = ()
) -> tuple[str, ...]:
    """The names that may be compared with rules: those of the right syntax, each once, in this order.

    A SPIFFE ID counts only if it is the only URI (X509-SVID.md, section 2), and a common name if it is the only one.
    """
    found = [uri for uri in uris if is_uri(uri) and (len(uris) == 1 or not _claims_spiffe(uri))]
    found += [name.lower() for name in dns_names if is_dns_name(name)]
    found += [name for name in common_names if len(common_names) == 1 and is_common_name(name)]
    return tuple(dict.fromkeys(found))


def is_uri(text: str) -> bool:
    """Whether a text is a URI that may name somebody: any, but one of SPIFFE only if it is a workload's ID."""
    if len(text) > _LONGEST_NAME:
        return False
    return (_SPIFFE_ID if _claims_spiffe(text) else _URI).fullmatch(text) is not None


def is_dns_name(text: str) -> bool:
    """Whether a text is the name of one host, in any case."""
    return text.isascii() and _DNS_NAME.fullmatch(text.lower()) is not None


def is_common_name(text: str) -> bool:
    """Whether a text may be a common name that is taken for no URI and no pattern."""
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable() and _NOT_IN_COMMON_NAMES.isdisjoint(text)


def _claims_spiffe(uri: str) -> bool:
    return uri.lower().startswith(_SPIFFE_SCHEME)


@functools.lru_cache(maxsize=256)
def _read_pem(pem: bytes) -> tuple[str, ...]:
    try:
        der = ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
    except ValueError:
        return ()
    return _read_der(der)


@functools.lru_cache(maxsize=256)
def _read_der(der: bytes) -> tuple[str, ...]:
    try:
        certificate = x509.read(der)
    except ValueError:
        return ()
    return make_names(certificate.uris, certificate.dns_names, certificate.common_names)
