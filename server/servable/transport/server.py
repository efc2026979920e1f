"""The gRPC server: bind, start, drain, stop.

Health, reflection and methods that may wait for minutes have thread pools of their own: see `transport.handlers`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import grpc

from servable.errors import Unavailable
from servable.methods import Gate, LaneMethod, Method
from servable.observability.families import Family, Kind, Labels
from servable.transport import compression, health, lanes, reflection, status
from servable.transport.arrivals import Arrivals, HoldingHandlers
from servable.transport.certificates import Certificates
from servable.transport.compression import Decompressor
from servable.transport.credentials import make_tls_credentials
from servable.transport.families import client_aborts, refused_messages, requests_in_flight
from servable.transport.handlers import CallCounts, MethodHandlers, OpenStreams

_log = logging.getLogger(__name__)

# What the original allows: the largest int32.
_INT32_MAX = 2147483647
MAX_MESSAGE_BYTES = _INT32_MAX
_MAX_MESSAGE = "grpc.max_receive_message_length"
_DEFAULT_ARGUMENTS: Mapping[str, int | str] = {
    "grpc.max_send_message_length": -1,
    # A stream that never sends its message keeps some memory; a connection may not keep that of a whole server. Clients
    # of gRPC hold further calls back by themselves.
    "grpc.max_concurrent_streams": 1000,
    **dict(compression.CHANNEL_ARGUMENTS),
    # With it a second server could listen on the same port, and each would get some of the calls.
    "grpc.so_reuseport": 0,
    **dict(lanes.CHANNEL_ARGUMENTS),
}
# A reflection stream holds a thread while its client keeps it open, a Watch stream while its client does not read; a
# Check holds one for a moment.
_REFLECTION_THREADS = 4
_WATCH_THREADS = 4
_HEALTH_THREADS = 2
# A reload waits for models, a profile for its duration. They wait on threads of their own, so that no Predict waits for
# operators who wait for a broken model.
_WAITING_THREADS = 32
# Lanes end with the server, unless one of their methods never returns.
_JOIN_S = 1.0


@dataclass(frozen=True)
class ServerSettings:
    """How the server listens.

    Attributes:
        addresses: In gRPC's syntax: `0.0.0.0:8500`, `unix:/run/servable.sock`; port 0 means any free one.
        credentials: grpc.ServerCredentials for all addresses; None for clear text, unless there are certificates.
        worker_threads: How many calls grpcio's server runs at the same time.
        lanes: How many lanes serve the hot methods in place of grpcio's server; 0: none.
        channel_arguments: gRPC channel arguments. They override the defaults, and later ones override earlier ones.
        error_details: Whether hints are sent beside the messages of errors.
        certificates: TLS by these on all addresses; None for what the credentials say.
        max_message_bytes: Of a message as it is on the wire.
        max_decompressed_bytes: Of a message that was compressed.
        max_connection_age_s: After so long, give or take a tenth, a connection takes no new calls, and its client makes
            another one; 0: never.
    """

    addresses: Sequence[str]
    credentials: Any = None
    worker_threads: int = 8
    lanes: int = 0
    channel_arguments: Sequence[tuple[str, int | str]] = ()
    error_details: bool = True
    certificates: Certificates | None = None
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_decompressed_bytes: int = MAX_MESSAGE_BYTES
    max_connection_age_s: float = 0.0

    @property
    def is_encrypted(self) -> bool:
        """Whether clear text is refused."""
        return self.certificates is not None or self.credentials is not None

    @property
    def arguments(self) -> Sequence[tuple[str, int | str]]:
        """All channel arguments of the server."""
        arguments = {**_DEFAULT_ARGUMENTS, _MAX_MESSAGE: self.max_message_bytes}
        if self.max_connection_age_s:
            # Calls in flight may take as long as they want: gRPC's grace is without end by default.
            arguments["grpc.max_connection_age_ms"] = min(max(round(self.max_connection_age_s * 1000), 1), _INT32_MAX)
        return list({**arguments, **dict(self.channel_arguments)}.items())

    def make_decompressor(self) -> Decompressor:
        """What reads compressed messages. As in the original, what they become counts for the size of messages, too."""
        limit = dict(self.arguments)[_MAX_MESSAGE]
        if isinstance(limit, int) and 0 <= limit < self.max_decompressed_bytes:
            is_of_arguments = _MAX_MESSAGE in dict(self.channel_arguments)
            return Decompressor(limit, _MAX_MESSAGE if is_of_arguments else "--grpc_max_message_mb")
        return Decompressor(self.max_decompressed_bytes, "--grpc_max_decompressed_mb")

    def make_credentials(self) -> Any:
        """The credentials for one address; None for clear text."""
        return self.credentials if self.certificates is None else make_tls_credentials(self.certificates)


@dataclass(frozen=True)
class HotMethods:
    """Methods for lanes.

    Attributes:
        by_path: The methods by full path.
        on_overrun: Called with the id of a lane's thread that is in a method for too long.
        gate: Refuses their calls as they arrive; None if none is refused.
    """

    by_path: Mapping[str, LaneMethod]
    on_overrun: Callable[[int], None] = lambda _thread_id: None
    gate: Gate | None = None


class GrpcServer:
    """Serves a table of methods, health and reflection. Start it once; drain or stop it once."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        settings: ServerSettings,
        waiting_methods: Mapping[str, Method] = MappingProxyType({}),
        hot_methods: HotMethods | None = None,
    ) -> None:
        """Make the server; it listens once it is started.

        Args:
            methods: The methods by full path.
            settings: How the server listens.
            waiting_methods: More methods, which may wait for minutes and therefore have threads of their own.
            hot_methods: The methods that lanes serve, if there are lanes; each is in `methods`, too.
        """
        self._settings = settings
        self._streams = OpenStreams()
        self._pools = [
            ThreadPoolExecutor(settings.worker_threads, "serve"),
            ThreadPoolExecutor(_HEALTH_THREADS, "health"),
            ThreadPoolExecutor(_WATCH_THREADS, "watch"),
            ThreadPoolExecutor(_REFLECTION_THREADS, "reflection"),
            ThreadPoolExecutor(_WAITING_THREADS, "wait"),
        ]
        workers, health_threads, watch_threads, reflection_threads, waiting_threads = self._pools
        self._decompress = decompress = settings.make_decompressor()
        self.health = health.Health(self._streams, health_threads, watch_threads, decompress)
        self._arrivals = Arrivals()
        trailing_metadata = status.trailing_metadata if settings.error_details else status.push_back
        self._calls = CallCounts()
        handlers = MethodHandlers(
            {path: decompress.before(method) for path, method in methods.items()},
            {path: decompress.before(method) for path, method in waiting_methods.items()},
            waiting_threads,
            trailing_metadata,
            self._calls,
        )
        services = {path.split("/")[1] for path in (*methods, *waiting_methods)} | {health.SERVICE_NAME}
        self._server = grpc.server(
            workers,
            handlers=[
                self.health.handler(),
                *reflection.handlers(services, self._streams, reflection_threads, decompress),
                HoldingHandlers(handlers, self._arrivals),
            ],
            options=settings.arguments,
        )
        hot = hot_methods or HotMethods({})
        count = settings.lanes if hot.by_path else 0
        lane_methods = {path: decompress.before_lane_method(method) for path, method in hot.by_path.items()}
        supervision = lanes.LaneSupervision(
            hot.on_overrun, self.health.fail, trailing_metadata=trailing_metadata, gate=hot.gate
        )
        self._lanes = lanes.open_lanes(self._server, lane_methods, count, self._arrivals, supervision)

    def start(self) -> list[int]:
        """Bind and listen.

        Returns:
            The port of each address, in order; meaningless for unix sockets.

        Raises:
            Unavailable: if an address cannot be bound. Nothing listens then.
        """
        ports = [self._bind(address) for address in self._settings.addresses]
        self._server.start()
        if self._lanes is not None:
            self._lanes.start()
        return ports

    def leave(self) -> None:
        """Say NOT_SERVING for good, and serve on, so that balancers and clients choose other servers."""
        self.health.drain()

    def drain(self, grace_s: float) -> None:
        """Say NOT_SERVING, take no new connections or calls, and return when those in flight have ended.

        Clients get a GOAWAY. Calls that arrive before it are answered: see `transport.arrivals`.

        Args:
            grace_s: How long calls in flight may take; those that take longer are cancelled.
        """
        ends_at = time.monotonic() + min(grace_s, threading.TIMEOUT_MAX)
        self.health.drain()
        with self._arrivals.paused(grace_s, self._is_busy):
            stopped = self._server.stop(max(ends_at - time.monotonic(), 0))
        self._streams.end_all()
        stopped.wait()
        self._release()

    def stop(self) -> None:
        """End all calls and return when the server is down."""
        self._server.stop(None).wait()
        self._release()

    def families(self) -> list[Family]:
        """The metrics of the transport, as they are now."""
        lanes, calls = self._lanes, self._calls
        in_flight = calls.open + (lanes.count_open_calls() if lanes is not None else 0)
        aborted = calls.aborted + (lanes.count_aborted_calls() if lanes is not None else 0)
        lanes_s = lanes.busy_s() if lanes is not None else {}
        busy_s: dict[Labels, float] = {(name,): seconds for name, seconds in lanes_s.items()}
        return [
            requests_in_flight("GRPC", in_flight),
            client_aborts("GRPC", aborted),
            refused_messages(self._decompress.refused),
            Family(
                "servable_lane_busy_seconds", Kind.COUNTER, ("lane",), busy_s, "Time that a lane has spent in methods."
            ),
        ]

    def _is_busy(self) -> bool:
        return self._lanes is not None and self._lanes.are_busy()

    def _bind(self, address: str) -> int:
        credentials = self._settings.make_credentials()
        try:
            if credentials is None:
                port: int = self._server.add_insecure_port(address)
            else:
                port = self._server.add_secure_port(address, credentials)
        except RuntimeError:
            port = 0
        if port == 0:
            self.stop()
            raise Unavailable(f"Cannot listen on {address}: {_suspect(address, encrypted=credentials is not None)}.")
        return port

    def _release(self) -> None:
        if self._lanes is not None:
            self._lanes.join(_JOIN_S)
        for pool in self._pools:
            pool.shutdown(wait=False)


def _suspect(address: str, *, encrypted: bool) -> str:
    """What may be wrong with an address; gRPC says only in its own log what is."""
    suspicion = "the address is in use or not this machine's"
    if address.startswith("unix:"):
        suspicion = "no socket can be made there; the path must be free, short, and in a directory that exists"
    return suspicion + (", or key and certificate do not fit" if encrypted else "")
