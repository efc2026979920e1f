"""TensorFlow Serving's REST API: from an HTTP request under /v1/ to its reply.

Source of the behaviour: TensorFlow Serving, model_servers/http_server.cc and http_rest_api_handler.cc. What is not
under /v1/, and what is no HTTP, is the transport's concern.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from servable import calls
from servable.calls import NO_GUARD, Guard, MethodInfo
from servable.codec.json import writing
from servable.errors import Code, InvalidArgument, ServingError
from servable.http_exchange import HTTP_STATUS, HttpReply, HttpRequest, call, error_headers
from servable.lifecycle.monitor import StateMonitor
from servable.methods import LaneMethodOf
from servable.options import ServerOptions
from servable.rest import information, urls
from servable.rest.message import RestMessage
from servable.rest.urls import Action, ModelUrl, VersionTooLarge
from servable.routing import Router

OnRequest = Callable[[str, Code, str, float], None]
"""Counts a request: the model's name, the code of the answer, the API, and the seconds it took."""

_ORIGIN: Final = re.compile(rb"https?://")
_CORS_HEADERS: Final = (
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Access-Control-Allow-Methods", b"POST, GET"),
    (b"Access-Control-Allow-Headers", b"Content-Type"),
)
# What libevent sends for a reply without a type of its own.
_NO_TYPE: Final = "text/html; charset=ISO-8859-1"
_INFORMATION: Final[Mapping[Action, MethodInfo]] = {
    Action.STATUS: MethodInfo("GetModelStatus", "REST", calls.Action.STATUS, "/v1/models"),
    Action.METADATA: MethodInfo("GetModelMetadata", "REST", calls.Action.METADATA, "/v1/models/metadata"),
}


def _count_nothing(_name: str, _code: Code, _api: str, _seconds: float, /) -> None:
    """The OnRequest of a server without metrics."""


class RestApi:
    """Answers all requests under /v1/ (see `urls.is_of_api`). Its methods run on the loop of the HTTP thread."""

    def __init__(  # noqa: PLR0913
        self,
        methods: Mapping[str, LaneMethodOf[RestMessage]],
        router: Router,
        monitor: StateMonitor,
        options: ServerOptions,
        on_request: OnRequest = _count_nothing,
        *,
        guard: Guard = NO_GUARD,
    ) -> None:
        """Answer requests.

        Args:
            methods: Those of inference: `predict`, `classify` and `regress`.
            router: Finds versions.
            monitor: Has the states of versions.
            options: The flags.
            on_request: Counts what is no inference, and what is malformed; the methods count themselves.
            guard: Stands before what is no inference; the methods have their own.
        """
        self._methods = methods
        self._router, self._monitor, self._on_request, self._guard = router, monitor, on_request, guard
        self._timeout_s = options.rest_api_timeout_in_ms / 1e3 if options.rest_api_timeout_in_ms > 0 else None
        self._headers = _CORS_HEADERS if options.rest_api_enable_cors_support else ()

    async def handle(self, request: HttpRequest) -> HttpReply:
        """Answer a request; see http_exchange.HttpHandler."""
        reply = await self._answer(request)
        reply.headers = (*self._headers, *reply.headers)
        return reply

    async def _answer(self, request: HttpRequest) -> HttpReply:
        began_s = time.monotonic()
        if request.verb == "OPTIONS":
            return self._answer_options(request, began_s)
        try:
            url = urls.parse(request.verb, request.target)
        except InvalidArgument as error:
            name, body = "", writing.write_error(error.message_bytes)
            if isinstance(error, VersionTooLarge):
                name, body = error.name, b""
            self._on_request(name, error.code, "", time.monotonic() - began_s)
            return HttpReply(HTTP_STATUS[error.code], body)
        try:
            return HttpReply(200, await self._ask(url, request, began_s))
        except ServingError as error:
            text = writing.write_error(error.message_bytes)
            return HttpReply(HTTP_STATUS[error.code], text, headers=error_headers(error))

    async def _ask(self, url: ModelUrl, request: HttpRequest, began_s: float) -> bytes:
        method = self._methods.get(url.action.value)
        if method is not None:
            return await call(method, RestMessage(url, request.body), self._timeout_s, request.context)
        code = Code.CANCELLED
        try:
            with self._guard.follow(_INFORMATION[url.action], request.context, len(request.body), url.name):
                written = await asyncio.to_thread(self._inform, url)
            code = Code.OK
        except ServingError as error:
            code = error.code
            raise
        finally:
            self._on_request(url.name, code, "", time.monotonic() - began_s)
        return written

    def _inform(self, url: ModelUrl) -> bytes:
        """Takes milliseconds for a model with many versions or signatures, so it is not for the loop."""
        if url.action is Action.STATUS:
            return information.write_status(self._monitor, url)
        return information.write_metadata(self._router, url)

    def _answer_options(self, request: HttpRequest, began_s: float) -> HttpReply:
        """A browser asks before it sends; the path does not matter."""
        if not _ORIGIN.search(request.header(b"origin") or b""):
            return HttpReply(400, content_type=_NO_TYPE)
        self._on_request("", Code.OK, "", time.monotonic() - began_s)
        return HttpReply(200, content_type=_NO_TYPE)
