"""TLS for HTTP listeners, from the certificates that gRPC's listeners use."""

from __future__ import annotations

import ssl

from servable.config.ssl_config import TlsConfig, pem_path


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
