"""The files of --tls_certificate_file, --tls_key_file and --tls_client_ca_file, as tools and clusters write them."""

from __future__ import annotations

from typing import Final

from servable.config.text_proto import system_error
from servable.config.tls import Naming, TlsConfig, make_config
from servable.errors import InvalidArgument

_MOST_BYTES: Final = 1 << 20


class TlsFiles:
    """PEM files: a `config.tls.TlsSource`. Clients must show a certificate exactly if there is a file of their CAs."""

    def __init__(self, certificate: str, key: str, client_ca: str = "") -> None:
        """Name the files; they are not read yet.

        Args:
            certificate: The path of the server's certificate, followed by those that lead to its CA, if any.
            key: That of its key.
            client_ca: That of the CAs of clients; empty to ask no client for a certificate.
        """
        self._paths = [certificate, key, *([client_ca] if client_ca else [])]
        self._naming = Naming(
            prefix="",
            key=f"tls_key_file '{key}'",
            certificate=f"tls_certificate_file '{certificate}'",
            authorities=f"tls_client_ca_file '{client_ca}'",
            right="a file with the PEM text of {}",
        )

    @property
    def name(self) -> str:
        """See TlsSource."""
        return self._naming.certificate

    def read(self) -> tuple[bytes, ...]:
        """See TlsSource."""
        return tuple(map(_read, self._paths))

    def parse(self, contents: tuple[bytes, ...]) -> TlsConfig:
        """See TlsSource."""
        certificate, key, *authorities = contents
        if authorities and not authorities[0]:
            # Without this an empty file would let everybody in.
            self._naming.refuse(f"{self._naming.authorities} is empty", "the PEM text of the clients' CA there")
        return make_config(key, certificate, b"".join(authorities), self._naming, verify=bool(authorities))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise system_error(path, error.errno or 0) from None
    if len(content) > _MOST_BYTES:
        raise InvalidArgument(f"{path} has more than {_MOST_BYTES} bytes, which no certificate or key has.")
    return content
