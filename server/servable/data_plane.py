"""The data plane put together: the methods of PredictionService, and how their runs find a thread.

The public path runs a request on the thread that gRPC gave it; a lane runs it at once if it is quick and hands it to
the scheduler if it is not; batches come together on both. It must not know gRPC.
"""

from __future__ import annotations

import math

from servable.batching import timed_runs
from servable.batching.dispatch import Dispatcher, measure_hand_over
from servable.batching.scheduler import Scheduler
from servable.config.batching import BatchingConfig
from servable.inference.classify import Classify
from servable.inference.metadata import GetModelMetadata
from servable.inference.multi_inference import MultiInference
from servable.inference.predict import Predict
from servable.inference.regress import Regress
from servable.methods import LaneMethod, Method
from servable.options import ServerOptions, schedulable_cpus
from servable.routing import Router

SERVICE = "tensorflow.serving.PredictionService"


class DataPlane:
    """Start it before calls come, stop it after.

    Attributes:
        methods: All methods by full path, for threads that wait for the answer.
        lane_methods: Those that lanes take, by full path.
        on_overrun: To be called with the id of a lane's thread that runs something for too long.
    """

    def __init__(self, options: ServerOptions, batching: BatchingConfig | None, router: Router) -> None:
        """Put it together; nothing runs yet.

        Args:
            options: The flags.
            batching: How requests are batched; None if they are not.
            router: Finds versions.
        """
        self._scheduler = _make_scheduler(options, batching)
        dispatcher = Dispatcher(self._scheduler, _worth_handing_over_s())
        check, as_content = options.enable_signature_method_name_check, options.enable_serialization_as_tensor_content
        apis: dict[str, Predict | Classify | Regress | MultiInference] = {
            "Predict": Predict(router, as_content, check),
            "Classify": Classify(router, check),
            "Regress": Regress(router, check),
            "MultiInference": MultiInference(router, check),
        }
        # What lanes need not answer fast is none of theirs: the metadata of a large model takes milliseconds.
        self.methods: dict[str, Method] = {_path("GetModelMetadata"): GetModelMetadata(router)}
        self.lane_methods: dict[str, LaneMethod] = {}
        for name, api in apis.items():
            self.methods[_path(name)] = api if batching is None else dispatcher.waiting_method(api.begin)
            self.lane_methods[_path(name)] = dispatcher.lane_method(api.begin)
        self.on_overrun = timed_runs.suspend

    def start(self) -> None:
        """Start the threads."""
        self._scheduler.start()

    def stop(self) -> None:
        """Refuse what has not begun, and end the threads."""
        self._scheduler.stop()


def _make_scheduler(options: ServerOptions, batching: BatchingConfig | None) -> Scheduler:
    # The scheduler keeps one thread free for other models: so two at least, and one more than batches may run at once.
    if batching is None:
        return Scheduler(max(options.grpc_max_threads, 2))
    return Scheduler((batching.threads or schedulable_cpus()) + 1, batching.thread_name)


def _worth_handing_over_s() -> float:
    # Under load it takes several times what it takes a process that does nothing else: both threads, and those of gRPC,
    # wait for the interpreter in turn.
    return 3 * measure_hand_over() if schedulable_cpus() > 1 else math.inf


def _path(name: str) -> str:
    return f"/{SERVICE}/{name}"
