"""The server as a whole: the one place where the packages are put together.

Order matters. Models load before a port opens, so that every client that can connect is answered (TensorFlow Serving:
model_servers/server.cc). Health follows the models. Before a drain the server says NOT_SERVING and serves on for some
time, since a balancer notices a closed port sooner than it checks health again. A drain comes before the stop.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from servable import data_plane, listeners, model_paths, startup
from servable import options as flags
from servable.authorization.actions import describe_method
from servable.call_plane import CallPlane
from servable.calls import Follower
from servable.codec.json import number_arrays
from servable.config import batching, models, monitoring
from servable.config.batching import BatchingConfig
from servable.config.models import ModelConfig
from servable.config.monitoring import MonitoringConfig
from servable.config.tls import TlsSource
from servable.console import exposure
from servable.console.events import Events
from servable.console.handler import ConsoleHandler
from servable.console.models import Models
from servable.console.snapshots import Snapshots
from servable.control_plane import ControlPlane
from servable.data_plane import DataPlane
from servable.errors import Unavailable
from servable.http_exchange import HttpHandler
from servable.http_plane import HttpPlane
from servable.inspection import survey
from servable.lifecycle.manager import Loader
from servable.lifecycle.monitor import StateMonitor
from servable.listeners import bracketed
from servable.loops import Loop
from servable.management.model_service import GetModelStatus, HandleReloadConfigRequest, names_in
from servable.management.served_models import wait_until_any_serves
from servable.methods import Answer, Method, without_context
from servable.metrics_plane import OUR_PATH, MetricsPlane
from servable.observability.metrics import Metrics
from servable.open_inference import grpc_api
from servable.open_inference.http_api import OpenInferenceApi
from servable.options import ServerOptions
from servable.rest.api import RestApi
from servable.rest.openapi import OpenApi
from servable.routing import Router
from servable.transport import credentials, health
from servable.transport.certificates import CertificateReload
from servable.transport.http import tls
from servable.transport.http.settings import HttpSettings
from servable.transport.server import GrpcServer, HotMethods, ServerSettings

if TYPE_CHECKING:
    from servable.transport.http.server import HttpServer

_log = logging.getLogger(__name__)

PREDICTION_SERVICE = data_plane.SERVICE
MODEL_SERVICE = "tensorflow.serving.ModelService"
PROFILER_SERVICE = "tensorflow.ProfilerService"
# The last two are the names of the original's health service, which lack the package.
_SERVICE_HEALTH_NAMES = (
    health.OVERALL,
    PREDICTION_SERVICE,
    MODEL_SERVICE,
    grpc_api.SERVICE,
    "PredictionService",
    "ModelService",
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The flags, and the contents of the files that they name, read and checked.

    Attributes:
        options: The flags.
        models: The models to serve at first; None if the config file sets none, so that a reload must.
        settings: How the gRPC server listens.
        batching: How requests are batched; None if they are not.
        http: How the HTTP server listens; None if there is none.
        monitoring: Whether and where it serves the metrics.
        metrics: How the server of the metrics listens, which serves nothing else; None if there is none.
        admin: How the gRPC server for management listens; None if there is none.
        admin_http: How the HTTP server with management listens; None if there is none.
        tls: Where the certificates come from that the settings hold; None for none.
        trusted_proxies: The names of peers that say for whom they call.
    """

    options: ServerOptions
    models: Sequence[ModelConfig] | None
    settings: ServerSettings
    batching: BatchingConfig | None = None
    http: HttpSettings | None = None
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)
    metrics: HttpSettings | None = None
    admin: ServerSettings | None = None
    admin_http: HttpSettings | None = None
    tls: TlsSource | None = None
    trusted_proxies: frozenset[str] = frozenset()

    @property
    def has_admin(self) -> bool:
        """Whether management (reload, profiler, console, metrics) is served on the admin ports only."""
        return self.admin is not None or self.admin_http is not None


def configure(options: ServerOptions, models_of_paths: Sequence[ModelConfig] = ()) -> Configuration:
    """Read the files that the flags name. Quick, since it does not import TensorFlow.

    Args:
        options: The flags.
        models_of_paths: What paths on the command line name; see model_paths.read_arguments.

    Raises:
        ServingError: if the flags or a file that they name are not valid.
    """
    flags.validate(options, has_paths=bool(models_of_paths))
    served = _read_models(options, models_of_paths)
    listening = listeners.from_flags(options)
    return Configuration(
        options,
        served,
        listening.grpc,
        batching.from_flags(options),
        listening.http,
        monitoring.from_flag(options.monitoring_config_file),
        listening.metrics,
        listening.admin,
        listening.admin_http,
        listening.tls,
        listening.trusted_proxies,
    )


class Server:
    """One server: its models, its control plane, and its gRPC and HTTP sides.

    Start it once, from one thread; drain or stop it once.

    Attributes:
        http_ports: The ports on which HTTP is listened to, once `listen` has returned.
        metrics_ports: The same of the ports for metrics only.
        admin_ports: The same of gRPC's ports for management.
        admin_http_ports: The same of the HTTP ports with management.
    """

    def __init__(
        self,
        configuration: Configuration,
        loader: Loader,
        extra_methods: Mapping[str, Answer] = MappingProxyType({}),
        metrics: Metrics | None = None,
        followers: Sequence[Follower] = (),
    ) -> None:
        """Put the packages together; nothing is loaded and nothing listens yet.

        Args:
            configuration: What to serve and how.
            loader: Loads a version from its directory.
            extra_methods: More methods by full path, which the caller has made (the profiler). They may wait.
            metrics: What is counted, if the loader counts something, too.
            followers: Who else is told of calls.
        """
        options = configuration.options
        self._configuration = configuration
        self._router, self._monitor, self._metrics = Router(), StateMonitor(), metrics or Metrics()
        self._measured = MetricsPlane(
            self._metrics,
            configuration.monitoring,
            self._monitor,
            self._router,
            survey.installed_tensorflow_version() or "",
        )
        self._calls = CallPlane(options, configuration.trusted_proxies, self._metrics, followers)
        self._policy = self._calls.policy
        self._control = ControlPlane(
            options,
            self._measured.measuring(loader),
            self._router,
            self._monitor,
            self._report_health,
            prepare=self._calls.prepare,
        )
        self._data = DataPlane(options, configuration.batching, self._router, self._metrics, self._policy)
        status, management = self._status_methods(), self._waiting_methods(extra_methods)
        self._grpc = GrpcServer(
            {**self._data.methods, **self._open_inference_methods(), **status},
            configuration.settings,
            {} if configuration.has_admin else management,
            HotMethods(self._data.lane_methods, self._data.on_overrun, self._policy.gate(describe_method)),
        )
        self._admin = [] if configuration.admin is None else [GrpcServer(status, configuration.admin, management)]
        self._metrics.add_source(self._grpc.families)
        self._is_ready = False
        self._http = self._make_http(configuration.http, None if configuration.has_admin else options.bind_address)
        for http_server in self._http:
            self._metrics.add_source(http_server.families)
        self._metrics_http = _make_http_servers(
            configuration.metrics, self._calls.guard_pages(self._measured.port_handler(), self._measured.handlers())
        )
        self._admin_http = self._make_http(configuration.admin_http, options.admin_bind_address)
        self._certificates = self._make_certificate_reload()
        self.http_ports: list[int] = []
        self.metrics_ports: list[int] = []
        self.admin_ports: list[int] = []
        self.admin_http_ports: list[int] = []
        self._monitor.listen(lambda servable, _state: self._report_health(servable.name))

    @property
    def metrics(self) -> MetricsPlane:
        """The metrics, and the handlers of their pages."""
        return self._measured

    def start(self) -> list[int]:
        """Load the models, then listen: see `load` and `listen`."""
        self.load()
        return self.listen()

    def load(self) -> None:
        """Load the first models.

        Raises:
            ServingError: if a label is not valid, or if no model can be loaded.
        """
        self._measured.start()
        self._calls.start()
        self._control.start()
        self._data.start()
        try:
            if self._configuration.models is not None:
                self._load(self._configuration.models)
        except BaseException:
            self._end()
            raise
        self._control.end_initial_load()
        self._control.follow_config_file()
        if self._certificates is not None:
            self._certificates.start()

    def listen(self) -> list[int]:
        """Open the ports, then say SERVING. Without its HTTP port the server goes on (as the original does).

        Returns:
            The ports that are listened on for gRPC.

        Raises:
            Unavailable: if an address cannot be bound.
        """
        try:
            ports = self._grpc.start()
            try:
                self.admin_ports = [port for server in self._admin for port in server.start()]
            except BaseException:
                self._grpc.stop()
                raise
        except BaseException:
            self._end()
            raise
        for name in _SERVICE_HEALTH_NAMES:
            self._set_serving(name, serving=True)
        self._listen_for_http()
        self._is_ready = True
        return ports

    def describe(self) -> list[str]:
        """What an operator should know of a server that listens, by lines; see `startup`."""
        settings, names = self._configuration.settings, [model.name for model in self._configuration.models or ()]
        has_tls = settings.is_encrypted
        table = startup.describe_models(names, self._monitor) if len(names) > 1 else []
        ports = [f"serving on {address}{' (TLS)' if has_tls else ''}" for address in settings.addresses]
        handles = sorted(
            self._router.routes, key=lambda handle: names.index(handle.name) if handle.name in names else 0
        )
        call = startup.suggest_call(handles, settings.addresses[0], has_tls=has_tls)
        options, scheme = self._configuration.options, "https" if settings.certificates is not None else "http"
        host, admin_host = bracketed(options.bind_address), bracketed(options.admin_bind_address)
        ports += [f"serving on {scheme}://{host}:{port} (REST)" for port in self.http_ports]
        with_console = self.admin_http_ports if self._configuration.has_admin else self.http_ports
        console_host = options.admin_bind_address if self._configuration.has_admin else options.bind_address
        if exposure.is_served(options.console, console_host):
            ports += [f"console on {scheme}://{bracketed(console_host)}:{port}/" for port in with_console]
        if self.http_ports and not number_arrays.is_available():
            ports.append(
                "large JSON bodies are read slowly, which delays other calls: pip install 'servable[simdjson]'"
            )
        ports += [f"metrics on {host}:{port}{OUR_PATH}" for port in self.metrics_ports]
        ports += [f"management on {admin_host}:{port} (gRPC)" for port in self.admin_ports]
        ports += [f"management on {scheme}://{admin_host}:{port} (HTTP)" for port in self.admin_http_ports]
        ports += self._describe_what_is_nowhere()
        return [*table, *ports, *([f"try: {call}"] if call else [])]

    def _describe_what_is_nowhere(self) -> list[str]:
        """What an admin port has taken off the other ports, and is on no port of its own."""
        configuration = self._configuration
        if not configuration.has_admin:
            return []
        lines = [] if configuration.admin else ["reload and profiler are on no port: --admin_port has them"]
        if configuration.monitoring.is_enabled and configuration.admin_http is None:
            lines.append("the metrics of --monitoring_config_file are on no port: --admin_http_port has them")
        return lines

    def leave(self) -> None:
        """Say NOT_SERVING for good, and serve on until `drain`."""
        self._is_ready = False
        for server in self._grpc_servers:
            server.leave()

    def drain(self, grace_s: float) -> None:
        """Close the ports, send GOAWAY, and return when calls in flight have ended or the grace is over."""
        self._is_ready = False
        http_drains = [server.begin_drain(grace_s) for server in (*self._http, *self._admin_http)]
        with ThreadPoolExecutor(len(self._grpc_servers), "drain") as threads:
            list(threads.map(lambda server: server.drain(grace_s), self._grpc_servers))
        for drained in http_drains:
            drained.result()
        self._end()

    def stop(self) -> None:
        """End at once."""
        for server in self._grpc_servers:
            server.stop()
        self._end()

    @property
    def _grpc_servers(self) -> Sequence[GrpcServer]:
        return (self._grpc, *self._admin)

    def _end(self) -> None:
        if self._certificates is not None:
            self._certificates.end()
        for server in (*self._http, *self._metrics_http, *self._admin_http):
            server.stop()
        self._data.stop()
        self._calls.stop()
        self._control.stop()
        self._measured.stop()

    def _make_certificate_reload(self) -> Loop | None:
        """What takes up new certificates; None without any."""
        configuration = self._configuration
        source, certificates = configuration.tls, configuration.settings.certificates
        if source is None or certificates is None:
            return None
        has_http = any((configuration.http, configuration.metrics, configuration.admin_http))
        reload_ = CertificateReload(
            source, certificates, [credentials.check, *([tls.make_context] if has_http else [])]
        )
        reload_.warn()
        self._metrics.add_source(reload_.families)
        return Loop("certificates", reload_.turn)

    def _make_http(self, settings: HttpSettings | None, management_address: str | None) -> list[HttpServer]:
        """The HTTP server for an address, if there is one.

        Args:
            settings: How it listens.
            management_address: Where it listens, if it has management; None without.
        """
        if settings is None:
            return []
        metrics = {} if management_address is None else self._metrics_handlers()
        plane = self._make_plane(management_address, metrics)
        return _make_http_servers(settings, self._calls.guard_pages(plane.handle, metrics))

    def _make_plane(self, management_address: str | None, metrics: Mapping[str, HttpHandler]) -> HttpPlane:
        rest = RestApi(
            self._data.rest_methods,
            self._router,
            self._monitor,
            self._configuration.options,
            lambda name, code, api, seconds: self._metrics.note_request(name, code, api, "REST", seconds),
            guard=self._policy,
        )
        timeout_ms = self._configuration.options.rest_api_timeout_in_ms
        open_inference = OpenInferenceApi(
            self._data.open_inference_http,
            self._router,
            self._is_serving,
            timeout_ms / 1000 if timeout_ms > 0 else None,
            self._policy,
        )
        return HttpPlane(
            is_ready=lambda: self._is_ready,
            is_model_ready=self._is_model_ready,
            open_inference=open_inference.handle,
            metrics=metrics,
            rest=rest.handle,
            open_api=OpenApi(self._router).handle,
            console=None if management_address is None else self._make_console(management_address),
        )

    def _metrics_handlers(self) -> Mapping[str, HttpHandler]:
        # A port for management has metrics whatever the config says, as --metrics_port.
        return self._measured.handlers() if self._configuration.has_admin else self._measured.rest_handlers()

    def _make_console(self, bind_address: str) -> HttpHandler | None:
        options = self._configuration.options
        if not exposure.is_served(options.console, bind_address):
            return None
        check = options.enable_signature_method_name_check
        models = Models(self._router, self._monitor, self._measured.load_of, check_method_name=check)
        events = Events(Snapshots(self._metrics.families, models.revision).take)
        return ConsoleHandler(models, events, bind_address, options.port or None).handle

    def _is_model_ready(self, name: str) -> bool | None:
        return self._monitor.is_available(name) if self._monitor.versions(name) else None

    def _listen_for_http(self) -> None:
        self.http_ports = [port for server in self._http for port in _start_if_possible(server, "with gRPC only")]
        self.metrics_ports = [
            port for server in self._metrics_http for port in _start_if_possible(server, "without --metrics_port")
        ]
        self.admin_http_ports = [
            port for server in self._admin_http for port in _start_if_possible(server, "without --admin_http_port")
        ]

    def _load(self, models: Sequence[ModelConfig]) -> None:
        change = self._control.served_models.apply(models)
        for name in wait_until_any_serves(change):
            _log.warning("%s does not serve yet; the server starts without it", name)

    def _open_inference_methods(self) -> dict[str, Method]:
        answers = grpc_api.methods(self._router, self._is_serving)
        return {
            path: self._policy.method(without_context(answer), describe_method(path), grpc_api.FIND_MODEL.get(path))
            for path, answer in answers.items()
        }

    def _status_methods(self) -> dict[str, Method]:
        path = f"/{MODEL_SERVICE}/GetModelStatus"
        answer = without_context(GetModelStatus(self._monitor))
        return {path: self._policy.method(answer, describe_method(path), data_plane.find_model)}

    def _waiting_methods(self, extra_methods: Mapping[str, Answer]) -> dict[str, Method]:
        reload_ = HandleReloadConfigRequest(
            self._control.served_models,
            self._metrics.read,
            may_log=self._configuration.options.allow_request_logging_by_reload,
        )
        path = f"/{MODEL_SERVICE}/HandleReloadConfigRequest"
        return {
            path: self._policy.managing_method(
                reload_,
                describe_method(path),
                lambda request: [*names_in(request), *self._control.served_models.names],
            ),
            **{
                path: self._policy.managing_method(without_context(answer), describe_method(path))
                for path, answer in extra_methods.items()
            },
        }

    def _is_serving(self) -> bool:
        return self._grpc.health.is_serving()

    def _report_health(self, name: str) -> None:
        # A model may have any name, even an empty one. Its state must not be reported as that of the server.
        if name not in _SERVICE_HEALTH_NAMES:
            self._set_serving(name, serving=self._monitor.is_available(name))

    def _set_serving(self, name: str, *, serving: bool) -> None:
        for server in self._grpc_servers:
            server.health.set_serving(name, serving=serving)


def _read_models(options: ServerOptions, of_paths: Sequence[ModelConfig]) -> Sequence[ModelConfig] | None:
    if options.model_config_file:
        return models.read(options.model_config_file)
    if not of_paths:
        return models.from_flags(options.model_name, options.model_base_path)
    of_flags = models.from_flags(options.model_name, options.model_base_path) if options.model_base_path else ()
    model_paths.check_names([*of_flags, *of_paths])
    return (*of_flags, *of_paths)


def _make_http_servers(settings: HttpSettings | None, handler: HttpHandler) -> list[HttpServer]:
    if settings is None:
        return []
    # It imports uvicorn, which takes a while.
    from servable.transport.http.server import HttpServer

    return [HttpServer(settings, handler)]


def _start_if_possible(server: HttpServer, what_remains: str) -> list[int]:
    try:
        return server.start()
    except Unavailable as error:
        _log.error("Failed to start HTTP Server: %s The server goes on %s.", error.message, what_remains)
        return []
