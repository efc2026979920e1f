"""The credentials of the listeners: TLS, mutual TLS or ALTS, and never clear text where one of these was asked for."""

from __future__ import annotations

from typing import Any

import grpc

from servable.config.ssl_config import TlsConfig


def of_tls(tls: TlsConfig) -> Any:
    """TLS; clients show a certificate exactly if the config says so (TensorFlow Serving: model_servers/server.cc)."""
    return grpc.ssl_server_credentials(
        [(tls.server_key, tls.server_cert)],
        root_certificates=tls.custom_ca,
        require_client_auth=tls.client_verify,
    )


def of_alts() -> Any:
    """Google's ALTS, which works between machines of Google Cloud only."""
    return grpc.alts_server_credentials()
