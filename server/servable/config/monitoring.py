"""The file of --monitoring_config_file: whether and where the metrics are served."""

from __future__ import annotations

from dataclasses import dataclass

from servable import wire
from servable.config import text_proto

DEFAULT_PATH = "/monitoring/prometheus/metrics"


@dataclass(frozen=True, slots=True)
class MonitoringConfig:
    """Where the metrics are.

    Attributes:
        is_enabled: Whether the REST port serves them.
        path: The path of the page, exactly.
    """

    is_enabled: bool = False
    path: str = DEFAULT_PATH


def from_flag(path: str) -> MonitoringConfig:
    """The config in a file (TensorFlow Serving: monitoring_config.proto); without a file nothing is enabled.

    The original reads it once its ports are open, and ends then if it does not parse.

    Raises:
        ServingError: As `text_proto.read` does.
    """
    if not path:
        return MonitoringConfig()
    message = text_proto.read(path, wire.MonitoringConfig).prometheus_config
    return MonitoringConfig(message.enable, message.path or DEFAULT_PATH)
