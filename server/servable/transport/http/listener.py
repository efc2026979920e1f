"""A listening socket, and how its connections are accepted."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import sys
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import Any, Final

from servable.errors import Unavailable
from servable.transport.http.settings import HttpLimits
from servable.transport.http.tls import Contexts

_BACKLOG: Final = 1024
_ERROR_PAUSE_S: Final = 0.1
_REFUSAL: Final = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def open_socket(host: str, port: int) -> socket.socket:
    """Bind and listen; connections that come are accepted by a Listener.

    Args:
        host: An address or a name; empty for all addresses, of IPv6 and IPv4 where the machine has both (the original:
            util/net_http/server/internal/evhttp_server.cc).
        port: 0 means any free one.

    Raises:
        Unavailable: if that cannot be done; the text says why.
    """
    try:
        if host:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            return socket.create_server((host, port), family=family, backlog=_BACKLOG)
        if socket.has_dualstack_ipv6():
            with contextlib.suppress(OSError):
                # A kernel may know IPv6 and have no address of it.
                return socket.create_server(("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
        return socket.create_server(("", port), backlog=_BACKLOG)
    except OSError as error:
        # Python adds the address to the system's words.
        why = (error.strerror or str(error)).partition(" (while ")[0]
        raise Unavailable(f"Cannot listen on {host or '*'}:{port}: {why}.") from None


def _spare_files() -> int:
    """Half of the files that the process may open: connections must leave some for models."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if most == resource.RLIM_INFINITY else most // 2


class Listener:
    """Accepts connections. Used on the event loop's thread only.

    Not asyncio's own server: that has no bound for connections, keeps those in a TLS handshake out of sight, and when
    it is closed resets the connections that have come but are not accepted yet.
    """

    def __init__(
        self,
        listening: socket.socket,
        contexts: Contexts | None,
        limits: HttpLimits,
        make_connection: Callable[[], asyncio.Protocol],
        connections: AbstractSet[object],
    ) -> None:
        """Nothing is accepted yet.

        Args:
            listening: The socket.
            contexts: For TLS; None for clear text.
            limits: The bounds.
            make_connection: Makes what asyncio calls for a connection.
            connections: The connections that stand; kept right by others.
        """
        listening.setblocking(False)
        self._socket, self._contexts, self._limits = listening, contexts, limits
        self._most_connections = min(limits.connections, _spare_files())
        self._make_connection, self._connections = make_connection, connections
        self.connecting: dict[asyncio.Task[None], asyncio.Protocol] = {}

    def start(self) -> None:
        """Accept connections from now on."""
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def close(self) -> None:
        """Accept what has come so far, then close the port."""
        if self._socket.fileno() < 0:
            return
        self._accept()
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(_BACKLOG):
            try:
                accepted, _address = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:
                self._pause()
                return
            accepted.setblocking(False)
            self._take(accepted)

    def _pause(self) -> None:
        # Too many open files, perhaps: the socket stays readable, and the loop would do nothing else.
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.call_later(_ERROR_PAUSE_S, self._go_on)

    def _go_on(self) -> None:
        if self._socket.fileno() >= 0:
            self.start()

    def _take(self, accepted: socket.socket) -> None:
        if self._is_full():
            with accepted, contextlib.suppress(OSError):
                if self._contexts is None:
                    accepted.send(_REFUSAL)
            return
        connection = self._make_connection()
        task = asyncio.get_running_loop().create_task(self._connect(accepted, connection))
        self.connecting[task] = connection
        task.add_done_callback(lambda done: self._forget(done, accepted))

    def _forget(self, connecting: asyncio.Task[None], accepted: socket.socket) -> None:
        del self.connecting[connecting]
        if connecting.cancelled():
            accepted.close()

    def _is_full(self) -> bool:
        if len(self._connections) + len(self.connecting) < self._most_connections:
            return False
        # One that has just been made is in both.
        connecting = sum(connection not in self._connections for connection in self.connecting.values())
        return len(self._connections) + connecting >= self._most_connections

    async def _connect(self, accepted: socket.socket, connection: asyncio.Protocol) -> None:
        try:
            # asyncio does so for its own sockets only. Without it a body waits until its head is acknowledged.
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = None if self._contexts is None else self._contexts.find()
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, accepted, ssl=context, **self._tls_times()
            )
        except OSError:
            # A client that fails its handshake, or goes away in it, concerns nobody.
            accepted.close()

    def _tls_times(self) -> dict[str, Any]:
        if self._contexts is None:
            return {}
        times = {"ssl_handshake_timeout": self._limits.head_s}
        # Python 3.10 waits for the other side's goodbye without a bound; the look at all connections ends that.
        return {**times, "ssl_shutdown_timeout": self._limits.linger_s} if sys.version_info >= (3, 11) else times
