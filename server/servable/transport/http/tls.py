"""TLS for HTTP listeners, from the certificates that gRPC's listeners use."""

from __future__ import annotations

import ssl

from servable.config.tls import TlsConfig, pem_path
from servable.transport.certificates import Certificates


class Contexts:
    """Gives the context for the next connection. Used by one thread after another."""

    def __init__(self, certificates: Certificates) -> None:
        """Make the first context.

        Raises:
            ssl.SSLError: as `make_context` does.
        """
        self._certificates, self._made_of = certificates, certificates.current
        self._context = make_context(self._made_of)

    def find(self) -> ssl.SSLContext:
        """The context of the certificates as they are now, which have been tried by `make_context` before."""
        current = self._certificates.current
        if current is not self._made_of:
            self._context, self._made_of = make_context(current), current
        return self._context


def make_context(tls: TlsConfig) -> ssl.SSLContext:
    """TLS 1.2 or later; clients show a certificate exactly if the config says so.

    Raises:
        ssl.SSLError: if OpenSSL takes key and certificate for too weak, though gRPC's library does not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    with pem_path(tls.server_cert) as certificate, pem_path(tls.server_key) as key:
        context.load_cert_chain(certificate, key, password="")
    if tls.custom_ca is not None and tls.client_verify:
        with pem_path(tls.custom_ca) as authorities:
            context.load_verify_locations(cafile=authorities)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
