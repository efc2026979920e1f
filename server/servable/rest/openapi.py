"""The OpenAPI document of the REST API, made from the signatures that are loaded.

Each model has its paths, each version and label too. A path's request is any of its signatures' requests; schemas and
examples of signatures are shared by all paths of a version. Names of models, labels and signatures may be any text, so
schemas are named by numbers and say what they are of in their titles.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import quote
from weakref import WeakKeyDictionary

from servable import __version__
from servable.errors import ServingError
from servable.http_exchange import HttpReply, HttpRequest
from servable.inference.classify import require_classifier
from servable.inference.regress import require_regressor
from servable.rest import json_schema
from servable.rest.json_schema import Described, Json
from servable.routing import Labels, Router, Routes
from servable.servables import Handle
from servable.signatures import Signature

_ERROR: Final[Json] = {
    "type": "object",
    "title": "Error",
    "properties": {"error": {"type": "string"}},
    "required": ["error"],
}
_FAILED: Final[Json] = {
    "description": "Refused, or failed",
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
}


class OpenApi:
    """Answers `GET /openapi.json`. Its method runs on the loop of the HTTP thread."""

    def __init__(self, router: Router) -> None:
        """Describe what a router routes to."""
        self._router = router
        # By the routes that they describe, weakly: they change with each version that comes or goes.
        self._documents: WeakKeyDictionary[Routes, bytes] = WeakKeyDictionary()
        self._making = asyncio.Lock()

    async def handle(self, request: HttpRequest) -> HttpReply:
        """The document; see http_exchange.HttpHandler."""
        del request  # It cannot ask for a part.
        # One at a time: it takes long for many models, and the second who asks finds what the first has made.
        async with self._making:
            routes = self._router.routes
            document = self._documents.get(routes)
            if document is None:
                document = await asyncio.to_thread(_write, routes)
                self._documents[routes] = document
        return HttpReply(200, document)


def make_document(handles: Iterable[Handle], labels: Labels | None = None) -> dict[str, Json]:
    """An OpenAPI 3.1 document.

    Args:
        handles: What is loaded.
        labels: What labels stand for.
    """
    components = _Components()
    paths: dict[str, Json] = {}
    for name, versions in _by_name(handles).items():
        latest = versions[max(versions)]
        described = {number: _describe(handle, components) for number, handle in sorted(versions.items())}
        base = f"/v1/models/{_quote(name)}"
        paths.update(_paths(base, name, "of the latest version", described[latest.version]))
        for number, operations in described.items():
            paths.update(_paths(f"{base}/versions/{number}", name, f"of version {number}", operations))
        for label, number in sorted((labels or {}).get(name, {}).items()):
            if number in described:
                about = f'of the version labelled "{label}"'
                paths.update(_paths(f"{base}/labels/{_quote(label)}", name, about, described[number]))
    return {
        "openapi": "3.1.0",
        "info": {"title": "servable", "version": __version__, "description": "TensorFlow Serving's REST API."},
        "paths": paths,
        "components": {"schemas": {"Error": _ERROR, **components.schemas}},
    }


@dataclass(frozen=True, slots=True)
class _Operation:
    """One API of a version: the schemas that it takes and gives, and examples by the name of their signature."""

    action: str
    requests: Sequence[Json]
    replies: Sequence[Json]
    examples: Mapping[str, Json]


@dataclass(slots=True)
class _Components:
    """The schemas so far, by their names."""

    schemas: dict[str, Json] = field(default_factory=dict)

    def add(self, title: str, schema: Json) -> Json:
        """A reference to a schema."""
        name = f"Schema{len(self.schemas) + 1}"
        self.schemas[name] = {"title": title, **schema}
        return {"$ref": f"#/components/schemas/{name}"}


def _by_name(handles: Iterable[Handle]) -> dict[str, dict[int, Handle]]:
    found: dict[str, dict[int, Handle]] = {}
    for handle in sorted(handles, key=lambda each: (each.name, each.version)):
        found.setdefault(handle.name, {})[handle.version] = handle
    # A model without a name cannot be asked over REST.
    found.pop("", None)
    return found


def _quote(name: str) -> str:
    return quote(name, safe="", errors="surrogateescape")


def _describe(handle: Handle, components: _Components) -> Sequence[_Operation]:
    signatures = [handle.servable.signatures[key] for key in sorted(handle.servable.signatures)]
    operations = []
    for api in _apis():
        accepted = [signature for signature in signatures if api.accepts(signature)]
        if accepted:
            operations.append(_operation(api, handle, accepted, components))
    return operations


class _Api(NamedTuple):
    """The last word of its URLs, which signatures it can run, and what it takes and gives for one."""

    action: str
    accepts: Callable[[Signature], bool]
    takes: Callable[[Signature], Sequence[Described]]
    gives: Callable[[Signature], Sequence[Described]]


def _apis() -> Sequence[_Api]:
    def takes_examples(signature: Signature) -> Sequence[Described]:
        return [json_schema.examples_request(signature)]

    return (
        _Api("predict", json_schema.can_predict, json_schema.predict_requests, json_schema.predict_replies),
        _Api("classify", _is_classifier, takes_examples, lambda _: [json_schema.classify_reply()]),
        _Api("regress", _is_regressor, takes_examples, lambda _: [json_schema.regress_reply()]),
    )


def _operation(api: _Api, handle: Handle, signatures: Sequence[Signature], components: _Components) -> _Operation:
    requests, replies, examples = [], [], dict[str, Json]()
    for signature in signatures:
        title = f"{handle.name} {handle.version} {signature.key}"
        for described in api.takes(signature):
            requests.append(components.add(f"{title}: {api.action} request", described.schema))
            if described.example is not None:
                examples[f"example{len(examples) + 1}"] = {"summary": signature.key, "value": described.example}
        replies += [components.add(f"{title}: {api.action} reply", each.schema) for each in api.gives(signature)]
    return _Operation(api.action, requests, replies, examples)


def _is_classifier(signature: Signature) -> bool:
    return _is_accepted(lambda: require_classifier(signature, check_method_name=False))


def _is_regressor(signature: Signature) -> bool:
    return _is_accepted(lambda: require_regressor(signature, check_method_name=False))


def _is_accepted(check: Callable[[], object]) -> bool:
    try:
        check()
    except ServingError:
        return False
    return True


def _paths(base: str, name: str, about: str, operations: Sequence[_Operation]) -> Iterator[tuple[str, Json]]:
    yield base, {"get": _information(name, f"The states {about}", "Versions with their states")}
    yield f"{base}/metadata", {"get": _information(name, f"The signatures {about}", "SignatureDefs by their keys")}
    for operation in operations:
        body = {"schema": {"anyOf": operation.requests}, "examples": operation.examples}
        yield (
            f"{base}:{operation.action}",
            {
                "post": {
                    "tags": [name],
                    "summary": f"{operation.action.capitalize()} by a signature {about}",
                    "requestBody": {"required": True, "content": {"application/json": body}},
                    "responses": {"200": _answer("The results", {"anyOf": operation.replies}), "default": _FAILED},
                }
            },
        )


def _information(name: str, summary: str, description: str) -> Json:
    return {
        "tags": [name],
        "summary": summary,
        "responses": {"200": _answer(description, {"type": "object"}), "default": _FAILED},
    }


def _answer(description: str, schema: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _write(routes: Routes) -> bytes:
    return "".join(_encode(make_document(routes, routes.labels), depth=2)).encode(errors="replace")


def _encode(value: Json, depth: int) -> Iterator[str]:
    """The JSON text in parts: the interpreter is not held for long by any of them."""
    if not depth or not isinstance(value, dict):
        yield json.dumps(value)
        return
    before = "{"
    for key, member in value.items():
        yield f"{before}{json.dumps(key)}: "
        yield from _encode(member, depth - 1)
        before = ", "
    yield "{}" if before == "{" else "}"
