"""Certificates for tests: an authority of one's own, and what it issues."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_BEGIN = datetime.datetime(2020, 1, 1)
_END = datetime.datetime(2090, 1, 1)


def _name(common):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM)


class Authority:
    """Issues certificates; its own is `certificate`, in PEM."""

    def __init__(self, name="test authority"):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = _name(name)
        builder = self._builder(name, self._key.public_key())
        constraint = x509.BasicConstraints(ca=True, path_length=None)
        signed = builder.add_extension(constraint, critical=True).sign(self._key, hashes.SHA256())
        self.certificate = _pem(signed)

    def _builder(self, subject, key):
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(self._subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(_BEGIN)
            .not_valid_after(_END)
        )

    def issue(self, *names):
        """A key and its certificate for these host names and addresses, both in PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternative = x509.SubjectAlternativeName([_general(name) for name in names])
        builder = self._builder(names[0], key.public_key()).add_extension(alternative, critical=False)
        pkcs8 = serialization.PrivateFormat.PKCS8
        secret = key.private_bytes(serialization.Encoding.PEM, pkcs8, serialization.NoEncryption())
        return secret, _pem(builder.sign(self._key, hashes.SHA256()))


def _general(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
