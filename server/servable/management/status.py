"""GetModelStatus: the state of a model's versions.

Source of the behaviour: TensorFlow Serving, model_servers/get_model_status_impl.cc.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from servable import requests, wire
from servable.errors import NotFound
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.states import State, VersionState
from servable.routing import suggest


@dataclass(frozen=True, slots=True)
class GetModelStatus:
    """The GetModelStatus API. Safe to call from many threads.

    Attributes:
        monitor: Knows every version that was ever seen.
    """

    monitor: StateMonitor

    def __call__(self, request: bytes, time_left_s: float | None, /) -> bytes:
        """Answer a GetModelStatusRequest with a GetModelStatusResponse; see methods.Method."""
        del time_left_s  # Nothing here takes time.
        message = requests.parse(wire.GetModelStatusRequest, request)
        requests.require_model_spec(message.HasField("model_spec"))
        response = wire.GetModelStatusResponse()
        for version, known in self._select(message.model_spec).items():
            entry = response.model_version_status.add(version=version, state=int(known.state))
            entry.status.SetInParent()
            # What failed and is tried again is loading, with status OK, until the last try is over.
            if known.state is State.END and known.error is not None:
                entry.status.error_code = int(known.error.code)
                entry.status.error_message = known.error.message
        return response.SerializeToString()

    def _select(self, spec: wire.ModelSpec) -> Mapping[int, VersionState]:
        """One version if the spec names one, else all; a label is not looked at."""
        versions = self.monitor.versions(spec.name)
        if spec.HasField("version"):
            number = spec.version.value
            if number not in versions:
                raise NotFound(
                    f"Could not find version {number} of model {spec.name}",
                    {"known_versions": ", ".join(map(str, versions))},
                )
            return {number: versions[number]}
        if not versions:
            raise NotFound(
                f"Could not find any versions of model {spec.name}",
                suggest(spec.name, self.monitor.names(), "known_models"),
            )
        return versions
