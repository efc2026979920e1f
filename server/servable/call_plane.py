"""What decides about calls and who follows them, made of the flags; started and stopped with the server."""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import unquote

from servable.authorization.actions import action_of_path
from servable.authorization.audit import AuditLog
from servable.authorization.authorizer import make_authorizer
from servable.call_policy import Authorizer, CallPolicy, Principal
from servable.calls import Action, CallContext, LocalContext
from servable.errors import ServingError
from servable.http_exchange import HTTP_STATUS, HttpHandler, HttpReply, HttpRequest, error_headers, json_error
from servable.http_plane import MODEL_READY
from servable.observability.metrics import Metrics
from servable.options import ServerOptions
from servable.transport.forwarded_certificates import identities_of

_REST: Final = "/v1/"


class CallPlane:
    """Start it before calls come, stop it after.

    Attributes:
        policy: What is put around methods.
    """

    def __init__(
        self, options: ServerOptions, trusted_proxies: AbstractSet[str] = frozenset(), metrics: Metrics | None = None
    ) -> None:
        """Make the parts that the flags ask for.

        Args:
            options: The flags.
            trusted_proxies: The names of peers that are believed about who calls.
            metrics: Where the parts are counted.

        Raises:
            ServingError: if a file that the flags name is not valid.
        """
        metrics = metrics or Metrics()
        self._authorizer = make_authorizer(options)
        if self._authorizer is not None:
            metrics.add_source(self._authorizer.families)
        self._identify = _behind_proxies(self._authorizer, trusted_proxies)
        self.policy = CallPolicy(self._identify, on_managed=AuditLog().take)

    def start(self) -> None:
        """Start what has threads."""
        if self._authorizer is not None:
            self._authorizer.start()

    def stop(self) -> None:
        """End the threads, and write what is left, within a bound."""
        if self._authorizer is not None:
            self._authorizer.stop()

    def guard_pages(self, handler: HttpHandler, metrics_paths: Collection[str] = ()) -> HttpHandler:
        """A handler that answers who may have the page.

        The API under /v1/ checks its calls itself, where it knows the model.

        Args:
            handler: Answers all paths of a port.
            metrics_paths: Where the metrics are.
        """
        authorizer = self._identify
        if authorizer is None:
            return handler

        async def answer(request: HttpRequest) -> HttpReply:
            try:
                action, ready = _of_page(request, metrics_paths)
                if action is not None:
                    authorizer.identify(request.context).check(action, ready)
            except ServingError as error:
                return json_error(HTTP_STATUS[error.code], error.message, error_headers(error))
            return await handler(request)

        return answer


def _of_page(request: HttpRequest, metrics_paths: Collection[str]) -> tuple[Action | None, str | None]:
    """What a request does, and with which model if it asks whether that is ready; else None."""
    path = request.path
    ready = MODEL_READY.fullmatch(request.target) if path not in metrics_paths else None
    if ready is not None:
        return Action.STATUS, unquote(ready[1])
    if path not in metrics_paths and request.target[: len(_REST)].lower() == _REST:
        return None, None
    return action_of_path(request.verb, request.target, metrics_paths), None


def _behind_proxies(authorizer: Authorizer | None, trusted: AbstractSet[str]) -> Authorizer | None:
    """An authorizer that believes trusted peers about for whom they call."""
    return _ProxyAwareAuthorizer(authorizer, trusted) if authorizer is not None and trusted else authorizer


class _ProxyAwareAuthorizer:
    def __init__(self, authorizer: Authorizer, trusted: AbstractSet[str]) -> None:
        self._authorizer, self._trusted = authorizer, trusted

    def identify(self, context: CallContext) -> Principal:
        metadata = context.metadata()
        names = identities_of(context.identities(), metadata, self._trusted)
        return self._authorizer.identify(LocalContext(metadata, context.peer(), names))
