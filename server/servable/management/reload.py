"""HandleReloadConfigRequest: a new list of models while the server runs.

Source of the behaviour: TensorFlow Serving, model_servers/model_service_impl.cc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from servable import requests, wire
from servable.config import models
from servable.errors import InvalidArgument
from servable.management.served_models import ServedModels, wait_until_settled
from servable.methods import OnGone

ReadMetrics = Callable[[Iterable[str]], Mapping[str, int]]
"""The value of each metric now, by its name; 0 for one that is not known."""


def _never(_callback: Callable[[], None], /) -> None:
    """A caller who stays."""


@dataclass(frozen=True, slots=True)
class HandleReloadConfigRequest:
    """The HandleReloadConfigRequest API. Safe to call from many threads.

    Attributes:
        served_models: Takes the new config.
        read_metrics: Reads the metrics whose increase is asked for.
    """

    served_models: ServedModels
    read_metrics: ReadMetrics

    def __call__(self, request: bytes, time_left_s: float | None, on_gone: OnGone = _never, /) -> bytes:
        """Answer a ReloadConfigRequest with a ReloadConfigResponse; see methods.Method.

        A caller who goes away ends the wait, not the change.

        Raises:
            InvalidArgument: if the config is not valid. Nothing has changed then.
            FailedPrecondition: if a label may not be assigned. Nothing has changed then.
            Unknown: if a new model did not become available. The config is applied.
            DeadlineExceeded: if the caller's time is over before all new models are there. The config is applied.
        """
        message = requests.parse(wire.ReloadConfigRequest, request)
        if message.config.WhichOneof("config") != "model_config_list":
            raise InvalidArgument(
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported"
            )
        before = self.read_metrics(message.metric_names)
        configs = models.from_list(message.config.model_config_list, self.served_models.names)
        change = self.served_models.apply(configs)
        on_gone(partial(change.arrivals.give_up, change.new_names))
        wait_until_settled(change, time_left_s)
        return _response(before, self.read_metrics(message.metric_names)).SerializeToString()


def _response(before: Mapping[str, int], after: Mapping[str, int]) -> wire.ReloadConfigResponse:
    response = wire.ReloadConfigResponse()
    response.status.SetInParent()
    for name, value in after.items():
        response.metric.add(name=name, int64_value_increase=value - before[name])
    return response
