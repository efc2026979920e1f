"""The HTTP side put together: which handler answers which path.

The original has two: its metrics, under one exact path, and `/v1/`. The others are ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from servable.http_exchange import HttpHandler, HttpReply, HttpRequest, html_error

# As the original matches, which takes any case (TensorFlow Serving: model_servers/http_server.cc).
_REST: Final = re.compile(r"/v1/.*", re.IGNORECASE | re.DOTALL)
MODEL_READY: Final = re.compile(r"/v1/models/([^/:?#]+)/ready")
"""Ours: whether some version of a model serves."""
_OPEN_INFERENCE: Final = re.compile(r"/v2(?:[/?#].*)?", re.DOTALL)
_CONSOLE: Final = re.compile(r"/(?:console(?:/.*)?)?", re.DOTALL)
_READ_VERBS: Final = ("GET", "HEAD")


class HttpPlane:
    """Finds the handler of a request's path. What has none is answered with a page of 404, as in the original."""

    def __init__(  # noqa: PLR0913
        self,
        *,
        is_ready: Callable[[], bool],
        is_model_ready: Callable[[str], bool | None],
        metrics: Mapping[str, HttpHandler] = MappingProxyType({}),
        rest: HttpHandler | None = None,
        open_inference: HttpHandler | None = None,
        open_api: HttpHandler | None = None,
        console: HttpHandler | None = None,
    ) -> None:
        """Put it together.

        Args:
            is_ready: Whether requests should be sent here: the first models have loaded, and no drain has begun.
            is_model_ready: Whether some version of a model serves; None for a model that is not known.
            metrics: Handlers by exact path, without the query. They win over all others.
            rest: Answers `/v1/...`.
            open_inference: Answers `/v2` and `/v2/...`.
            open_api: Answers `/openapi.json`.
            console: Answers `/`, `/console` and `/console/...`.
        """
        self._is_ready, self._is_model_ready = is_ready, is_model_ready
        self._paths: dict[str, HttpHandler] = {
            "/healthz": _get_only(self._answer_health),
            "/readyz": _get_only(self._answer_readiness),
            **({} if open_api is None else {"/openapi.json": _get_only(open_api)}),
            **metrics,
        }
        self._rest, self._open_inference, self._console = rest, open_inference, console

    async def handle(self, request: HttpRequest) -> HttpReply:
        """Answer a request: an HttpHandler."""
        handler = self._find(request)
        return html_error(404) if handler is None else await handler(request)

    def _find(self, request: HttpRequest) -> HttpHandler | None:
        exact = self._paths.get(request.path)
        if exact is not None:
            return exact
        if _REST.fullmatch(request.target):
            is_question = request.verb in _READ_VERBS and MODEL_READY.fullmatch(request.target)
            return self._answer_model_readiness if is_question else self._rest
        if _OPEN_INFERENCE.fullmatch(request.target):
            return self._open_inference
        return self._console if _CONSOLE.fullmatch(request.path) else None

    async def _answer_health(self, _request: HttpRequest) -> HttpReply:
        return _json(200, {"status": "ok"})

    async def _answer_readiness(self, _request: HttpRequest) -> HttpReply:
        is_ready = self._is_ready()
        return _json(200 if is_ready else 503, {"ready": is_ready})

    async def _answer_model_readiness(self, request: HttpRequest) -> HttpReply:
        """Ours: in the original such a path is a malformed request."""
        match = MODEL_READY.fullmatch(request.target)
        name = unquote(match[1]) if match else ""
        is_ready = self._is_model_ready(name)
        if is_ready is None:
            return _json(404, {"error": f"Could not find any versions of model {name}"})
        return _json(200 if is_ready else 503, {"name": name, "ready": is_ready})


def _get_only(handler: HttpHandler) -> HttpHandler:
    async def answer(request: HttpRequest) -> HttpReply:
        return await handler(request) if request.verb in _READ_VERBS else html_error(404)

    return answer


def _json(status: int, value: Mapping[str, object]) -> HttpReply:
    return HttpReply(status, json.dumps(value).encode())
