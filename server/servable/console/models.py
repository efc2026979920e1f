"""What the page shows of models: their versions with states, labels and loads, and a version's signatures.

Names are quoted for URLs here, since a name may hold bytes that are no text, which JavaScript cannot quote.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol
from urllib.parse import quote

from servable import wire
from servable.codec import dtypes
from servable.errors import ServingError
from servable.inference.classify import require_classifier
from servable.inference.regress import require_regressor
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import State, VersionState
from servable.routing import Labels, Router
from servable.saved_model import INIT_OP_SIGNATURE
from servable.servables import Servable
from servable.signatures import CLASSIFY_METHOD, REGRESS_METHOD, Signature

Json = dict[str, Any]

MOST_MODELS: Final = 2000
# A server never forgets a version, and one that gets a new version each hour has thousands in a year.
_MOST_ENDED: Final = 5
_FAILED: Final = "failed"
# The first is no name in a URL, and a browser takes the others out of each.
_WITHOUT_URL: Final = frozenset({"", ".", ".."})
_IN_JSON: Final = frozenset(
    {wire.DT_FLOAT, wire.DT_DOUBLE, wire.DT_BOOL, wire.DT_STRING}
    | {wire.DT_INT8, wire.DT_INT16, wire.DT_INT32, wire.DT_INT64}
    | {wire.DT_UINT8, wire.DT_UINT32, wire.DT_UINT64}
)


class Load(Protocol):
    """What a load took."""

    @property
    def seconds(self) -> float:
        """Its time."""

    @property
    def resident_bytes(self) -> int:
        """By how much the resident memory of the process grew."""


class Models:
    """Describes the models of a server. Thread-safe."""

    def __init__(
        self,
        router: Router,
        monitor: StateMonitor,
        load_of: Callable[[Servable], Load | None],
        *,
        check_method_name: bool = False,
    ) -> None:
        """Describe what these know.

        Args:
            router: Has what is loaded, and labels.
            monitor: Has the states of versions.
            load_of: What the load of a version took, if that is known.
            check_method_name: Whether Classify and Regress refuse signatures with another's method name.
        """
        self._router, self._monitor, self._load_of = router, monitor, load_of
        self._check_method_name = check_method_name
        self._changes = 0
        self._labels: Labels | None = None
        monitor.listen(lambda _servable, _state: self._note_change())

    def revision(self) -> int:
        """Another number whenever `describe` has something new to say. To be called by one thread at a time."""
        labels = self._router.routes.labels
        if labels is not self._labels:
            self._labels = labels
            self._note_change()
        return self._changes

    def describe(self) -> Json:
        """All models, without their signatures. It takes some microseconds for each version."""
        names = sorted(self._monitor.names())
        return {
            "models": [self._describe_model(name) for name in names[:MOST_MODELS]],
            "not_shown": max(len(names) - MOST_MODELS, 0),
        }

    def describe_signatures(self, name: str, version: int) -> Sequence[Json] | None:
        """The signatures of a version; None if it is not loaded."""
        handle = self._router.routes.get(name, version)
        if handle is None:
            return None
        signatures = handle.servable.signatures
        return [self._describe_signature(signatures[key]) for key in sorted(signatures.keys() - {INIT_OP_SIGNATURE})]

    def _note_change(self) -> None:
        # Two at the same time may count as one: whoever looks after that sees both.
        self._changes += 1

    def _describe_model(self, name: str) -> Json:
        versions = self._monitor.versions(name)
        routes = self._router.routes
        return {
            "name": name,
            "id": _quote(name),
            "url": None if name in _WITHOUT_URL else f"v1/models/{_quote(name)}",
            "labels": dict((routes.labels or {}).get(name, {})),
            "versions": [self._describe_version(name, number, known) for number, known in _choose(versions)],
            "version_count": len(versions),
        }

    def _describe_version(self, name: str, number: int, known: VersionState) -> Json:
        handle = self._router.routes.get(name, number)
        load = None if handle is None else self._load_of(handle.servable)
        has_failed = known.state is State.END and known.error is not None
        return {
            # A number of 64 bits is more than JavaScript can count to.
            "version": str(number),
            "state": _FAILED if has_failed else known.state.name.lower(),
            "error": None if known.error is None else known.error.message,
            "load_seconds": None if load is None else load.seconds,
            "memory_bytes": None if load is None else load.resident_bytes,
        }

    def _describe_signature(self, signature: Signature) -> Json:
        inputs, outputs = signature.definition.inputs, signature.definition.outputs
        return {
            "key": signature.key,
            "method": signature.definition.method_name,
            "apis": list(self._apis(signature)),
            "inputs": [_describe_tensor(alias, inputs[alias]) for alias in sorted(inputs)],
            "outputs": [_describe_tensor(alias, outputs[alias]) for alias in sorted(outputs)],
        }

    def _apis(self, signature: Signature) -> Iterator[str]:
        """The APIs that can run a signature over REST, the one that it was made for first."""
        check = self._check_method_name
        found = [
            api
            for api, require in (("classify", require_classifier), ("regress", require_regressor))
            if _is_accepted(require, signature, check_method_name=check)
        ]
        infos = [*signature.definition.inputs.values(), *signature.definition.outputs.values()]
        if signature.inputs and signature.outputs and all(info.dtype in _IN_JSON for info in infos):
            is_made_for_others = signature.definition.method_name in {CLASSIFY_METHOD, REGRESS_METHOD}
            found.insert(len(found) if is_made_for_others else 0, "predict")
        yield from found


def _is_accepted(require: Callable[..., object], signature: Signature, *, check_method_name: bool) -> bool:
    try:
        require(signature, check_method_name=check_method_name)
    except ServingError:
        return False
    return True


def _choose(versions: Mapping[int, VersionState]) -> Iterator[tuple[int, VersionState]]:
    """The versions that have not ended, and the highest of those that have."""
    ended = itertools.count()
    return (
        (number, known)
        for number, known in versions.items()
        if known.state is not State.END or next(ended) < _MOST_ENDED
    )


def _describe_tensor(alias: str, info: wire.TensorInfo) -> Json:
    shape = info.tensor_shape
    return {
        "name": alias,
        "dtype": dtypes.name_of(info.dtype).removeprefix("DT_").lower(),
        # None for any size, and in place of all if their number is open.
        "shape": None if shape.unknown_rank else [None if dim.size < 0 else dim.size for dim in shape.dim],
    }


def _quote(name: str) -> str:
    return quote(name, safe="", errors="surrogateescape")
