"""The models to serve: a ModelServerConfig from a file, a request or two flags, checked as in the original.

A model's version policy says which of its versions are to be served; `sources` applies it to those that exist. This
module must not know which versions exist, nor what a model's folder holds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from servable import wire
from servable.config import text_proto
from servable.errors import FailedPrecondition, InvalidArgument, Unimplemented
from servable.options import REQUEST_LOG_FORMATS

_log = logging.getLogger(__name__)
_PLATFORM: Final = "tensorflow"
# TensorFlow's io::ParseURI knows no other form of a scheme.
_SCHEME: Final = re.compile(r"[a-zA-Z][0-9a-zA-Z.]+://")


@dataclass(frozen=True, slots=True)
class Latest:
    """The `count` highest versions, `count` being at least 1."""

    count: int = 1


@dataclass(frozen=True, slots=True)
class All:
    """Every version that there is."""


@dataclass(frozen=True, slots=True)
class Specific:
    """These versions, in the order in which they were configured; none serves nothing."""

    versions: tuple[int, ...]


VersionPolicy: TypeAlias = Latest | All | Specific


@dataclass(frozen=True, slots=True)
class Collector:
    """Where requests are written. Models with equal collectors share their files.

    Attributes:
        type: One of options.REQUEST_LOG_FORMATS.
        prefix: What the names of its files begin with: a path, or the URI of a store.
    """

    type: str
    prefix: str


@dataclass(frozen=True, slots=True)
class RequestLogging:
    """That requests of a model are written down.

    Attributes:
        collector: Where.
        sampling_rate: The share of its requests, from 0 to 1.
    """

    collector: Collector
    sampling_rate: float


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model.

    Attributes:
        name: Its name in requests.
        base_path: The absolute path or URI of the folder that holds its version folders.
        version_policy: Which of the versions to serve.
        labels: The version that each label stands for.
        is_version_directory: Whether the base path is the directory of a version itself, which is served as version 1.
            Only paths on the command line give such models.
        logging: How its requests are written down; None if the config does not ask for it.
    """

    name: str
    base_path: str
    version_policy: VersionPolicy = field(default_factory=Latest)
    labels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    is_version_directory: bool = False
    logging: RequestLogging | None = None


def read(path: str, served: Collection[str] = ()) -> tuple[ModelConfig, ...] | None:
    """The models of a file with a text ModelServerConfig.

    Args:
        path: The file.
        served: The names of the models that are served now.

    Returns:
        None for a file that sets no config, which asks for no change.

    Raises:
        ServingError: As `text_proto.read` and `from_message` do.
    """
    return parse(path, text_proto.content(path), served)


def parse(path: str, text: bytes, served: Collection[str] = ()) -> tuple[ModelConfig, ...] | None:
    """As `read`, of the bytes of the file."""
    return from_message(text_proto.parse(path, text, wire.ModelServerConfig), served)


def from_flags(model_name: str, model_base_path: str) -> tuple[ModelConfig, ...]:
    """The one model of --model_name and --model_base_path.

    Raises:
        InvalidArgument: If the path is relative.
    """
    model = wire.ModelConfig(name=model_name, base_path=model_base_path, model_platform=_PLATFORM)
    return from_list(wire.ModelConfigList(config=[model]))


def from_message(message: wire.ModelServerConfig, served: Collection[str] = ()) -> tuple[ModelConfig, ...] | None:
    """The models of a ModelServerConfig (TensorFlow Serving: ReloadConfig in server_core.cc).

    Args:
        message: The config.
        served: The names of the models that are served now.

    Returns:
        None if no config is set, which asks for no change.

    Raises:
        InvalidArgument: As `from_list` does.
        FailedPrecondition: If it is a `custom_model_config` where models are served.
        Unimplemented: If it is one at the start, where the original ends the process.
    """
    chosen = message.WhichOneof("config")
    if chosen == "custom_model_config" and served:
        raise FailedPrecondition(
            "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to another."
        )
    if chosen == "custom_model_config":
        raise Unimplemented("ModelServer does not yet support custom model config.")
    if chosen is None:
        _log.info("Taking no action for empty config.")
        return None
    return from_list(message.model_config_list, served)


def from_list(
    message: wire.ModelConfigList, served: Collection[str] = (), *, may_log: bool = True
) -> tuple[ModelConfig, ...]:
    """The models of a ModelConfigList.

    Args:
        message: The list.
        served: The names of the models that are served now; their platform cannot change.
        may_log: Whether it may ask for request logs. They are files on this host, or on a store that it may write to,
            so that a config from elsewhere (a reload over gRPC) may ask for them only if the operator says so.

    Raises:
        InvalidArgument: If a model is not valid, with the original's text. All names are checked before the
            first path, and all paths before the first platform.
    """
    models = message.config
    _check_names(models)
    _check_paths(models)
    # As in the original, a platform that would change is reported before an unknown platform.
    for model in sorted(models, key=lambda model: model.name not in served):
        _check_platform(model, is_served=model.name in served)
    for model in models:
        _check_logging(model, may_log=may_log)
    return tuple(_model(model) for model in models)


def _check_names(models: Sequence[wire.ModelConfig]) -> None:
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise InvalidArgument(f"Illegal to list model {model.name} multiple times in config list")
        seen.add(model.name)


def _check_paths(models: Sequence[wire.ModelConfig]) -> None:
    for model in models:
        if not model.base_path.startswith("/") and not _SCHEME.match(model.base_path):
            raise InvalidArgument(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )


def _check_platform(model: wire.ModelConfig, *, is_served: bool) -> None:
    platform = _platform(model)
    if platform == _PLATFORM:
        return
    if is_served:
        raise InvalidArgument(
            f"Illegal to change a model's platform. For model {model.name} platform was {_PLATFORM} and new platform "
            f"requested is {platform}"
        )
    raise InvalidArgument(f"Model {model.name} requests unsupported platform {platform}")


def _platform(model: wire.ModelConfig) -> str:
    """The platform, which the deprecated `model_type` may stand for (GetPlatform in server_core.cc)."""
    fields = "ModelServerConfig::model_type (deprecated) {} ModelServerConfig::model_platform, model name is {}"
    if model.model_type == wire.MODEL_TYPE_UNSPECIFIED:
        if not model.model_platform:
            raise InvalidArgument("Illegal setting neither " + fields.format("nor", model.name))
        return model.model_platform
    _log.warning("Deprecated ModelServerConfig::model_type field used. Prefer ModelServerConfig::model_platform.")
    if model.model_platform:
        raise InvalidArgument("Illegal setting both " + fields.format("and", model.name))
    if model.model_type != wire.TENSORFLOW:
        raise InvalidArgument(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
    return _PLATFORM


def _check_logging(model: wire.ModelConfig, *, may_log: bool) -> None:
    """Refuse request logs that this server does not write, as the original refuses all, but only after loading."""
    if not model.HasField("logging_config"):
        return
    collector, rate = model.logging_config.log_collector_config, model.logging_config.sampling_config.sampling_rate
    if not may_log:
        raise _no_logger("A reload over gRPC may not ask for request logs; see --allow_request_logging_by_reload.")
    if collector.type not in REQUEST_LOG_FORMATS:
        known = " and ".join(REQUEST_LOG_FORMATS)
        raise _no_logger(f'model {model.name} asks for the log collector "{collector.type}"; there are {known}.')
    if not collector.filename_prefix:
        raise _no_logger(f"The log collector of model {model.name} has no filename_prefix.")
    if not 0 <= rate <= 1:
        raise InvalidArgument(f"The sampling_rate of model {model.name} must be from 0 to 1; was {rate:g}.")


def _no_logger(hint: str) -> InvalidArgument:
    return InvalidArgument("No request-logger-creator provided.", {"request_logging": hint})


def _request_logging(model: wire.ModelConfig) -> RequestLogging | None:
    if not model.HasField("logging_config"):
        return None
    collector = model.logging_config.log_collector_config
    rate = model.logging_config.sampling_config.sampling_rate
    if not rate:
        _log.warning("The sampling_rate of model %s is 0: none of its requests will be logged.", model.name)
    return RequestLogging(Collector(collector.type, collector.filename_prefix), rate)


def _model(model: wire.ModelConfig) -> ModelConfig:
    policy = _version_policy(model.model_version_policy)
    labels = MappingProxyType(dict(model.version_labels))
    return ModelConfig(model.name, model.base_path, policy, labels, logging=_request_logging(model))


def _version_policy(policy: wire.FileSystemStoragePathSourceConfig.ServableVersionPolicy) -> VersionPolicy:
    """No policy is the latest version, and so is the latest none (file_system_storage_path_source.cc)."""
    chosen = policy.WhichOneof("policy_choice")
    if chosen == "all":
        return All()
    if chosen == "specific":
        return Specific(tuple(policy.specific.versions))
    return Latest(max(policy.latest.num_versions, 1))
