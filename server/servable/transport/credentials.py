"""What a gRPC listener shows and checks: TLS, or Google's ALTS."""

from __future__ import annotations

import itertools
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc

from servable.config.tls import TlsConfig
from servable.errors import InvalidArgument
from servable.transport.certificates import Certificates

_TRIALS: Final = itertools.count()


def make_tls_credentials(certificates: Certificates) -> Any:
    """TLS for one address; clients show a certificate exactly if the config says so (the original: server.cc).

    Each handshake asks for new certificates. For one address, since gRPC keeps the last ones for each, and would give
    them to that one only which asks first.
    """
    handshakes = _Handshakes(certificates)
    return grpc.dynamic_ssl_server_credentials(
        _configuration(handshakes.given), handshakes.find_new, certificates.current.client_verify
    )


def make_alts_credentials() -> Any:
    """Google's ALTS, which works between machines of Google Cloud only."""
    return grpc.alts_server_credentials()


def check(tls: TlsConfig) -> None:
    """Refuse what gRPC's library cannot use; with `make_tls_credentials` it would silently keep the old ones.

    Raises:
        InvalidArgument: if so.
    """
    server = grpc.server(ThreadPoolExecutor(1))
    try:
        server.add_secure_port(_trial_address(), make_tls_credentials(Certificates(tls)))
    except RuntimeError:
        raise InvalidArgument("gRPC cannot use key and certificate together. Give an RSA or a P-256 key.") from None
    finally:
        server.stop(None)


def _trial_address() -> str:
    # On Linux a name and no file; elsewhere a port of this machine, for a moment.
    is_linux = sys.platform == "linux"
    return f"unix-abstract:servable-{os.getpid()}-{next(_TRIALS)}" if is_linux else "127.0.0.1:0"


class _Handshakes:
    """Finds the certificates for the next handshake on one address. Any thread of gRPC may call it."""

    def __init__(self, certificates: Certificates) -> None:
        self._certificates, self.given = certificates, certificates.current

    def find_new(self) -> Any:
        """The configuration for this handshake and those that follow; None for the same as before."""
        current = self._certificates.current
        if current is self.given:
            return None
        self.given = current
        return _configuration(current)


def _configuration(tls: TlsConfig) -> Any:
    return grpc.ssl_server_certificate_configuration([(tls.server_key, tls.server_cert)], tls.custom_ca)
