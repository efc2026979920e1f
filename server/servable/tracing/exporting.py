"""Who the spans are of, and where they go: by the standard OTEL_ variables, as the OpenTelemetry SDK reads them."""

from __future__ import annotations

import os
import socket
import uuid

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SpanExporter

import servable


def make_resource() -> Resource:
    """Who this server is. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what is known of it."""
    known: dict[str, str | int] = {
        "service.name": "servable",
        "service.version": servable.__version__,
        "service.instance.id": str(uuid.uuid4()),
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }
    said = OTELResourceDetector().detect().attributes
    return Resource.create({name: value for name, value in known.items() if name not in said})


def make_exporter(name: str) -> SpanExporter:
    """Where the spans go.

    Args:
        name: `otlp`, by the variables OTEL_EXPORTER_OTLP_*, or `console`.
    """
    return ConsoleSpanExporter() if name == "console" else OTLPSpanExporter()
