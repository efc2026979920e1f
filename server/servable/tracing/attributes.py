"""What the spans of a call say, by OpenTelemetry's semantic conventions for servers of RPC and HTTP. Pure.

Never a payload, and never the text of an error, which may quote one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias
from urllib.parse import unquote

from servable.calls import Action
from servable.errors import Code
from servable.http_exchange import HTTP_STATUS
from servable.tracing.batches import TracedBatch
from servable.tracing.taken import Taken

Attributes: TypeAlias = Mapping[str, "str | int"]

_POSTED: Final = frozenset({Action.PREDICT, Action.RELOAD})
# The codes that are the server's fault; the others are the caller's, or nobody's.
_FAULTS: Final = frozenset(
    {Code.UNKNOWN, Code.DEADLINE_EXCEEDED, Code.UNIMPLEMENTED, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS}
)
_FIRST_HTTP_FAULT: Final = 500


def name_server_span(call: Taken) -> str:
    """The name of a call's span: `package.Service/Method`, or the verb and route of HTTP."""
    return f"{_verb(call)} {call.method.path}" if _is_http(call) else call.method.path.removeprefix("/")


def describe_call(call: Taken) -> Attributes:
    """The attributes of a call's span."""
    found: dict[str, str | int] = dict(_describe_http(call) if _is_http(call) else _describe_grpc(call))
    found.update(_describe_peer(call.peer))
    found["servable.request.size"] = call.request_bytes
    found["servable.response.size"] = call.reply_bytes
    found.update(_describe_servable(call))
    if call.batch is not None:
        found["servable.batch.rows"], found["servable.batch.members"] = call.batch.rows, call.batch.members
    return found


def describe_batch(batch: TracedBatch) -> Attributes:
    """The attributes of a batch's span."""
    return {
        **_describe_servable(batch.members[0]),
        "servable.batch.rows": batch.record.rows,
        "servable.batch.members": batch.record.members,
    }


def is_fault(call: Taken) -> bool:
    """Whether the call failed by the server's fault, by the conventions: its span has the status ERROR."""
    return HTTP_STATUS[call.code] >= _FIRST_HTTP_FAULT if _is_http(call) else call.code in _FAULTS


def _is_http(call: Taken) -> bool:
    return call.method.entrypoint == "REST"


def _verb(call: Taken) -> str:
    return "POST" if call.method.action in _POSTED else "GET"


def _describe_grpc(call: Taken) -> Attributes:
    service, _, method = call.method.path.removeprefix("/").rpartition("/")
    found: dict[str, str | int] = {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "rpc.grpc.status_code": int(call.code),
    }
    if is_fault(call):
        found["error.type"] = call.code.name
    return found


def _describe_http(call: Taken) -> Attributes:
    status = HTTP_STATUS[call.code]
    found: dict[str, str | int] = {
        "http.request.method": _verb(call),
        "http.route": call.method.path,
        "http.response.status_code": status,
    }
    if is_fault(call):
        found["error.type"] = str(status)
    return found


def _describe_servable(call: Taken) -> Attributes:
    found: dict[str, str | int] = {"servable.api": call.method.api}
    if call.model:
        found["servable.model.name"] = call.model
    if call.version:
        found["servable.model.version"] = call.version
    if call.signature:
        found["servable.model.signature"] = call.signature
    return found


def _describe_peer(peer: str) -> Attributes:
    kind, _, address = peer.partition(":")
    host, _, port = unquote(address).rpartition(":")
    if kind not in {"ipv4", "ipv6"} or not port.isdecimal():
        return {}
    host = host.strip("[]")
    return {"client.address": host, "network.peer.address": host, "network.peer.port": int(port), "network.type": kind}
