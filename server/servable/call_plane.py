"""What decides about calls and who follows them, made of the flags; started and stopped with the server."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from typing import Final
from urllib.parse import unquote

import servable
from servable.admission.admission import Admission
from servable.admission.settings import AdmissionSettings
from servable.authorization.actions import action_of_path
from servable.authorization.audit import AuditLog
from servable.authorization.authorizer import make_authorizer
from servable.authorization.principal import Principal
from servable.call_policy import Authorizer, CallPolicy
from servable.calls import Action, CallContext, Follower, LocalContext
from servable.config.models import ModelConfig
from servable.errors import ServingError
from servable.http_exchange import HTTP_STATUS, HttpHandler, HttpReply, HttpRequest, error_headers, json_error
from servable.http_plane import MODEL_READY
from servable.observability.access_log import make_access_log
from servable.observability.memory_limit import usable_bytes
from servable.observability.metrics import Metrics
from servable.options import ServerOptions
from servable.request_log.follower import make_request_log
from servable.tracing.tracer import make_tracer
from servable.transport.forwarded_certificates import identities_of
from servable.transport.http.settings import MIB

_REST: Final = "/v1/"
# A request's arrays and its reply may each take as much as its message.
_SHARE_OF_MEMORY: Final = 4


class CallPlane:
    """Start it before calls come, stop it after.

    Attributes:
        policy: What is put around methods.
    """

    def __init__(
        self,
        options: ServerOptions,
        trusted_proxies: AbstractSet[str] = frozenset(),
        metrics: Metrics | None = None,
        followers: Sequence[Follower] = (),
    ) -> None:
        """Make the parts that the flags ask for.

        Args:
            options: The flags.
            trusted_proxies: The names of peers that are believed about who calls.
            metrics: Where the parts are counted.
            followers: Who else is told of calls.

        Raises:
            ServingError: if a file that the flags name is not valid.
        """
        metrics, self._audit = metrics or Metrics(), AuditLog()
        self._authorizer = make_authorizer(options)
        if self._authorizer is not None:
            metrics.add_source(self._authorizer.families)
        self._identify = _behind_proxies(self._authorizer, trusted_proxies)
        self._access_log = make_access_log(
            options.access_log_ratio, options.access_log_slow_ms, options.access_log_max_per_s
        )
        following = [*followers]
        self._tracer = make_tracer(options.tracing, metrics.exemplars)
        if self._tracer is not None:
            metrics.add_source(self._tracer.families)
            following.append(self._tracer)
        if self._access_log is not None:
            metrics.add_source(self._access_log.families)
            following.append(self._access_log)
        self._request_log = make_request_log(options)
        metrics.add_source(self._request_log.families)
        if options.request_log or options.model_config_file or options.allow_request_logging_by_reload:
            # No other model can ever be logged, and calls need not ask.
            following.append(self._request_log)
        admission = Admission(_admission_settings(options))
        metrics.add_source(admission.families)
        self.policy = CallPolicy(self._identify, admission, following, self._audit.take)

    def start(self) -> None:
        """Start what has threads."""
        if self._tracer is not None:
            self._tracer.start()
        if self._authorizer is not None:
            self._authorizer.start()
            self._audit.note_start(time.time_ns(), servable.__version__)

    def stop(self) -> None:
        """End the threads, and write what is left, within a bound."""
        if self._authorizer is not None:
            self._audit.note_stop(time.time_ns(), "the server stops")
            self._authorizer.stop()
        self._request_log.stop()
        if self._access_log is not None:
            self._access_log.stop()
        if self._tracer is not None:
            self._tracer.stop()

    def prepare(self, models: Sequence[ModelConfig]) -> None:
        """Take up what a config says of the logs of its models' requests.

        Raises:
            InvalidArgument: if a log cannot be written where it asks for. Nothing has changed then.
        """
        self._request_log.apply(models)

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


def _admission_settings(options: ServerOptions) -> AdmissionSettings:
    return AdmissionSettings(
        calls=options.max_calls_in_flight,
        calls_per_model=options.max_calls_in_flight_per_model,
        calls_per_caller=options.max_calls_in_flight_per_caller,
        caller_key=options.caller_metadata_key,
        request_bytes=options.max_request_mb_in_flight * MIB or usable_bytes() // _SHARE_OF_MEMORY,
        is_adaptive=options.adaptive_concurrency,
    )


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
