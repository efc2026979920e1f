"""The file of --ssl_config_file, which holds key and certificates themselves (the original's way)."""

from __future__ import annotations

from servable import wire
from servable.config import text_proto
from servable.config.tls import Naming, TlsConfig, make_config


class SslConfigFile:
    """A text file with an SSLConfig: a `config.tls.TlsSource`."""

    def __init__(self, path: str) -> None:
        """Name the file; it is not read yet."""
        self._path = path

    @property
    def name(self) -> str:
        """See TlsSource."""
        return f"ssl_config_file '{self._path}'"

    def read(self) -> tuple[bytes, ...]:
        """See TlsSource."""
        return (text_proto.content(self._path),)

    def parse(self, contents: tuple[bytes, ...]) -> TlsConfig:
        """See TlsSource (TensorFlow Serving: ssl_config.proto; BuildServerCredentials in server.cc).

        The original checks nothing of this and ends the process on a file that it cannot parse.
        """
        (text,) = contents
        message = text_proto.parse(self._path, text, wire.SSLConfig, secret=True)
        naming = Naming(
            prefix=f"{self.name}: ",
            key="server_key",
            certificate="server_cert",
            authorities="custom_ca",
            right="the PEM text of {}, not the path of a file",
        )
        config = make_config(
            message.server_key.encode(),
            message.server_cert.encode(),
            message.custom_ca.encode(),
            naming,
            verify=message.client_verify,
        )
        if config.client_verify and config.custom_ca is None:
            naming.refuse("client_verify is true but custom_ca is empty", "the PEM text of the clients' CA there")
        return config


def read(path: str) -> TlsConfig:
    """Read a text SSLConfig once.

    Raises:
        InvalidArgument: If a field is missing or unusable; the text names the file and the field.
        ServingError: As `text_proto.read` does.
    """
    file = SslConfigFile(path)
    return file.parse(file.read())
