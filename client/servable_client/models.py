"""What to serve: the models of a `reload_config` call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from servable_client import wire
from servable_client._requests import check_int64
from servable_client.errors import InputError

__all__ = ["ModelConfig"]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """One model to serve.

    Attributes:
        name: The name that requests use.
        base_path: The folder of its version folders, as the server sees it: an absolute path or a URI.
        versions: Which versions to serve: `"latest"`, `"all"`, or their numbers.
        num_latest: How many, if versions is `"latest"`.
        labels: Version labels, such as `{"stable": 3}`.
        platform: The platform that loads it.
    """

    name: str
    base_path: str
    versions: Literal["latest", "all"] | tuple[int, ...] = "latest"
    num_latest: int = 1
    labels: Mapping[str, int] = field(default_factory=dict)
    platform: str = "tensorflow"


def make_config(
    models: str | wire.ModelServerConfig | Mapping[str, str] | Iterable[ModelConfig],
) -> wire.ModelServerConfig:
    """The message that says what to serve.

    Raises:
        InputError: if it is a text that does not parse, or holds something else than models.
    """
    if isinstance(models, wire.ModelServerConfig):
        return models
    if isinstance(models, str):
        return _parse(models)
    if isinstance(models, Mapping):
        models = [ModelConfig(name, path) for name, path in models.items()]
    config = wire.ModelServerConfig()
    # An empty list is a list too: it unloads everything.
    config.model_config_list.SetInParent()
    for model in models:
        if not isinstance(model, ModelConfig):
            raise InputError(f"models: expected ModelConfig, got {type(model).__name__}")
        try:
            _add(model, config.model_config_list.config.add())
        except (TypeError, ValueError) as error:
            raise InputError(f"models: {model!r}: {error}") from None
    return config


def _add(model: ModelConfig, message: wire.ModelConfig) -> None:
    message.name, message.base_path, message.model_platform = model.name, model.base_path, model.platform
    policy = message.model_version_policy
    if model.versions == "latest":
        policy.latest.num_versions = check_int64("num_latest", model.num_latest)
    elif model.versions == "all":
        policy.all.SetInParent()
    else:
        policy.specific.versions.extend(check_int64("version", version) for version in model.versions)
    for label, version in model.labels.items():
        message.version_labels[label] = check_int64("version", version)


def _parse(text: str) -> wire.ModelServerConfig:
    from google.protobuf import text_format

    try:
        return text_format.Parse(text, wire.ModelServerConfig(), descriptor_pool=wire.POOL)
    except text_format.ParseError as error:
        raise InputError(f"models: the text is no ModelServerConfig: {error}") from None
