"""The server as a whole: the one place where the packages are put together.

Order matters. Models load before a port opens, so that every client that can connect is answered (TensorFlow Serving:
model_servers/server.cc). Health follows the models. Before a drain the server says NOT_SERVING and serves on for some
time, since a balancer notices a closed port sooner than it checks health again. A drain comes before the stop.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from servable import data_plane, model_paths, startup
from servable import options as flags
from servable.call_policy import CallPolicy
from servable.calls import Action, MethodInfo
from servable.codec.json import number_arrays
from servable.config import batching, models, monitoring, ssl_config
from servable.config.batching import BatchingConfig
from servable.config.models import ModelConfig
from servable.config.monitoring import MonitoringConfig
from servable.config.ssl_config import TlsConfig
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
from servable.management.model_service import GetModelStatus, HandleReloadConfigRequest
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
from servable.transport import health
from servable.transport.http.settings import MIB, HttpLimits, HttpSettings
from servable.transport.server import (
    GrpcServer,
    HotMethods,
    ServerSettings,
    make_alts_credentials,
    make_tls_credentials,
)

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
_ALL_ADDRESSES = ServerOptions().bind_address


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
    """

    options: ServerOptions
    models: Sequence[ModelConfig] | None
    settings: ServerSettings
    batching: BatchingConfig | None = None
    http: HttpSettings | None = None
    monitoring: MonitoringConfig = field(default_factory=MonitoringConfig)
    metrics: HttpSettings | None = None


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
    tls = ssl_config.read(options.ssl_config_file) if options.ssl_config_file else None
    return Configuration(
        options,
        served,
        _settings(options, tls),
        batching.from_flags(options),
        _http_settings(options, tls),
        monitoring.from_flag(options.monitoring_config_file),
        _metrics_settings(options, tls),
    )


class Server:
    """One server: its models, its control plane, and its gRPC and HTTP sides.

    Start it once, from one thread; drain or stop it once.

    Attributes:
        http_ports: The ports on which HTTP is listened to, once `listen` has returned.
        metrics_ports: The same of the ports for metrics only.
    """

    def __init__(
        self,
        configuration: Configuration,
        loader: Loader,
        extra_methods: Mapping[str, Answer] = MappingProxyType({}),
        metrics: Metrics | None = None,
        policy: CallPolicy | None = None,
    ) -> None:
        """Put the packages together; nothing is loaded and nothing listens yet.

        Args:
            configuration: What to serve and how.
            loader: Loads a version from its directory.
            extra_methods: More methods by full path, which the caller has made (the profiler). They may wait.
            metrics: What is counted, if the loader counts something, too.
            policy: What is decided about calls, and who follows them; None: nothing, and nobody.
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
        self._control = ControlPlane(
            options, self._measured.measuring(loader), self._router, self._monitor, self._report_health
        )
        self._policy = policy or CallPolicy()
        self._data = DataPlane(options, configuration.batching, self._router, self._metrics, self._policy)
        self._grpc = GrpcServer(
            {**self._data.methods, **self._information_methods()},
            configuration.settings,
            self._waiting_methods(extra_methods),
            HotMethods(self._data.lane_methods, self._data.on_overrun, self._policy.gate(self._data.infos.get)),
        )
        self._metrics.add_source(self._grpc.families)
        self._is_ready = False
        self._http = _make_http_servers(configuration.http, self._make_http_plane().handle)
        for http_server in self._http:
            self._metrics.add_source(http_server.families)
        self._metrics_http = _make_http_servers(configuration.metrics, self._measured.port_handler())
        self.http_ports: list[int] = []
        self.metrics_ports: list[int] = []
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

    def listen(self) -> list[int]:
        """Open the ports, then say SERVING. Without its HTTP port the server goes on (as the original does).

        Returns:
            The ports that are listened on for gRPC.

        Raises:
            Unavailable: if an address cannot be bound.
        """
        try:
            ports = self._grpc.start()
        except BaseException:
            self._end()
            raise
        for name in _SERVICE_HEALTH_NAMES:
            self._grpc.health.set_serving(name, serving=True)
        self._listen_for_http()
        self._is_ready = True
        return ports

    def describe(self) -> list[str]:
        """What an operator should know of a server that listens, by lines; see `startup`."""
        settings, names = self._configuration.settings, [model.name for model in self._configuration.models or ()]
        has_tls = settings.credentials is not None
        table = startup.describe_models(names, self._monitor) if len(names) > 1 else []
        ports = [f"serving on {address}{' (TLS)' if has_tls else ''}" for address in settings.addresses]
        handles = sorted(
            self._router.routes, key=lambda handle: names.index(handle.name) if handle.name in names else 0
        )
        call = startup.suggest_call(handles, settings.addresses[0], has_tls=has_tls)
        scheme = "http" if self._configuration.http is None or self._configuration.http.tls is None else "https"
        host = _bracketed(self._configuration.options.bind_address)
        ports += [f"serving on {scheme}://{host}:{port} (REST)" for port in self.http_ports]
        if exposure.is_served(self._configuration.options.console, self._configuration.options.bind_address):
            ports += [f"console on {scheme}://{host}:{port}/" for port in self.http_ports]
        if self.http_ports and not number_arrays.is_available():
            ports.append(
                "large JSON bodies are read slowly, which delays other calls: pip install 'servable[simdjson]'"
            )
        ports += [f"metrics on {host}:{port}{OUR_PATH}" for port in self.metrics_ports]
        return [*table, *ports, *([f"try: {call}"] if call else [])]

    def leave(self) -> None:
        """Say NOT_SERVING for good, and serve on until `drain`."""
        self._is_ready = False
        self._grpc.leave()

    def drain(self, grace_s: float) -> None:
        """Close the ports, send GOAWAY, and return when calls in flight have ended or the grace is over."""
        self._is_ready = False
        http_drains = [server.begin_drain(grace_s) for server in self._http]
        self._grpc.drain(grace_s)
        for drained in http_drains:
            drained.result()
        self._end()

    def stop(self) -> None:
        """End at once."""
        self._grpc.stop()
        self._end()

    def _end(self) -> None:
        for server in (*self._http, *self._metrics_http):
            server.stop()
        self._data.stop()
        self._control.stop()
        self._measured.stop()

    def _make_http_plane(self) -> HttpPlane:
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
            metrics=self._measured.rest_handlers(),
            rest=rest.handle,
            open_api=OpenApi(self._router).handle,
            console=self._make_console(),
        )

    def _make_console(self) -> HttpHandler | None:
        options = self._configuration.options
        if self._configuration.http is None or not exposure.is_served(options.console, options.bind_address):
            return None
        check = options.enable_signature_method_name_check
        models = Models(self._router, self._monitor, self._measured.load_of, check_method_name=check)
        events = Events(Snapshots(self._metrics.families, models.revision).take)
        return ConsoleHandler(models, events, options.bind_address, options.port or None).handle

    def _is_model_ready(self, name: str) -> bool | None:
        return self._monitor.is_available(name) if self._monitor.versions(name) else None

    def _listen_for_http(self) -> None:
        self.http_ports = [port for server in self._http for port in _start_if_possible(server, "with gRPC only")]
        self.metrics_ports = [
            port for server in self._metrics_http for port in _start_if_possible(server, "without --metrics_port")
        ]

    def _load(self, models: Sequence[ModelConfig]) -> None:
        change = self._control.served_models.apply(models)
        for name in wait_until_any_serves(change):
            _log.warning("%s does not serve yet; the server starts without it", name)

    def _information_methods(self) -> dict[str, Method]:
        """Methods that tell of models and of the server, and take no time."""
        policy, open_inference = self._policy, grpc_api.methods(self._router, self._is_serving)
        status = f"/{MODEL_SERVICE}/GetModelStatus"
        return {
            **{
                path: policy.method(without_context(answer), grpc_api.INFOS[path], grpc_api.FIND_MODEL.get(path))
                for path, answer in open_inference.items()
            },
            status: policy.method(
                without_context(GetModelStatus(self._monitor)),
                MethodInfo("GetModelStatus", "GRPC", Action.STATUS, status),
                data_plane.find_model,
            ),
        }

    def _waiting_methods(self, extra_methods: Mapping[str, Answer]) -> dict[str, Method]:
        reload_ = HandleReloadConfigRequest(self._control.served_models, self._metrics.read)
        path = f"/{MODEL_SERVICE}/HandleReloadConfigRequest"
        return {
            path: self._policy.method(reload_, MethodInfo("HandleReloadConfigRequest", "GRPC", Action.RELOAD, path)),
            **{
                path: self._policy.method(
                    without_context(answer), MethodInfo(path.rpartition("/")[2], "GRPC", Action.PROFILE, path)
                )
                for path, answer in extra_methods.items()
            },
        }

    def _is_serving(self) -> bool:
        return self._grpc.health.is_serving()

    def _report_health(self, name: str) -> None:
        # A model may have any name, even an empty one. Its state must not be reported as that of the server.
        if name not in _SERVICE_HEALTH_NAMES:
            self._grpc.health.set_serving(name, serving=self._monitor.is_available(name))


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


def _http_settings(options: ServerOptions, tls: TlsConfig | None) -> HttpSettings | None:
    if options.rest_api_port == 0:
        return None
    if options.rest_api_port == options.port:
        _log.error(
            "server_options.http_port cannot be same as grpc_port. Please use a different port for HTTP/REST API. "
            "Skipped exporting HTTP/REST API."
        )
        return None
    limits = HttpLimits(
        head_bytes=options.rest_api_max_head_kb * 1024,
        body_bytes=options.rest_api_max_body_mb * MIB,
        pending_bytes=options.rest_api_max_pending_mb * MIB,
        connections=options.rest_api_max_connections,
    )
    return HttpSettings(options.rest_api_port, _http_host(options), tls, limits)


def _metrics_settings(options: ServerOptions, tls: TlsConfig | None) -> HttpSettings | None:
    if options.metrics_port == 0:
        return None
    return HttpSettings(options.metrics_port, _http_host(options), tls, name="metrics http")


def _http_host(options: ServerOptions) -> str:
    # The original listens for HTTP on IPv6 too, unlike for gRPC.
    return "" if options.bind_address == _ALL_ADDRESSES else options.bind_address.strip("[]")


def _settings(options: ServerOptions, tls: TlsConfig | None) -> ServerSettings:
    addresses = [f"{_bracketed(options.bind_address)}:{options.port}"] if options.port else []
    if options.grpc_socket_path:
        addresses.append(f"unix:{options.grpc_socket_path}")
    return ServerSettings(
        addresses,
        _credentials(options, tls),
        max(options.grpc_max_threads, 1),
        max(options.grpc_lanes, 0),
        flags.parse_channel_arguments(options.grpc_channel_arguments),
        options.grpc_error_details,
    )


def _bracketed(host: str) -> str:
    # An IPv6 address is full of colons; gRPC takes it in brackets only.
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _credentials(options: ServerOptions, tls: TlsConfig | None) -> Any:
    if tls is not None:
        return make_tls_credentials(tls)
    return make_alts_credentials() if options.use_alts_credentials else None
