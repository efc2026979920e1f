"""The console as a handler of HTTP. It answers GET and HEAD only, and only with what it shows."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from servable.console import exposure
from servable.console.events import MOST_LISTENERS, Events
from servable.console.models import Models
from servable.console.pages import SECURITY, START, Pages
from servable.http_exchange import JSON, HttpReply, HttpRequest

_FOLDER: Final = "/console"
# Names stand in the query, since browsers change paths with names such as `..`.
_SIGNATURES: Final = re.compile(r"/console/signatures\?model=(?P<name>[^&#]*)&version=(?P<version>[0-9]{1,19})")
_NOT_STORED: Final = (b"cache-control", b"no-store")


class ConsoleHandler:
    """Answers `/`, `/console` and `/console/...`. Its method runs on the loop of the HTTP thread."""

    def __init__(self, models: Models, events: Events, bind_address: str, grpc_port: int | None) -> None:
        """Read the files of the page.

        Args:
            models: Describes the models.
            events: What the charts show.
            bind_address: Where the server listens.
            grpc_port: The port of the gRPC API, for the calls that the page suggests; None if there is none.
        """
        self._pages, self._models, self._events = Pages(), models, events
        self._bind_address, self._grpc_port = bind_address, grpc_port

    async def handle(self, request: HttpRequest) -> HttpReply:
        """Answer a request; see http_exchange.HttpHandler."""
        if request.verb not in {"GET", "HEAD"}:
            return _refuse(405, "The console can only be read", ((b"allow", b"GET, HEAD"),))
        if not exposure.is_host_answered(request.header(b"host"), self._bind_address):
            message = "The console answers to localhost and to IP addresses only, not to the name in the header Host"
            return _refuse(403, message)
        path = request.path
        if path == "/":
            return self._pages.answer(START, request) or _not_found()
        if path in {_FOLDER, f"{_FOLDER}/"}:
            # Relative, since a proxy may have put a prefix before the path.
            target = b"./" if path == _FOLDER else b"../"
            return HttpReply(302, b"", None, (*SECURITY, (b"location", target)))
        file = self._pages.answer(path.removeprefix(f"{_FOLDER}/"), request)
        return file or await self._answer_data(path, request)

    async def _answer_data(self, path: str, request: HttpRequest) -> HttpReply:
        if exposure.is_of_another_site(request.header(b"sec-fetch-site")):
            return _refuse(403, "The console tells nothing to the pages of other sites")
        if path == f"{_FOLDER}/events":
            return self._answer_events(request)
        if path == f"{_FOLDER}/models":
            return await asyncio.to_thread(self._describe_models)
        match = _SIGNATURES.fullmatch(request.target)
        if match is None:
            return _not_found()
        name = unquote_to_bytes(match["name"]).decode(errors="surrogateescape")
        return await asyncio.to_thread(self._describe_signatures, name, int(match["version"]))

    def _answer_events(self, request: HttpRequest) -> HttpReply:
        headers = (*SECURITY, _NOT_STORED)
        if request.verb == "HEAD":
            return HttpReply(200, b"", "text/event-stream", headers)
        listener = self._events.listen()
        if listener is None:
            message = f"{MOST_LISTENERS} pages are open already; close one of them"
            return _refuse(503, message, ((b"retry-after", b"5"),))
        return HttpReply(200, listener, "text/event-stream", headers)

    def _describe_models(self) -> HttpReply:
        return _answer({**self._models.describe(), "grpc_port": self._grpc_port})

    def _describe_signatures(self, name: str, version: int) -> HttpReply:
        signatures = self._models.describe_signatures(name, version)
        return _not_found() if signatures is None else _answer({"signatures": signatures})


def _answer(value: Any) -> HttpReply:
    return HttpReply(200, json.dumps(value).encode(), JSON, (*SECURITY, _NOT_STORED))


def _refuse(status: int, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> HttpReply:
    return HttpReply(status, json.dumps({"error": message}).encode(), JSON, (*SECURITY, _NOT_STORED, *headers))


def _not_found() -> HttpReply:
    return _refuse(404, "The console has no such page")
