"""The REST API over real models, without sockets: an HTTP request in, its reply out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servable.config.batching import BatchingConfig
from servable.data_plane import DataPlane
from servable.execution.loader import SavedModelLoader
from servable.http_exchange import HttpReply, HttpRequest
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import ServableId, State, VersionState
from servable.options import ServerOptions
from servable.rest.api import RestApi
from servable.routing import Router, Routes
from servable.servables import Handle

# No test waits longer for an answer.
TIMEOUT_S = 60.0


@dataclass
class ServedRest:
    """A RestApi whose loop runs in a thread of its own, as the server's does.

    Attributes:
        counted: What `on_request` was told, without the seconds.
    """

    api: RestApi
    router: Router
    data: DataPlane
    loop: asyncio.AbstractEventLoop
    counted: list[tuple[Any, ...]]

    def ask(self, verb: str, target: str, body: bytes | str = b"", headers: Mapping[str, str] | None = None):
        """The reply to a request."""
        sent = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        data = body.encode() if isinstance(body, str) else body
        return self.run(self.api.handle(HttpRequest(verb, target, data, sent)))

    def post(self, target: str, body: bytes | str) -> tuple[int, str]:
        """Status and text of the reply to a POST."""
        return read(self.ask("POST", target, body))

    def get(self, target: str) -> tuple[int, str]:
        """Status and text of the reply to a GET."""
        return read(self.ask("GET", target))

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(TIMEOUT_S)

    def stop(self) -> None:
        self.data.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)


def read(reply: HttpReply) -> tuple[int, str]:
    """Status and text; a byte that is no UTF-8 is a surrogate."""
    assert isinstance(reply.body, bytes)
    return reply.status, reply.body.decode(errors="surrogateescape")


def load(versions: Iterable[tuple[str, int, Path]]) -> list[Handle]:
    """Load version directories, each under a name and a number."""
    loader = SavedModelLoader()
    return [Handle(name, number, loader(path)) for name, number, path in versions]


def serve(handles: Iterable[Handle], labels=None, batching: BatchingConfig | None = None, **flags: Any) -> ServedRest:
    """Serve these versions."""
    options = ServerOptions(**flags)
    router, monitor = Router(Routes(handles, labels or {})), StateMonitor()
    for handle in router.routes:
        monitor.publish(ServableId(handle.name, handle.version), VersionState(State.AVAILABLE))
    data = DataPlane(options, batching, router)
    data.start()
    loop = asyncio.new_event_loop()
    threading.Thread(target=_run, args=(loop,), name="http", daemon=True).start()
    counted: list[tuple[Any, ...]] = []
    api = RestApi(data.rest_methods, router, monitor, options, lambda *told: counted.append(told[:3]))
    return ServedRest(api, router, data, loop, counted)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
