"""Real keys and certificates, made for a test: authorities, and what they vouch for."""

import dataclasses
import datetime
import ipaddress
import itertools

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.secrets.registry import SECRETS

_VALID_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
_VALID_UNTIL = datetime.datetime(2060, 1, 1, tzinfo=datetime.timezone.utc)
_NUMBERS = itertools.count(1)
HERE = (x509.DNSName("localhost"), x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")))


@dataclasses.dataclass(frozen=True)
class Identity:
    """A key and its certificate, as PEM."""

    key: bytes
    certificate: bytes


class Authority:
    """A certificate authority of a test's own."""

    def __init__(self, name):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        certificate = self._sign(self._name, self._key, x509.BasicConstraints(ca=True, path_length=0))
        self.certificate = certificate.public_bytes(serialization.Encoding.PEM)

    def vouch_for(
        self, name, *uris, more_names=(), alternative_names=None, valid=(_VALID_FROM, _VALID_UNTIL), key=None
    ):
        """An Identity, by default for this machine and of these URIs, good for a server and for a client.

        Args:
            name: Its common name.
            uris: Among its alternative names.
            more_names: More common names.
            alternative_names: All its alternative names, in place of the default.
            valid: From when until when.
            key: Its key; None for a new one.
        """
        key = key or ec.generate_private_key(ec.SECP256R1())
        if alternative_names is None:
            alternative_names = [*HERE, *map(x509.UniformResourceIdentifier, uris)]
        extensions = [x509.BasicConstraints(ca=False, path_length=None)]
        if alternative_names:
            extensions.append(x509.SubjectAlternativeName(alternative_names))
        certificate = self._sign(_named(name, *more_names), key, *extensions, valid=valid)
        return Identity(_pem(key), certificate.public_bytes(serialization.Encoding.PEM))

    def _sign(self, subject, key, *extensions, valid=(_VALID_FROM, _VALID_UNTIL)):
        builder = x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=next(_NUMBERS),
            not_valid_before=valid[0],
            not_valid_after=valid[1],
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        return builder.sign(self._key, hashes.SHA256())


def ssl_config(identity, custom_ca=b"", client_verify=False):
    """The text of an SSLConfig."""
    lines = [f"server_key: {_quoted(identity.key)}", f"server_cert: {_quoted(identity.certificate)}"]
    if custom_ca:
        lines.append(f"custom_ca: {_quoted(custom_ca)}")
    if client_verify:
        lines.append("client_verify: true")
    return "\n".join([*lines, ""])


def _named(*names):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])


def _pem(key):
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return SECRETS.add("a private key", pem)


def _quoted(pem):
    return '"' + pem.decode().replace("\n", "\\n") + '"'
