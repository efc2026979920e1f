"""Keys and certificates as PEM texts, checked before a listener gets them: what can be checked without a port.

The key never reaches an error, a log, a repr or a disk.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn, Protocol

from servable.errors import InvalidArgument

_PEM_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_MISMATCHES: Final = {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """What a listener needs to speak TLS; all texts are PEM.

    Attributes:
        server_key: The private key, kept out of the repr.
        server_cert: The certificate of that key, then those that lead to its CA, if any.
        custom_ca: The certificates of the CAs that clients are checked against.
        client_verify: Whether a client must show a certificate of such a CA.
    """

    server_key: bytes = field(repr=False)
    server_cert: bytes
    custom_ca: bytes | None
    client_verify: bool


class TlsSource(Protocol):
    """Where keys and certificates come from, for who reads them again and again."""

    @property
    def name(self) -> str:
        """What it is called in logs: the flags and their paths."""

    def read(self) -> tuple[bytes, ...]:
        """The contents of its files as they are now.

        Raises:
            ServingError: if a file cannot be read.
        """

    def parse(self, contents: tuple[bytes, ...]) -> TlsConfig:
        """What these contents mean.

        Raises:
            InvalidArgument: if something is missing or unusable; the text names the place, and shows no key.
        """


@dataclass(frozen=True, slots=True)
class Naming:
    """What the texts are called in errors.

    Attributes:
        prefix: Stands before each error.
        key: The key.
        certificate: The certificate.
        authorities: The CAs.
        right: What to give in place of what is wrong, with `{}` for `an unencrypted private key`.
    """

    prefix: str
    key: str
    certificate: str
    authorities: str
    right: str

    def refuse(self, wrong: str, right: str) -> NoReturn:
        """Say what is wrong and what would be right."""
        raise InvalidArgument(f"{self.prefix}{wrong}. Give {right}.") from None


def make_config(server_key: bytes, server_cert: bytes, custom_ca: bytes, naming: Naming, *, verify: bool) -> TlsConfig:
    """Check the texts, and that the key belongs to the certificate.

    Args:
        server_key: PEM.
        server_cert: PEM.
        custom_ca: PEM; empty for none.
        naming: For errors.
        verify: Whether clients must show a certificate.

    Raises:
        InvalidArgument: if one of them cannot be used.
    """
    _check_key(server_key, naming)
    _check_certificates(server_cert, naming.certificate, naming)
    if custom_ca:
        _check_certificates(custom_ca, naming.authorities, naming)
    _check_pair(server_key, server_cert, naming)
    return TlsConfig(server_key, server_cert, custom_ca or None, verify)


def find_certificates(pem: bytes) -> list[str]:
    """The PEM blocks of certificates in a text, in order, without what stands between them."""
    # Text between the blocks may be in any script.
    blocks = _PEM_BLOCK.finditer(pem.decode("utf-8", "replace"))
    return [block[0] for block in blocks if block[1].endswith("CERTIFICATE") and block[0].isascii()]


def _check_key(pem: bytes, naming: Naming) -> None:
    right = naming.right.format("an unencrypted private key")
    if not pem:
        naming.refuse(f"{naming.key} is empty", right)
    found = _PEM_BLOCK.finditer(pem.decode("utf-8", "replace"))
    blocks = [block for block in found if block[1].endswith("PRIVATE KEY")]
    if not blocks:
        naming.refuse(f"{naming.key} is no PEM private key", right)
    if any(block[1].startswith("ENCRYPTED") or "Proc-Type: 4,ENCRYPTED" in block[0] for block in blocks):
        naming.refuse(f"{naming.key} is encrypted", right)


def _check_certificates(pem: bytes, name: str, naming: Naming) -> None:
    right = naming.right.format("one or more certificates")
    if not pem:
        naming.refuse(f"{name} is empty", right)
    try:
        cadata = "\n".join(find_certificates(pem))
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=cadata)
    except (ssl.SSLError, ValueError):
        naming.refuse(f"{name} is no PEM certificate", right)


def _check_pair(key_pem: bytes, cert_pem: bytes, naming: Naming) -> None:
    """Refuse a key that does not belong to the certificate. Where the system has no files in memory, gRPC will."""
    try:
        with _in_memory(cert_pem) as cert, _in_memory(key_pem) as key:
            _lenient_context().load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if error.reason in _MISMATCHES:
            own = f"the key of the first certificate in {naming.certificate}"
            naming.refuse(f"{naming.key} does not belong to {naming.certificate}", own)
        naming.refuse(f"{naming.key} cannot be read", "the whole PEM text of a private key")
    except OSError:
        return


def _lenient_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # gRPC's own library decides which keys are long enough.
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@contextlib.contextmanager
def pem_path(pem: bytes) -> Iterator[str]:
    """The path of a file that holds a PEM text as long as the context lasts; OpenSSL takes keys from files only.

    It is in memory, never on a disk, except where the system has no such files (macOS): there it is one that only this
    user can read, for that long.
    """
    if hasattr(os, "memfd_create"):
        with _in_memory(pem) as path:
            yield path
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(pem)
        file.flush()
        yield file.name


@contextlib.contextmanager
def _in_memory(pem: bytes) -> Iterator[str]:
    """The path of a file in memory, as long as the context lasts. It is never on a disk.

    Raises:
        OSError: If the system has no such files.
    """
    if not hasattr(os, "memfd_create"):
        raise OSError("no files in memory")
    with open(os.memfd_create("servable"), "wb") as file:
        file.write(pem)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}"
