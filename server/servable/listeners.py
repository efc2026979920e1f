"""How the server's ports listen, by its flags: addresses, certificates, limits; and whom they believe."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from servable import options as flags
from servable.config.ssl_config import SslConfigFile
from servable.config.tls import TlsSource
from servable.config.tls_files import TlsFiles
from servable.errors import InvalidArgument
from servable.observability import memory_limit
from servable.options import ServerOptions
from servable.transport import credentials, forwarded_certificates
from servable.transport.certificates import Certificates
from servable.transport.http.settings import MIB, HttpLimits, HttpSettings
from servable.transport.server import MAX_MESSAGE_BYTES, ServerSettings

_log = logging.getLogger(__name__)

# A message takes several times its size: while it is decompressed, parsed, fed to the graph, and answered.
_PARTS_FOR_DECOMPRESSED: Final = 32
_ALL_ADDRESSES = ServerOptions().bind_address


@dataclass(frozen=True, slots=True)
class Listeners:
    """How each server listens; None for one that there is not.

    Attributes:
        grpc: The gRPC API.
        http: REST and what is beside it.
        metrics: HTTP with the metrics only.
        admin: gRPC with management only.
        admin_http: HTTP with management.
        tls: Where the certificates come from that the settings hold.
        trusted_proxies: The names of peers that say for whom they call.
    """

    grpc: ServerSettings
    http: HttpSettings | None
    metrics: HttpSettings | None
    admin: ServerSettings | None
    admin_http: HttpSettings | None
    tls: TlsSource | None
    trusted_proxies: frozenset[str]


def from_flags(options: ServerOptions) -> Listeners:
    """Read the flags, and the files with certificates that they name.

    Raises:
        ServingError: if one of these cannot be used.
    """
    source = _tls_source(options)
    certificates = None if source is None else Certificates(source.parse(source.read()))
    public = _settings(options, certificates)
    return Listeners(
        public,
        _http_settings(options, certificates),
        _metrics_settings(options, certificates),
        _admin_settings(options, public),
        _admin_http_settings(options, certificates),
        source,
        _trusted_proxies(options, certificates),
    )


def bracketed(host: str) -> str:
    """A host as it stands before a port: an IPv6 address is full of colons; gRPC takes it in brackets only."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _http_settings(options: ServerOptions, certificates: Certificates | None) -> HttpSettings | None:
    if options.rest_api_port == 0:
        return None
    if options.rest_api_port == options.port:
        _log.error(
            "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API."
        )
        return None
    return HttpSettings(options.rest_api_port, _http_host(options.bind_address), certificates, _http_limits(options))


def _metrics_settings(options: ServerOptions, certificates: Certificates | None) -> HttpSettings | None:
    if options.metrics_port == 0:
        return None
    return HttpSettings(options.metrics_port, _http_host(options.bind_address), certificates, name="metrics http")


def _admin_http_settings(options: ServerOptions, certificates: Certificates | None) -> HttpSettings | None:
    if options.admin_http_port == 0:
        return None
    host = _http_host(options.admin_bind_address)
    return HttpSettings(options.admin_http_port, host, certificates, _http_limits(options), "admin http")


def _http_limits(options: ServerOptions) -> HttpLimits:
    return HttpLimits(
        head_bytes=options.rest_api_max_head_kb * 1024,
        body_bytes=options.rest_api_max_body_mb * MIB,
        pending_bytes=options.rest_api_max_pending_mb * MIB,
        connections=options.rest_api_max_connections,
        age_s=options.rest_api_max_connection_age_s,
    )


def _http_host(bind_address: str) -> str:
    # The original listens for HTTP on IPv6 too, unlike for gRPC.
    return "" if bind_address == _ALL_ADDRESSES else bind_address.strip("[]")


def _admin_settings(options: ServerOptions, public: ServerSettings) -> ServerSettings | None:
    if options.admin_port == 0:
        return None
    return replace(public, addresses=[f"{bracketed(options.admin_bind_address)}:{options.admin_port}"], lanes=0)


def _settings(options: ServerOptions, certificates: Certificates | None) -> ServerSettings:
    addresses = [f"{bracketed(options.bind_address)}:{options.port}"] if options.port else []
    if options.grpc_socket_path:
        addresses.append(f"unix:{options.grpc_socket_path}")
    memory_bytes = memory_limit.usable_bytes()
    return ServerSettings(
        addresses,
        credentials.make_alts_credentials() if options.use_alts_credentials else None,
        max(options.grpc_max_threads, 1),
        max(options.grpc_lanes, 0),
        flags.parse_channel_arguments(options.grpc_channel_arguments),
        options.grpc_error_details,
        certificates,
        options.grpc_max_message_mb * MIB or min(MAX_MESSAGE_BYTES, memory_bytes // 4),
        options.grpc_max_decompressed_mb * MIB or min(MAX_MESSAGE_BYTES, memory_bytes // _PARTS_FOR_DECOMPRESSED),
        options.grpc_max_connection_age_s,
    )


def _tls_source(options: ServerOptions) -> TlsSource | None:
    if options.ssl_config_file:
        return SslConfigFile(options.ssl_config_file)
    if options.tls_certificate_file:
        return TlsFiles(options.tls_certificate_file, options.tls_key_file, options.tls_client_ca_file)
    return None


def _trusted_proxies(options: ServerOptions, certificates: Certificates | None) -> frozenset[str]:
    trusted = forwarded_certificates.parse_trusted(options.trusted_proxies)
    if trusted and (certificates is None or not certificates.current.client_verify):
        raise InvalidArgument(
            "trusted_proxies needs verified certificates of clients, or nobody has a name. Give tls_client_ca_file "
            "besides tls_certificate_file and tls_key_file, or client_verify and custom_ca in ssl_config_file."
        )
    return trusted
