"""The protocol over HTTP: what lies under `/v2`.

Source of the paths and bodies: the protocol's REST description. A server or a model that is not ready answers with 400,
as Triton does: the protocol asks for a status of 4xx.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, unquote_to_bytes

from servable import wire
from servable.calls import NO_GUARD, Action, Guard, MethodInfo
from servable.errors import HIDE_ERROR_TEXT, Code, InvalidArgument, ServingError
from servable.http_exchange import HTTP_STATUS, HttpReply, HttpRequest, call, error_headers
from servable.methods import LaneMethodOf
from servable.open_inference import models
from servable.open_inference.grpc_api import describe_server
from servable.open_inference.http_infer import InferMessage
from servable.open_inference.inference import SIGNATURE_PARAMETER
from servable.routing import Router
from servable.signatures import DEFAULT_KEY

_log = logging.getLogger(__name__)

PREFIX: Final = "/v2"
_OF_MODEL: Final = re.compile(
    "/v2/models/(?P<name>[^/]+)(?:/versions/(?P<version>[^/]+))?(?:/(?P<action>ready|infer))?"
)
_JSON_BYTES_HEADER: Final = b"inference-header-content-length"
_BINARY: Final = "application/octet-stream"
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")
_READS: Final = ("GET", "HEAD")
_MODEL_READY: Final = MethodInfo("ModelReady", "REST", Action.STATUS, "/v2/models/ready")
_MODEL_METADATA: Final = MethodInfo("ModelMetadata", "REST", Action.METADATA, "/v2/models")


@dataclass(frozen=True, slots=True)
class OpenInferenceApi:
    """Answers requests under `/v2`. Used on the event loop only.

    Attributes:
        infer: HttpInfer as a method for lanes.
        router: Finds versions.
        is_server_ready: Whether calls should come here: once the server serves and until it leaves.
        timeout_s: How long an inference may take; None for no bound.
        guard: Stands before what is no inference.
    """

    infer: LaneMethodOf[InferMessage]
    router: Router
    is_server_ready: Callable[[], bool]
    timeout_s: float | None = None
    guard: Guard = NO_GUARD

    async def handle(self, request: HttpRequest) -> HttpReply:
        """Answer a request; see http_exchange.HttpHandler. Raises nothing."""
        try:
            return await self._answer(request)
        except ServingError as error:
            reply = _error(HTTP_STATUS[error.code], error.message)
            reply.headers = error_headers(error)
            return reply
        except Exception:  # noqa: BLE001  A fault of ours, told in the protocol's own form.
            _log.exception("%s %s failed in an unforeseen way", request.verb, PREFIX, extra=HIDE_ERROR_TEXT)
            return _error(HTTP_STATUS[Code.INTERNAL], "Internal error")

    async def _answer(self, request: HttpRequest) -> HttpReply:
        path = request.path.rstrip("/")
        of_model = _OF_MODEL.fullmatch(path)
        if of_model is not None:
            name, version = _decode(of_model["name"]), _decode(of_model["version"] or "")
            if of_model["action"] == "infer":
                return await self._infer(request, name, version) if request.verb == "POST" else _refuse_verb("POST")
            answer = self._say_model_ready if of_model["action"] else self._describe
            read: Callable[[], HttpReply] = partial(answer, request, name, version)
        elif path in self._reads:
            read = self._reads[path]
        else:
            return _error(404, f"{path[:200]} is not part of the Open Inference Protocol")
        return read() if request.verb in _READS else _refuse_verb("GET")

    @property
    def _reads(self) -> Mapping[str, Callable[[], HttpReply]]:
        return {
            PREFIX: lambda: _reply(_describe_server()),
            f"{PREFIX}/health/live": lambda: _reply({"live": True}),
            f"{PREFIX}/health/ready": lambda: _say_ready({}, self.is_server_ready()),
        }

    async def _infer(self, request: HttpRequest, name: str, version: str) -> HttpReply:
        message = InferMessage(name, version, request.body, _json_bytes(request))
        body = await call(self.infer, message, self.timeout_s, request.context)
        if message.reply_json_bytes is None:
            return HttpReply(200, body)
        header = (b"Inference-Header-Content-Length", b"%d" % message.reply_json_bytes)
        return HttpReply(200, body, _BINARY, [header])

    def _say_model_ready(self, request: HttpRequest, name: str, version: str) -> HttpReply:
        with self.guard.follow(_MODEL_READY, request.context, 0, name):
            return _say_ready({"name": name}, models.is_ready(self.router, name, version))

    def _describe(self, request: HttpRequest, name: str, version: str) -> HttpReply:
        (key,) = _query(request).get(SIGNATURE_PARAMETER, [DEFAULT_KEY])[:1]
        with self.guard.follow(_MODEL_METADATA, request.context, 0, name):
            return _reply(_describe_model(models.describe(self.router, name, version, key)))


def _decode(part: str) -> str:
    """A part of a path, which is in characters of one byte.

    Raises:
        InvalidArgument: if it is no UTF-8.
    """
    try:
        return unquote_to_bytes(part.encode("latin-1")).decode()
    except UnicodeError as error:
        raise InvalidArgument("the path is no UTF-8") from error


def _query(request: HttpRequest) -> Mapping[str, list[str]]:
    try:
        return parse_qs(request.target.partition("?")[2].partition("#")[0], max_num_fields=100)
    except ValueError as error:
        raise InvalidArgument("the query has too many fields") from error


def _json_bytes(request: HttpRequest) -> int:
    value = request.header(_JSON_BYTES_HEADER)
    if value is None:
        return len(request.body)
    if not _NUMBER.fullmatch(value.strip()):
        raise InvalidArgument("Inference-Header-Content-Length is no number")
    return int(value)


def _describe_server() -> dict[str, Any]:
    server = describe_server()
    return {"name": server.name, "version": server.version, "extensions": list(server.extensions)}


def _describe_model(model: wire.ModelMetadataResponse) -> dict[str, Any]:
    def describe(described: Iterable[wire.ModelMetadataResponse.TensorMetadata]) -> list[dict[str, Any]]:
        return [{"name": each.name, "datatype": each.datatype, "shape": list(each.shape)} for each in described]

    return {
        "name": model.name,
        "versions": list(model.versions),
        "platform": model.platform,
        "inputs": describe(model.inputs),
        "outputs": describe(model.outputs),
    }


def _reply(document: Mapping[str, Any], status: int = 200) -> HttpReply:
    return HttpReply(status, json.dumps(document).encode())


def _say_ready(document: Mapping[str, Any], ready: bool) -> HttpReply:
    return _reply({**document, "ready": ready}, 200 if ready else 400)


def _error(status: int, text: str) -> HttpReply:
    return _reply({"error": text}, status)


def _refuse_verb(wanted: str) -> HttpReply:
    reply = _error(405, f"use {wanted}")
    reply.headers = [(b"Allow", wanted.encode())]
    return reply
