"""The data plane put together: the methods of PredictionService, and how their runs find a thread.

The public path runs a request on the thread that gRPC gave it; a lane runs it at once if it is quick and hands it to
the scheduler if it is not; batches come together on both. It must not know gRPC.
"""

from __future__ import annotations

from servable.batching.dispatcher import Dispatcher
from servable.batching.scheduler import Scheduler
from servable.batching.turns import Turns, waiting_method
from servable.config.batching import BatchingConfig
from servable.inference.classify import Classify
from servable.inference.metadata import GetModelMetadata
from servable.inference.multi_inference import MultiInference
from servable.inference.predict import Predict
from servable.inference.regress import Regress
from servable.methods import LaneMethod, Method, inline
from servable.options import ServerOptions, schedulable_cpus
from servable.routing import Router

SERVICE = "tensorflow.serving.PredictionService"


class DataPlane:
    """Start it before calls come, stop it after.

    Attributes:
        methods: All methods by full path, for threads that wait for the answer.
        lane_methods: All methods by full path, for lanes.
    """

    def __init__(self, options: ServerOptions, batching: BatchingConfig | None, router: Router) -> None:
        """Put it together; nothing runs yet.

        Args:
            options: The flags.
            batching: How requests are batched; None if they are not.
            router: Finds versions.
        """
        self._scheduler = _make_scheduler(options, batching)
        # One thread stays free for other models.
        dispatcher = Dispatcher(self._scheduler, max(options.grpc_max_threads - 1, 1))
        self._turns = Turns(dispatcher)
        check, as_content = options.enable_signature_method_name_check, options.enable_serialization_as_tensor_content
        metadata = GetModelMetadata(router)
        apis: dict[str, Predict | Classify | Regress | MultiInference] = {
            "Predict": Predict(router, as_content, check),
            "Classify": Classify(router, check),
            "Regress": Regress(router, check),
            "MultiInference": MultiInference(router, check),
        }
        self.methods: dict[str, Method] = {_path("GetModelMetadata"): metadata}
        self.lane_methods: dict[str, LaneMethod] = {_path("GetModelMetadata"): inline(metadata)}
        for name, api in apis.items():
            self.methods[_path(name)] = api if batching is None else waiting_method(dispatcher, api.steps)
            self.lane_methods[_path(name)] = self._turns.method(api.steps)
        self.on_idle = None if batching is None else self._turns.run_all

    def start(self) -> None:
        """Start the threads."""
        self._scheduler.start()

    def stop(self) -> None:
        """Refuse what has not begun, and end the threads."""
        self._scheduler.stop()


def _make_scheduler(options: ServerOptions, batching: BatchingConfig | None) -> Scheduler:
    if batching is None:
        return Scheduler(max(options.grpc_max_threads, 1))
    return Scheduler(batching.threads or schedulable_cpus(), batching.thread_name)


def _path(name: str) -> str:
    return f"/{SERVICE}/{name}"
