"""Answers the console's requests: the page, the models as JSON, the events."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Final

from servable.console import exposure
from servable.console.events import Events
from servable.console.models import LoadOf, describe_models
from servable.http_exchange import HttpReply, HttpRequest, html_error, json_error
from servable.lifecycle.monitor import StateMonitor
from servable.routing import Router

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PAGE: Final = "index.html"
_PREFIX: Final = "/console/"
# Nothing inline, nothing from elsewhere: a name of a model can at most be shown.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = (
    (b"Content-Security-Policy", _POLICY.encode()),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Opener-Policy", b"same-origin"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
)
_NO_STORE: Final = ((b"Cache-Control", b"no-store"),)


@dataclass(frozen=True, slots=True)
class _File:
    content_type: str
    body: bytes
    tag: bytes


class Console:
    """Answers requests to `/` and `/console/...`: an HttpHandler."""

    def __init__(
        self, router: Router, monitor: StateMonitor, load_of: LoadOf, events: Events, bind_address: str
    ) -> None:
        """Read the page's files.

        Args:
            router: Has what serves.
            monitor: Has the states of versions.
            load_of: What a load took.
            events: Sends snapshots.
            bind_address: Where the server listens.
        """
        self._router, self._monitor, self._load_of = router, monitor, load_of
        self._events, self._bind_address = events, bind_address
        self._files = _read_files()

    async def __call__(self, request: HttpRequest) -> HttpReply:
        """Answer a request."""
        if request.verb not in ("GET", "HEAD"):
            return html_error(404)
        if not exposure.may_ask(request.header(b"host"), self._bind_address):
            return json_error(421, "The console answers to localhost and to addresses only, and not to other names")
        reply = await self._answer(request)
        reply.headers = (*reply.headers, *_HEADERS)
        return reply

    async def _answer(self, request: HttpRequest) -> HttpReply:
        name = _PAGE if request.path in ("/", "/console", _PREFIX) else request.path.removeprefix(_PREFIX)
        if name == "models":
            return HttpReply(200, await asyncio.to_thread(self._write_models), headers=_NO_STORE)
        if name == "events":
            return self._answer_events(request)
        file = self._files.get(name)
        if file is None:
            return html_error(404)
        headers = ((b"ETag", file.tag), (b"Cache-Control", b"no-cache"))
        if request.header(b"if-none-match") == file.tag:
            return HttpReply(304, content_type=None, headers=headers)
        return HttpReply(200, file.body, file.content_type, headers)

    def _answer_events(self, request: HttpRequest) -> HttpReply:
        if request.verb == "HEAD":
            return HttpReply(200, content_type="text/event-stream", headers=_NO_STORE)
        if self._events.is_full:
            return json_error(503, "Too many pages are open already")
        return HttpReply(200, self._events.listen(), "text/event-stream", _NO_STORE)

    def _write_models(self) -> bytes:
        return json.dumps(describe_models(self._router, self._monitor, self._load_of)).encode()


def _read_files() -> Mapping[str, _File]:
    files = {}
    for entry in resources.files("servable.console").joinpath("static").iterdir():
        content_type = _TYPES.get("." + entry.name.rpartition(".")[2])
        if content_type is not None:
            body = entry.read_bytes()
            files[entry.name] = _File(content_type, body, b'"%b"' % hashlib.sha256(body).hexdigest()[:16].encode())
    return files
