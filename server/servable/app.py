"""The server as a whole: the one place where rooms are put together.

Order matters: models load before a port opens, so that whoever can connect is answered (TensorFlow Serving:
model_servers/server.cc); health follows the models; a drain comes before the stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from servable import options as flags
from servable.config import channel_arguments, models, ssl_config
from servable.config.models import ModelConfig
from servable.errors import Unknown
from servable.inference.classify import Classify
from servable.inference.metadata import GetModelMetadata
from servable.inference.multi_inference import MultiInference
from servable.inference.predict import Predict
from servable.inference.regress import Regress
from servable.lifecycle.manager import AspiredVersion, Loader, Manager
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.states import ServableId, VersionState
from servable.management.reload import handle_reload_config_request
from servable.management.status import GetModelStatus
from servable.options import ServerOptions
from servable.routing import Router
from servable.sources import base_path, policy
from servable.transport import credentials, health
from servable.transport.handlers import Method
from servable.transport.server import GrpcServer, ServerSettings

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
PROFILER_SERVICE = "tensorflow.ProfilerService"
# The original's own health names lack the package.
_SERVICE_HEALTH_NAMES = (
    health.OVERALL,
    PREDICTION_SERVICE,
    MODEL_SERVICE,
    "PredictionService",
    "ModelService",
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """All that the flags say, and the files that they name, read and checked."""

    options: ServerOptions
    models: Sequence[ModelConfig]
    settings: ServerSettings


def configure(options: ServerOptions) -> Configuration:
    """Read what the flags name. Quick: TensorFlow is not needed for it.

    Raises:
        ServingError: if the flags or a file that they name are not valid.
    """
    flags.validate(options)
    return Configuration(options, _read_models(options), _settings(options))


class Server:
    """One server: its models, its control plane and its gRPC side.

    Start it once, from one thread; drain or stop it once.
    """

    def __init__(
        self,
        configuration: Configuration,
        loader: Loader,
        extra_methods: Mapping[str, Method] = MappingProxyType({}),
    ) -> None:
        """Put the rooms together; nothing is loaded and nothing listens yet.

        Args:
            configuration: What to serve and how.
            loader: Loads a version from its directory.
            extra_methods: More methods by full path, made of what only the caller knows (the profiler).
        """
        self._models = configuration.models
        self._router = Router()
        self._monitor = StateMonitor()
        self._manager = Manager(loader, self._router, self._monitor)
        methods = {**self._methods(configuration.options), **extra_methods}
        self._grpc = GrpcServer(methods, configuration.settings)
        self._monitor.listen(self._follow_health)

    def start(self) -> list[int]:
        """Load, then listen; see there."""
        self.load()
        return self.listen()

    def load(self) -> None:
        """Load all models.

        Raises:
            ServingError: if a model cannot be loaded.
        """
        for model in self._models:
            self._grpc.health.set_serving(model.name, serving=False)
        discovered = [self._discover(model) for model in self._models]
        self._manager.aspire([version for versions in discovered for version in versions])
        self._require_availability()

    def listen(self) -> list[int]:
        """Open the ports, then say SERVING.

        Returns:
            The ports that are listened on.

        Raises:
            Unavailable: if an address cannot be bound.
        """
        ports = self._grpc.start()
        for name in _SERVICE_HEALTH_NAMES:
            self._grpc.health.set_serving(name, serving=True)
        return ports

    def drain(self, grace_s: float) -> None:
        """Say NOT_SERVING, refuse new calls, and return when those in flight have ended or the grace is over."""
        self._grpc.drain(grace_s)

    def stop(self) -> None:
        """End at once."""
        self._grpc.stop()

    def _methods(self, options: ServerOptions) -> dict[str, Method]:
        check = options.enable_signature_method_name_check
        as_content = options.enable_serialization_as_tensor_content
        return {
            f"/{PREDICTION_SERVICE}/Predict": Predict(self._router, as_content, check),
            f"/{PREDICTION_SERVICE}/Classify": Classify(self._router, check),
            f"/{PREDICTION_SERVICE}/Regress": Regress(self._router, check),
            f"/{PREDICTION_SERVICE}/MultiInference": MultiInference(self._router, check),
            f"/{PREDICTION_SERVICE}/GetModelMetadata": GetModelMetadata(self._router),
            f"/{MODEL_SERVICE}/GetModelStatus": GetModelStatus(self._monitor),
            f"/{MODEL_SERVICE}/HandleReloadConfigRequest": handle_reload_config_request,
        }

    def _discover(self, model: ModelConfig) -> Sequence[AspiredVersion]:
        versions = policy.select(base_path.list_versions(model.name, model.base_path), model.version_policy)
        return [AspiredVersion(ServableId(model.name, version.number), version.path) for version in versions]

    def _require_availability(self) -> None:
        missing = [model for model in self._models if not self._monitor.is_available(model.name)]
        if missing:
            causes = "".join(f"{{{self._cause(model)}}}, " for model in missing)
            raise Unknown(f"{len(missing)} servable(s) did not become available: {{{causes}}}")

    def _cause(self, model: ModelConfig) -> str:
        for version, known in self._monitor.versions(model.name).items():
            if known.error is not None:
                return f"{ServableId(model.name, version)} due to error: {known.error}"
        return f"{model.name} due to error: NOT_FOUND: no versions found under base path {model.base_path}"

    def _follow_health(self, servable: ServableId, _state: VersionState) -> None:
        self._grpc.health.set_serving(servable.name, serving=self._monitor.is_available(servable.name))


def _read_models(options: ServerOptions) -> Sequence[ModelConfig]:
    if options.model_config_file:
        return models.read(options.model_config_file)
    return models.from_flags(options.model_name, options.model_base_path)


def _settings(options: ServerOptions) -> ServerSettings:
    addresses = [f"{_bracketed(options.bind_address)}:{options.port}"] if options.port else []
    if options.grpc_socket_path:
        addresses.append(f"unix:{options.grpc_socket_path}")
    return ServerSettings(
        addresses,
        _credentials(options),
        max(options.grpc_max_threads, 1),
        channel_arguments.parse(options.grpc_channel_arguments),
    )


def _bracketed(host: str) -> str:
    # An IPv6 address is full of colons; gRPC takes it in brackets only.
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _credentials(options: ServerOptions) -> Any:
    if options.ssl_config_file:
        return credentials.of_tls(ssl_config.read(options.ssl_config_file))
    return credentials.of_alts() if options.use_alts_credentials else None
