"""What the page shows of the models: versions, states, labels, signatures, and what a load took."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from servable import wire
from servable.codec import dtypes
from servable.lifecycle.monitor import StateMonitor
from servable.routing import Router, Routes
from servable.saved_model import INIT_OP_SIGNATURE
from servable.servables import Handle, Servable
from servable.signatures import Signature

Json = dict[str, Any]


class Load(Protocol):
    """What the load of a version took."""

    @property
    def seconds(self) -> float:
        """Its time."""

    @property
    def resident_bytes(self) -> int:
        """By how much the memory of the process grew."""


LoadOf = Callable[[Servable], "Load | None"]


def describe_models(router: Router, monitor: StateMonitor, load_of: LoadOf) -> list[Json]:
    """All models that are known, by name: those that serve, and those that failed or load."""
    routes = router.routes
    names = sorted({*monitor.names(), *(handle.name for handle in routes)})
    return [_describe_model(name, routes, monitor, load_of) for name in names]


def _describe_model(name: str, routes: Routes, monitor: StateMonitor, load_of: LoadOf) -> Json:
    handles = {handle.version: handle for handle in routes.of(name)}
    states = monitor.versions(name)
    labels = (routes.labels or {}).get(name, {})
    versions = []
    for version in sorted({*handles, *states}, reverse=True):
        known = states.get(version)
        about: Json = {
            "version": str(version),
            "state": "AVAILABLE" if known is None else known.state.name,
            "error": "" if known is None or known.error is None else known.error.message,
            "labels": sorted(label for label, of in labels.items() if of == version),
        }
        if version in handles:
            about |= _describe_loaded(handles[version], load_of)
        versions.append(about)
    return {"name": name, "versions": versions}


def _describe_loaded(handle: Handle, load_of: LoadOf) -> Json:
    load = load_of(handle.servable)
    signatures = handle.servable.signatures
    return {
        "load_seconds": None if load is None else load.seconds,
        "memory_bytes": None if load is None else load.resident_bytes,
        "signatures": [_describe_signature(signatures[key]) for key in sorted(signatures) if key != INIT_OP_SIGNATURE],
    }


def _describe_signature(signature: Signature) -> Json:
    definition = signature.definition
    return {
        "key": signature.key,
        "method": definition.method_name,
        "inputs": _describe_tensors(definition.inputs),
        "outputs": _describe_tensors(definition.outputs),
    }


def _describe_tensors(infos: Mapping[str, wire.TensorInfo]) -> list[Json]:
    return [
        {"alias": alias, "dtype": _name(infos[alias].dtype), "shape": _shape(infos[alias])} for alias in sorted(infos)
    ]


def _name(dtype: int) -> str:
    known = dtypes.BY_NUMBER.get(dtype) or dtypes.OPAQUE.get(dtype)
    return known.name if known else dtypes.name_of(dtype)


def _shape(info: wire.TensorInfo) -> list[int] | None:
    """The extents, -1 where any will do; None for any shape."""
    shape = info.tensor_shape
    return None if shape.unknown_rank else [dim.size for dim in shape.dim]
