"""A health check of a server, for `servable health` and container health checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

SERVING = "SERVING"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files; TLS is used if any is given."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


def ask(address: str, service: str, timeout_s: float, tls: TlsFiles) -> str:
    """The status of a service by the server, SERVING or NOT_SERVING, or one line that says why there is no answer."""
    if (tls.certificate is None) != (tls.key is None):
        # gRPC would abort the process.
        return "a certificate and its key go together: give --cert_file and --key_file, or neither"
    try:
        with _connect(address, tls) as channel:
            request = health_pb2.HealthCheckRequest(service=service)
            response = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout_s)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details() or f'{address} knows no service {service!r}'}"
    except OSError as error:
        return f"cannot read {error.filename}: {error.strerror}"
    name: str = health_pb2.HealthCheckResponse.ServingStatus.Name(response.status)
    return name


def _connect(address: str, tls: TlsFiles) -> Any:
    if tls == TlsFiles():
        return grpc.insecure_channel(address)
    ca, certificate, key = (Path(path).read_bytes() if path else None for path in (tls.ca, tls.certificate, tls.key))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate))
