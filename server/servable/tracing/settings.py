"""Whether calls are traced, and how: the flag --tracing and the standard OTEL_ variables. Imports no OpenTelemetry."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from servable.errors import InvalidArgument

_log = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HEADERS: Final = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS")
_HEADER: Final = re.compile(r"\s*[!#-'*+.0-9A-Z^-z|~-]+\s*=[ !#-+\x2d-:<-\x5b\x5d-~]*")
_EXPORTERS: Final = ("otlp", "console")
_CONTEXT: Final = "tracecontext"
_LEAST, _MOST = 1, 1 << 20


@dataclass(frozen=True, slots=True)
class TracingSettings:
    """How calls are traced.

    Attributes:
        exporter: `otlp` or `console`.
        propagates: Whether the trace context that a caller sends is read.
        delay_s: How often spans are sent.
        most_waiting: How many calls may wait for their spans.
        most_spans: How many spans are sent at once. Half of the SDK's: to encode so many keeps the interpreter
            for 6 ms, and each export waits for other threads some ten times.
    """

    exporter: str = "otlp"
    propagates: bool = True
    delay_s: float = 5.0
    most_waiting: int = 2048
    most_spans: int = 256


def read(tracing: str, environment: Mapping[str, str]) -> TracingSettings | None:
    """Read the settings.

    Args:
        tracing: The flag: `true`, `false`, or `auto`, which is `true` where the variables say where spans go.
        environment: The variables.

    Returns:
        None if calls are not traced.

    Raises:
        InvalidArgument: if they must be and cannot: by an exporter or a protocol that is not there.
    """
    named = _value(environment, "OTEL_TRACES_EXPORTER").lower()
    is_wanted = tracing == "true" or (tracing == "auto" and (bool(named) or any(map(environment.get, _ENDPOINTS))))
    if not is_wanted or named == "none" or _value(environment, "OTEL_SDK_DISABLED").lower() == "true":
        return None
    exporter = named or _EXPORTERS[0]
    protocol = next(filter(None, (_value(environment, name).lower() for name in _PROTOCOLS)), "grpc")
    fault = ""
    if exporter not in _EXPORTERS:
        fault = f"OTEL_TRACES_EXPORTER must be {', '.join(_EXPORTERS)} or none; was {exporter}."
    elif exporter == "otlp" and protocol != "grpc":
        fault = f"OTEL_EXPORTER_OTLP_PROTOCOL must be grpc; was {protocol}. Collectors take it on port 4317."
    if fault and tracing == "true":
        raise InvalidArgument(f"{fault} With --tracing=false calls are not traced.")
    if fault:
        _log.warning("calls are not traced: %s", fault)
        return None
    _check_headers(environment)
    propagators = _value(environment, "OTEL_PROPAGATORS").lower() or _CONTEXT
    return TracingSettings(
        exporter,
        _CONTEXT in {name.strip() for name in propagators.split(",")},
        _number(environment, "OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000,
        _number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", 2048),
        _number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 256),
    )


def _check_headers(environment: Mapping[str, str]) -> None:
    """Tell of headers that the exporter leaves out. It would quote them, and they may hold a token."""
    for name in _HEADERS:
        headers = filter(None, _value(environment, name).split(","))
        if not all(map(_HEADER.fullmatch, headers)):
            _log.warning("%s: a header is malformed, and is not sent; it must be name=value, URL-encoded", name)


def _value(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name, "").strip()


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    text = _value(environment, name)
    if not text:
        return default
    if not text.isdecimal() or not _LEAST <= int(text[:10]) <= _MOST:
        _log.warning("%s=%s is no number from %d to %d; %d is used", name, text, _LEAST, _MOST, default)
        return default
    return int(text)
