"""What gRPC's channels take and what gRPC reports, shared by the sync and the asyncio client.

`Network` holds all settings of a channel: address, TLS, retries, keepalive, sizes. Everything that can be wrong in them
is found here, before a channel is made. `error_of` makes one of our errors of a call that failed.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from google.protobuf.message import DecodeError

from servable_client import _decompression, wire
from servable_client.errors import Code, InputError, ServingError, error_class

__all__ = ["Connection", "Metadata", "Network", "Tls", "error_of", "merge_metadata"]

Metadata = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]
"""Headers of a call: lower-case keys; values are str, or bytes where the key ends in `-bin`."""

# A first attempt and four more: gRPC's core allows five in all.
MAX_RETRIES = 4
_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S, _BACKOFF_FACTOR = 0.1, 2, 2
# Servers take a ping every five minutes without data by default and close connections that ping oftener
# (grpc.http2.min_recv_ping_interval_without_data_ms = 300000), so that we stay above it.
_KEEPALIVE_MS, _KEEPALIVE_TIMEOUT_MS = 310_000, 20_000
_RECONNECT_MIN_MS, _RECONNECT_MAX_MS = 200, 5_000
_UNLIMITED = -1
_INT32_MAX = (1 << 31) - 1
_COMPRESSIONS = {
    None: grpc.Compression.NoCompression,
    "gzip": grpc.Compression.Gzip,
    "deflate": grpc.Compression.Deflate,
}

_DETAILS_KEY = "grpc-status-details-bin"
# Words of gRPC's core in the text of an UNAVAILABLE, and what they mean for who reads it.
_CAUSES = (
    (
        (
            "CERTIFICATE_VERIFY_FAILED",
            ":BAD_SIGNATURE",
            "is not in peer certificate",
            "Hostname Verification",
        ),
        "its certificate does not match or is not trusted",
    ),
    (
        ("SSL_ERROR", "Ssl handshake", "handshake failed", "WRONG_VERSION_NUMBER"),
        "the TLS handshake failed; does the server speak TLS, and does it want another certificate of this client?",
    ),
    (("Connection refused", "No such file or directory"), "no server listens there"),
    (("DNS resolution failed", "Domain name not found"), "its name cannot be resolved"),
)


@dataclass(frozen=True, slots=True)
class Tls:
    """How to encrypt.

    Attributes:
        ca: The certificates to trust, as a path to a PEM file or its bytes; None for the usual public ones.
        cert: This client's own certificate chain, for servers that ask for one (mTLS); with `key`.
        key: The key of `cert`.
        server_name: The name that the server's certificate must have; by default the host of the address.
    """

    ca: str | Path | bytes | None = None
    cert: str | Path | bytes | None = None
    key: str | Path | bytes | None = None
    server_name: str | None = None


class Connection(NamedTuple):
    """What a channel is made of. Without credentials it is not encrypted."""

    address: str
    credentials: Any
    options: list[tuple[str, Any]]
    compression: Any


@dataclass(frozen=True, slots=True)
class Network:
    """The settings of a client's channel; `Client` documents each."""

    target: str | Sequence[str]
    retries: int = 3
    compression: str | None = None
    tls: Tls | bool | None = None
    token: str | Callable[[], str] | None = None
    call_credentials: Any = None
    options: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The target as it was given, for errors."""
        return self.target if isinstance(self.target, str) else ", ".join(self.target)

    def connection(self) -> Connection:
        """What gRPC's channel takes.

        Raises:
            InputError: if a setting is wrong, a file cannot be read, or one of several hosts has no address.
        """
        # By a list, since what has no hash is no key.
        if self.compression not in list(_COMPRESSIONS):
            raise InputError(f"compression: expected 'gzip', 'deflate' or None, got {self.compression!r}")
        credentials = self._credentials()
        address = self.target if isinstance(self.target, str) else _join_addresses(self.target)
        if not address:
            raise InputError("target: expected 'host:port' or a list of them, got an empty one")
        options = {**self._options(address), **(self.options or {})}
        return Connection(address, credentials, list(options.items()), _COMPRESSIONS[self.compression])

    def _options(self, address: str) -> dict[str, Any]:
        options = {
            "grpc.max_send_message_length": _UNLIMITED,
            "grpc.max_receive_message_length": _UNLIMITED,
            **_decompression.CHANNEL_OPTIONS,
            "grpc.keepalive_time_ms": _KEEPALIVE_MS,
            "grpc.keepalive_timeout_ms": _KEEPALIVE_TIMEOUT_MS,
            "grpc.initial_reconnect_backoff_ms": _RECONNECT_MIN_MS,
            "grpc.max_reconnect_backoff_ms": _RECONNECT_MAX_MS,
            # Its own connections: closing a client closes them, whatever other clients there are.
            "grpc.use_local_subchannel_pool": 1,
            "grpc.service_config": self._service_config(address),
            "grpc.enable_retries": int(self.retries > 0),
            # By default a request of more than 256 KB is sent once only. Its bytes are there anyway.
            "grpc.per_rpc_retry_buffer_size": _INT32_MAX,
        }
        name = self.tls.server_name if isinstance(self.tls, Tls) else None
        if name or not isinstance(self.target, str):
            authority = name or _common_host(self.target, encrypted=bool(self.tls))
            options["grpc.default_authority"] = authority
            if self.tls:
                options["grpc.ssl_target_name_override"] = authority
        return options

    def _service_config(self, address: str) -> str:
        if isinstance(self.retries, bool) or not isinstance(self.retries, int) or not 0 <= self.retries <= MAX_RETRIES:
            raise InputError(f"retries: expected 0 to {MAX_RETRIES}, which is what gRPC does, got {self.retries!r}")
        config: dict[str, Any] = {}
        if not isinstance(self.target, str) or address.startswith("dns:"):
            config["loadBalancingConfig"] = [{"round_robin": {}}]
        if self.retries:
            policy = {
                "maxAttempts": self.retries + 1,
                "initialBackoff": f"{_FIRST_BACKOFF_S}s",
                "maxBackoff": f"{_LONGEST_BACKOFF_S}s",
                "backoffMultiplier": _BACKOFF_FACTOR,
                "retryableStatusCodes": ["UNAVAILABLE"],
            }
            config["methodConfig"] = [{"name": [{}], "retryPolicy": policy}]
        return json.dumps(config)

    def _credentials(self) -> Any:
        calls = [*([self.call_credentials] if self.call_credentials else []), *self._token_credentials()]
        if not self.tls:
            if calls:
                raise InputError(
                    "a token or call credentials need tls: without it anyone on the way reads them "
                    "(metadata={'authorization': ...} sends one in the clear, if that is meant)"
                )
            return None
        tls = self.tls if isinstance(self.tls, Tls) else Tls()
        if (tls.cert is None) != (tls.key is None):
            raise InputError("tls: cert and key go together; one of them is missing")
        channel = grpc.ssl_channel_credentials(_read("ca", tls.ca), _read("key", tls.key), _read("cert", tls.cert))
        return grpc.composite_channel_credentials(channel, *calls) if calls else channel

    def _token_credentials(self) -> list[Any]:
        if self.token is None:
            return []
        if isinstance(self.token, str):
            return [grpc.access_token_call_credentials(self.token)]
        return [grpc.metadata_call_credentials(_TokenPlugin(self.token), name="token")]


class _TokenPlugin(grpc.AuthMetadataPlugin):  # type: ignore[misc,unused-ignore]
    """Asks for the token at each call, so that it can change."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def __call__(self, _context: Any, callback: Any) -> None:
        try:
            metadata = (("authorization", f"Bearer {self._token()}"),)
        except Exception as error:  # noqa: BLE001  (gRPC fails the call with it; raising here would hang it)
            callback((), error)
            return
        callback(metadata, None)


def merge_metadata(*parts: Metadata | None) -> tuple[tuple[str, str | bytes], ...]:
    """Headers of several origins as gRPC takes them.

    Raises:
        InputError: if a key or a value is of a wrong type or spelling.
    """
    merged: list[tuple[str, str | bytes]] = []
    for part in parts:
        for key, value in part.items() if isinstance(part, Mapping) else part or ():
            if not isinstance(key, str) or key != key.lower():
                raise InputError(f"metadata: expected a lower-case key, got {key!r}")
            wanted = bytes if key.endswith("-bin") else str
            if not isinstance(value, wanted):
                raise InputError(f"metadata {key!r}: expected {wanted.__name__}, got {type(value).__name__}")
            merged.append((key, value))
    return tuple(merged)


def _read(what: str, given: str | Path | bytes | None) -> bytes | None:
    if given is None or isinstance(given, bytes):
        return given
    try:
        return Path(given).read_bytes()
    except OSError as error:
        raise InputError(f"tls: {what} cannot be read: {error}") from None


def _split(address: str) -> tuple[str, str]:
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or not host:
        raise InputError(f"target: expected 'host:port' in a list of addresses, got {address!r}")
    return host.strip("[]"), port


def _join_addresses(targets: Sequence[str]) -> str:
    """Several addresses as one target. gRPC takes numeric ones only, so that names are resolved here, once."""
    found = [(_resolve(host, port), port) for host, port in map(_split, targets)]
    for scheme, family in (("ipv4", socket.AF_INET), ("ipv6", socket.AF_INET6)):
        if found and all(family in hosts for hosts, _ in found):
            bracket = "[{}]:{}" if scheme == "ipv6" else "{}:{}"
            return f"{scheme}:" + ",".join(bracket.format(hosts[family], port) for hosts, port in found)
    raise InputError(f"target: {', '.join(targets)} have no address family in common")


def _resolve(host: str, port: str) -> dict[int, str]:
    try:
        found = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, OverflowError) as error:
        raise InputError(f"target: {host}:{port} cannot be resolved: {error}") from None
    # Reversed, so that the first address of each family is the one that stays.
    return {int(family): str(address[0]) for family, _, _, _, address in reversed(found)}


def _common_host(targets: Sequence[str], *, encrypted: bool) -> str:
    hosts = {_split(target)[0] for target in targets}
    if encrypted and len(hosts) > 1:
        raise InputError(
            f"target: with TLS several hosts ({', '.join(sorted(hosts))}) need the one name that their "
            "certificates share: Tls(server_name=...)"
        )
    return min(hosts, default="")


def error_of(failure: Any, target: str, model: str) -> ServingError:
    """The error of a grpc.RpcError, sync or asyncio."""
    code = failure.code().value[0]
    message = failure.details() or ""
    if code == Code.UNAVAILABLE:
        message = _explain(message, target)
    return error_class(code)(message, _read_hints(failure), target=target, model=model)


def _explain(message: str, target: str) -> str:
    for words, meaning in _CAUSES:
        if any(word in message for word in words):
            return f"cannot reach {target}: {meaning}: {message}"
    return message


def _read_hints(failure: Any) -> dict[str, str]:
    """The metadata of each ErrorInfo in the status, whose bytes travel in a trailer."""
    hints: dict[str, str] = {}
    for key, value in failure.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            hints.update(_parse_hints(value))
    return hints


def _parse_hints(data: bytes) -> dict[str, str]:
    hints: dict[str, str] = {}
    try:
        for detail in wire.Status.FromString(data).details:
            info = wire.ErrorInfo()
            if detail.Is(wire.ErrorInfo.DESCRIPTOR) and detail.Unpack(info):
                hints.update(info.metadata)
    except DecodeError:
        # Details explain an error; broken ones must not take its place.
        return {}
    return hints
