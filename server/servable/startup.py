"""What a server says once it has started: what serves, what does not and why, and a call to try."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from servable import wire
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import State
from servable.saved_model import INIT_OP_SIGNATURE
from servable.servables import Handle
from servable.signatures import DEFAULT_KEY, Signature

_MOST_TEXT: Final = 100
_CLIENT: Final = "servable-client"


def describe_models(names: Iterable[str], monitor: StateMonitor) -> list[str]:
    """A table of models by lines: name, version, state, and why one does not serve.

    Args:
        names: The configured models; one that has no version is in the table too.
        monitor: Knows the states.
    """
    rows = [("model", "version", "state", "")]
    for name in names:
        versions = monitor.versions(name)
        if not versions:
            rows.append((name, "-", "no version", "nothing was found under its base path"))
        for number, known in versions.items():
            why = "" if known.error is None else " ".join(str(known.error).split())[:_MOST_TEXT]
            rows.append((name, str(number), "serves" if known.state is State.AVAILABLE else known.state.name, why))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*map(str.ljust, row[:3], widths), row[3]]).rstrip() for row in rows]


def suggest_call(handles: Iterable[Handle], address: str, *, has_tls: bool) -> str | None:
    """A command that calls a model that serves, the first that zeros suit; None if none serves.

    Args:
        handles: The versions that serve.
        address: One that the server listens on: `host:port` or `unix:PATH`.
        has_tls: Whether it takes TLS only.
    """
    client = _find_client()
    where = f"-a {_reachable(address)}{' --tls --ca FILE' if has_tls else ''}"
    known = list(handles)
    for handle in known:
        for signature in _callable(handle):
            named = "" if signature.key == DEFAULT_KEY else f" --signature {signature.key}"
            return f"{client} predict {where} -m {shlex.quote(handle.name)}{named} --zeros"
    return f"{client} metadata {where} -m {shlex.quote(known[0].name)}" if known else None


def _find_client() -> str:
    """How a shell calls the client, where it is installed beside this server or on the PATH."""
    beside = Path(sys.executable).with_name(_CLIENT)
    return str(beside) if shutil.which(_CLIENT) is None and beside.exists() else _CLIENT


def _callable(handle: Handle) -> Iterator[Signature]:
    """The signatures that zeros of the declared shapes are likely to suit, the default first."""
    signatures: Sequence[Signature] = sorted(
        handle.servable.signatures.values(), key=lambda each: (each.key != DEFAULT_KEY, each.key)
    )
    for signature in signatures:
        infos = [info for alias, info in signature.definition.inputs.items() if alias not in signature.defaults]
        is_known = not any(info.tensor_shape.unknown_rank or info.dtype == wire.DT_STRING for info in infos)
        if signature.key != INIT_OP_SIGNATURE and is_known:
            yield signature


def _reachable(address: str) -> str:
    """An address to call: who listens on every address of the machine is reached on this one."""
    host, colon, port = address.rpartition(":")
    return f"127.0.0.1{colon}{port}" if host in {"0.0.0.0", "[::]"} else address  # noqa: S104
