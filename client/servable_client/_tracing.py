"""OpenTelemetry: calls continue the trace of the program, and have spans of their own.

A program that has not imported opentelemetry has no trace, so that nothing is done for its calls; this module is
imported by the first call of one that has. Spans go where the program's TracerProvider sends them; without one there
are none, and only the context of the caller is passed on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

import servable_client
from servable_client._core import Call
from servable_client.errors import ServingError

Headers = tuple[tuple[str, "str | bytes"], ...]

_HAND_MADE: Final = "traceparent"
# Probes of every second or so are no calls of anybody's trace.
_HEALTH: Final = "/grpc.health.v1."


@contextmanager
def traced(call: Call, headers: Headers, target: str, provider: TracerProvider | None = None) -> Iterator[Headers]:
    """The headers of a call that continue the current trace, and a span for as long as the call takes.

    A `traceparent` that the caller has set is left as it is, and the call has no span.

    Args:
        call: The call, retries included, of which gRPC does not tell.
        headers: Those that it has already.
        target: Where it goes, as the user named it.
        provider: Takes the span; by default the program's own.
    """
    if any(key == _HAND_MADE for key, _ in headers):
        yield headers
        return
    if call.path.startswith(_HEALTH):
        yield headers + _context()
        return
    name = call.path.removeprefix("/")
    tracer = trace.get_tracer("servable_client", servable_client.__version__, provider)
    span = tracer.start_span(name, kind=SpanKind.CLIENT, attributes=_describe(call, name, target))
    if not span.get_span_context().is_valid:
        # Nobody takes spans. Older releases of the API do not hand on the current context then.
        yield headers + _context()
        return
    # Neither the text nor the traceback of an error, which may quote what was sent.
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield headers + _context()
        except ServingError as error:
            _note_end(span, int(error.code), error.code.name)
            raise
        except BaseException as error:
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", type(error).__qualname__)
            raise
        _note_end(span, 0, "")


def _describe(call: Call, name: str, target: str) -> dict[str, str | int]:
    service, _, method = name.rpartition("/")
    found: dict[str, str | int] = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
    host, _, port = target.rpartition(":")
    is_one = host and port.isdecimal() and "," not in target
    found["server.address"] = host if is_one else target
    if is_one:
        found["server.port"] = int(port)
    if call.model:
        found["servable.model.name"] = call.model
    return found


def _note_end(span: Span, code: int, error_type: str) -> None:
    span.set_attribute("rpc.grpc.status_code", code)
    if error_type:
        # To a client every error is one, by the conventions.
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", error_type)


def _context() -> Headers:
    """The current context as headers, by the program's propagators."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple((key.lower(), value) for key, value in carrier.items())
