"""The file of --ssl_config_file: the server's key and certificate, and the CA for clients' certificates.

The key never reaches an error, a log, a repr or a disk. This module checks what can be checked before a port
is opened; it makes no credentials.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NoReturn

from servable import wire
from servable.config import text_proto
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


def read(path: str) -> TlsConfig:
    """Read a text SSLConfig (TensorFlow Serving: ssl_config.proto; BuildServerCredentials in server.cc).

    The original checks nothing of this and ends the process on a file that it cannot parse.

    Raises:
        InvalidArgument: If a field is missing or unusable; the text names the file and the field.
        ServingError: As `text_proto.read` does.
    """
    message = text_proto.read(path, wire.SSLConfig, secret=True)
    _check_key(path, message.server_key)
    _check_certificates(path, "server_cert", message.server_cert)
    if message.custom_ca:
        _check_certificates(path, "custom_ca", message.custom_ca)
    elif message.client_verify:
        _refuse(path, "client_verify is true but custom_ca is empty", "the PEM text of the clients' CA there")
    _check_pair(path, message)
    return TlsConfig(
        server_key=message.server_key.encode(),
        server_cert=message.server_cert.encode(),
        custom_ca=message.custom_ca.encode() or None,
        client_verify=message.client_verify,
    )


def _refuse(path: str, wrong: str, right: str) -> NoReturn:
    raise InvalidArgument(f"ssl_config_file '{path}': {wrong}. Give {right}.") from None


def _check_key(path: str, text: str) -> None:
    right = "the PEM text of an unencrypted private key, not the path of a file"
    if not text:
        _refuse(path, "server_key is empty", right)
    blocks = [block for block in _PEM_BLOCK.finditer(text) if block[1].endswith("PRIVATE KEY")]
    if not blocks:
        _refuse(path, "server_key is no PEM private key", right)
    if any(block[1].startswith("ENCRYPTED") or "Proc-Type: 4,ENCRYPTED" in block[0] for block in blocks):
        _refuse(path, "server_key is encrypted", right)


def _check_certificates(path: str, name: str, text: str) -> None:
    right = "the PEM text of one or more certificates, not the path of a file"
    if not text:
        _refuse(path, f"{name} is empty", right)
    # Text between the blocks may be in any script, and `cadata` takes ASCII only.
    blocks = [block[0] for block in _PEM_BLOCK.finditer(text) if block[0].isascii()]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata="\n".join(blocks))
    except (ssl.SSLError, ValueError):
        _refuse(path, f"{name} is no PEM certificate", right)


def _check_pair(path: str, message: wire.SSLConfig) -> None:
    """Refuse a key that does not belong to the certificate. Where the system has no files in memory, gRPC will."""
    try:
        with _in_memory(message.server_cert.encode()) as cert, _in_memory(message.server_key.encode()) as key:
            _context().load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        if error.reason in _MISMATCHES:
            own = "the key of the first certificate in server_cert"
            _refuse(path, "server_key does not belong to server_cert", own)
        _refuse(path, "server_key cannot be read", "the whole PEM text of a private key")
    except OSError:
        return


def _context() -> ssl.SSLContext:
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
