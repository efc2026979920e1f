"""The HTTP server: bind, start, drain, stop. One thread with an event loop carries all connections.

uvicorn's protocol carries HTTP, but its `Server` is not used: it bounds neither connections nor TLS handshakes, polls,
and its shutdown resets requests that have just come.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import socket
import ssl
import threading
from typing import Any, Final, cast

import uvicorn
from uvicorn.server import ServerState

from servable.errors import Unavailable
from servable.http_exchange import HttpHandler
from servable.observability.families import Family
from servable.transport.families import client_aborts, requests_in_flight
from servable.transport.http import tls
from servable.transport.http.application import Application
from servable.transport.http.connection import Connection
from servable.transport.http.connections import Connections
from servable.transport.http.listener import Listener, open_socket
from servable.transport.http.settings import HttpSettings

_log = logging.getLogger(__name__)

_DRAIN_LOOK_PAUSE_S: Final = 0.05
# The loop ends with the server, unless a handler never returns.
_JOIN_S: Final = 5.0


class HttpServer:
    """Serves one port with one handler. Start it once, from any thread; drain or stop it once after that."""

    def __init__(self, settings: HttpSettings, handler: HttpHandler) -> None:
        """Make the server; it listens once it is started.

        Args:
            settings: How the server listens.
            handler: Answers requests, on the event loop's thread.
        """
        self._settings, self._handler = settings, handler
        self._core: _Core | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> list[int]:
        """Bind and listen.

        Returns:
            The port.

        Raises:
            Unavailable: if the address cannot be bound, or the certificate cannot be used. Nothing listens then.
        """
        settings = self._settings
        try:
            contexts = None if settings.certificates is None else tls.Contexts(settings.certificates)
        except ssl.SSLError as error:
            raise Unavailable(f"Cannot use the certificate for HTTP: {error.reason}.") from None
        listening = open_socket(settings.host, settings.port)
        port: int = listening.getsockname()[1]
        self._core = _Core(settings, self._handler, listening, contexts)
        self._thread = threading.Thread(target=self._core.run, name=settings.name, daemon=True)
        self._thread.start()
        return [port]

    def begin_drain(self, grace_s: float) -> concurrent.futures.Future[None]:
        """Close the port, tell clients to close their connections, and answer what has come; see `drain`.

        Returns:
            Is done when requests in flight have ended or the grace is over. `stop` must follow.
        """
        if self._core is None:
            ended: concurrent.futures.Future[None] = concurrent.futures.Future()
            ended.set_result(None)
            return ended
        return asyncio.run_coroutine_threadsafe(self._core.drain(min(grace_s, threading.TIMEOUT_MAX)), self._core.loop)

    def drain(self, grace_s: float) -> None:
        """Take no new connections, and return when requests in flight have ended.

        Each reply says `Connection: close`. Idle connections stay open for a moment, since a request may be on its way.

        Args:
            grace_s: How long requests in flight may take; those that take longer are cut off.
        """
        self.begin_drain(grace_s).result()
        self.stop()

    def families(self) -> list[Family]:
        """The metrics of this server, as they are now."""
        core = self._core
        in_flight, aborted = (0, 0) if core is None else (core.connections.in_flight, core.connections.aborted)
        return [requests_in_flight("REST", in_flight), client_aborts("REST", aborted)]

    def pending_bytes(self) -> int:
        """The bytes that are held now for requests and replies, right to a moment."""
        return 0 if self._core is None else self._core.connections.pending.held

    def stop(self) -> None:
        """End all connections and return when the server is down."""
        if self._core is None or self._thread is None:
            return
        core, self._core = self._core, None
        asyncio.run_coroutine_threadsafe(core.stop(), core.loop)
        self._thread.join(_JOIN_S)


class _Core:
    """What the server has on its loop. The coroutines run there."""

    def __init__(
        self, settings: HttpSettings, handler: HttpHandler, listening: socket.socket, contexts: tls.Contexts | None
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self._limits = settings.limits
        self.connections = Connections(settings.limits)
        self._config = _configure(Application(handler, self.connections))
        self._state = ServerState()
        # uvicorn's protocol keeps this right.
        self._open = cast("set[Connection]", self._state.connections)
        self._listener = Listener(listening, contexts, settings.limits, self._make_connection, self._open)
        self._looking: asyncio.Task[None] | None = None
        # Whether this uvicorn takes what ours gives it is known before the first client comes.
        self._make_connection()

    def run(self) -> None:
        try:
            self.loop.call_soon(self._begin)
            self.loop.run_forever()
        finally:
            self.loop.close()

    async def drain(self, grace_s: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._drain(), grace_s)

    async def stop(self) -> None:
        self._listener.close()
        for connection in list(self._open):
            connection.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.loop.shutdown_asyncgens()
        self.loop.stop()

    def _begin(self) -> None:
        self._listener.start()
        self._looking = self.loop.create_task(self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._limits.look_s)
            self.connections.check_times(self._open, self.loop.time())

    async def _drain(self) -> None:
        change = asyncio.Event()
        self.connections.begin_drain(change.set)
        self._listener.close()
        idle_until_s = self.loop.time() + self._limits.drain_idle_s
        while self._open or self._listener.connecting:
            if self.loop.time() >= idle_until_s:
                self._close_idle()
            change.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(change.wait(), _DRAIN_LOOK_PAUSE_S)

    def _close_idle(self) -> None:
        for connection in list(self._open):
            if connection.is_idle:
                connection.transport.close()

    def _make_connection(self) -> Connection:
        return Connection(self._config, self._state, self.loop, self.connections)


def _configure(application: Any) -> uvicorn.Config:
    config = uvicorn.Config(
        application,
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        # What a client does wrong is its own affair; what goes wrong here the application logs.
        log_level=logging.CRITICAL,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        # `Connections.check_times` closes idle connections; uvicorn's timers have no part in it.
        timeout_keep_alive=24 * 3600,
    )
    config.load()
    return config
