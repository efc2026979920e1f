"""The models to serve: a ModelServerConfig from a file, a request or two flags, checked as in the original.

Knows nothing of which versions exist, nor of what a model's folder holds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from servable import wire
from servable.config import text_proto
from servable.config.version_policy import All, Latest, Specific, VersionPolicy
from servable.errors import InvalidArgument, Unimplemented

_log = logging.getLogger(__name__)
_PLATFORM: Final = "tensorflow"
# TensorFlow's io::ParseURI knows no other form of a scheme.
_SCHEME: Final = re.compile(r"[a-zA-Z][0-9a-zA-Z.]+://")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model.

    Attributes:
        name: What requests call it.
        base_path: The absolute path or URI of the folder that holds its version folders.
        version_policy: Which of them to serve.
        labels: The version that each label stands for.
    """

    name: str
    base_path: str
    version_policy: VersionPolicy = field(default_factory=Latest)
    labels: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)


def read(path: str) -> tuple[ModelConfig, ...]:
    """The models of a file with a text ModelServerConfig.

    Raises:
        ServingError: As `text_proto.read` and `from_message` do.
    """
    return from_message(text_proto.read(path, wire.ModelServerConfig))


def from_flags(model_name: str, model_base_path: str) -> tuple[ModelConfig, ...]:
    """The one model of --model_name and --model_base_path.

    Raises:
        InvalidArgument: If the path is relative.
    """
    model = wire.ModelConfig(name=model_name, base_path=model_base_path, model_platform=_PLATFORM)
    return from_message(wire.ModelServerConfig(model_config_list=wire.ModelConfigList(config=[model])))


def from_message(message: wire.ModelServerConfig) -> tuple[ModelConfig, ...]:
    """The models of a ModelServerConfig (TensorFlow Serving: ReloadConfig in server_core.cc).

    A config that is not set means no models.

    Raises:
        InvalidArgument: If a model is not valid, with the original's text. All names are checked before the
            first path, and all paths before the first platform.
        Unimplemented: If it is a `custom_model_config`, at which the original ends the process.
    """
    chosen = message.WhichOneof("config")
    if chosen == "custom_model_config":
        raise Unimplemented("ModelServer does not yet support custom model config.")
    if chosen is None:
        _log.info("Taking no action for empty config.")
    models = message.model_config_list.config
    _check_names(models)
    _check_paths(models)
    for model in models:
        _check_platform(model)
    _check_logging(models)
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


def _check_platform(model: wire.ModelConfig) -> None:
    platform = _platform(model)
    if platform != _PLATFORM:
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


def _check_logging(models: Sequence[wire.ModelConfig]) -> None:
    """Refuse request logging, which the original cannot do either but refuses only after loading."""
    if any(model.HasField("logging_config") for model in models):
        raise InvalidArgument("No request-logger-creator provided.")


def _model(model: wire.ModelConfig) -> ModelConfig:
    policy = _version_policy(model.model_version_policy)
    return ModelConfig(model.name, model.base_path, policy, MappingProxyType(dict(model.version_labels)))


def _version_policy(policy: wire.FileSystemStoragePathSourceConfig.ServableVersionPolicy) -> VersionPolicy:
    """No policy is the latest version, and so is the latest none (file_system_storage_path_source.cc)."""
    chosen = policy.WhichOneof("policy_choice")
    if chosen == "all":
        return All()
    if chosen == "specific":
        return Specific(tuple(policy.specific.versions))
    return Latest(max(policy.latest.num_versions, 1))
