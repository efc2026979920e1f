"""The two methods of ModelService: GetModelStatus and HandleReloadConfigRequest.

Source of the behaviour: TensorFlow Serving, model_servers/get_model_status_impl.cc and model_service_impl.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from servable import requests, wire
from servable.calls import NO_CONTEXT, EndableContext
from servable.config import models
from servable.errors import Internal, InvalidArgument, NotFound
from servable.lifecycle.monitor import StateMonitor
from servable.lifecycle.version import State, VersionState
from servable.management.served_models import ServedModels, wait_until_settled
from servable.routing import suggest

ReadMetrics = Callable[[Iterable[str]], Mapping[str, int]]
"""The current value of each metric, by its name; 0 for a metric that there is not."""


@dataclass(frozen=True, slots=True)
class GetModelStatus:
    """The GetModelStatus API. Safe to call from many threads.

    Attributes:
        monitor: Has the state of every version that this process ever had.
    """

    monitor: StateMonitor

    def __call__(self, request: bytes, time_left_s: float | None, /) -> bytes:
        """Answer a GetModelStatusRequest with a GetModelStatusResponse; see methods.Method. A label is ignored."""
        del time_left_s  # Nothing here takes time.
        message = requests.parse(wire.GetModelStatusRequest, request)
        requests.require_model_spec(message.HasField("model_spec"))
        spec = message.model_spec
        version = spec.version.value if spec.HasField("version") else None
        return make_status(self.monitor, spec.name, version).SerializeToString()


def make_status(monitor: StateMonitor, name: str, version: int | None) -> wire.GetModelStatusResponse:
    """The states of a model's versions.

    Args:
        monitor: Has them.
        name: Of the model.
        version: One version; None for all.

    Raises:
        NotFound: if there never was such a version, or any.
    """
    response = wire.GetModelStatusResponse()
    for number, known in _select(monitor, name, version).items():
        entry = response.model_version_status.add(version=number, state=int(known.state))
        entry.status.SetInParent()
        # A version whose load is tried again after a failure is loading, with status OK.
        if known.state is State.END and known.error is not None:
            entry.status.error_code = int(known.error.code)
            entry.status.error_message = known.error.message
    return response


def _select(monitor: StateMonitor, name: str, version: int | None) -> Mapping[int, VersionState]:
    versions = monitor.versions(name)
    if version is not None:
        if version not in versions:
            raise NotFound(
                f"Could not find version {version} of model {name}",
                {"known_versions": ", ".join(map(str, versions))},
            )
        return {version: versions[version]}
    if not versions:
        raise NotFound(f"Could not find any versions of model {name}", suggest(name, monitor.names(), "known_models"))
    return versions


@dataclass(frozen=True, slots=True)
class HandleReloadConfigRequest:
    """The HandleReloadConfigRequest API. Safe to call from many threads.

    Attributes:
        served_models: Takes the new config.
        read_metrics: Reads the metrics whose increase is asked for.
        may_log: Whether a config may ask for request logs (--allow_request_logging_by_reload).
    """

    served_models: ServedModels
    read_metrics: ReadMetrics
    may_log: bool = False

    def __call__(self, request: bytes, time_left_s: float | None, context: EndableContext = NO_CONTEXT, /) -> bytes:
        """Answer a ReloadConfigRequest with a ReloadConfigResponse; see methods.Method.

        A call that is cancelled ends the wait; the config stays applied.

        Raises:
            InvalidArgument: if the config is not valid. Nothing has changed then.
            FailedPrecondition: if a label may not be assigned. Nothing has changed then.
            Unknown: if a new model did not become available. The config is applied.
            DeadlineExceeded: if the deadline passes before all new models are available. The config is applied.
        """
        message = requests.parse(wire.ReloadConfigRequest, request)
        if message.config.WhichOneof("config") != "model_config_list":
            raise InvalidArgument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        before = self.read_metrics(message.metric_names)
        for config in message.config.model_config_list.config:
            requests.restore_map_entries(config, "version_labels")
        configs = models.from_list(message.config.model_config_list, self.served_models.names, may_log=self.may_log)
        change = self.served_models.apply(configs)
        context.on_end(partial(change.progress.stop_waiting_for, change.new_names))
        wait_until_settled(change, time_left_s)
        return _response(before, self.read_metrics(message.metric_names)).SerializeToString()


def names_in(request: bytes) -> Sequence[str]:
    """The models that a ReloadConfigRequest names; none if it does not parse, so that it will be refused."""
    try:
        message = requests.parse(wire.ReloadConfigRequest, request)
    except Internal:
        return ()
    return [config.name for config in message.config.model_config_list.config]


def _response(before: Mapping[str, int], after: Mapping[str, int]) -> wire.ReloadConfigResponse:
    response = wire.ReloadConfigResponse()
    response.status.SetInParent()
    for name, value in after.items():
        response.metric.add(name=name, int64_value_increase=value - before[name])
    return response
