"""Runs the request of a PredictionLog on one version, through the same methods that answer RPCs.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/saved_model_warmup.cc. The original calls what lies
below its RPCs, so a request's model name, version and label mean nothing; here ours are put in their place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from servable import wire
from servable.errors import InvalidArgument, Unimplemented
from servable.inference.classify import Classify
from servable.inference.multi_inference import MultiInference
from servable.inference.predict import Predict
from servable.inference.regress import Regress
from servable.methods import Method
from servable.routing import Handle, Router, Routes, Servable

_NAME, _VERSION = "warm-up", 1
# Any limit makes a runner prepare what calls with a deadline need, where it tells the two apart; this one ends no run
# that anybody would wait for.
_TIME_LIMIT_S = 24 * 3600.0


class Replay:
    """Executes logs on a version that is in no routes yet."""

    def __init__(self, servable: Servable, *, check_method_name: bool = False) -> None:
        """Set up the methods.

        Args:
            servable: The version.
            check_method_name: Refuse signatures of another kind of method, as the RPCs do.
        """
        router = Router(Routes([Handle(_NAME, _VERSION, servable)]))
        self._methods: Mapping[str, Method] = {
            "predict_log": Predict(router, check_method_name=check_method_name),
            "classify_log": Classify(router, check_method_name),
            "regress_log": Regress(router, check_method_name),
            "multi_inference_log": MultiInference(router, check_method_name),
        }

    def __call__(self, log: wire.PredictionLog) -> None:
        """Execute the request of a log; one without any is passed over.

        Raises:
            Unimplemented: for a log of SessionRun or PredictStreamed.
            ServingError: as the RPC raises it.
        """
        kind = log.WhichOneof("log_type")
        if kind is None:
            return
        if kind not in self._methods:
            number = wire.PredictionLog.DESCRIPTOR.fields_by_name[kind].number
            raise Unimplemented(f"Unsupported log_type for warmup: {number}", {"log_type": kind})
        request = getattr(log, kind).request
        if kind == "multi_inference_log":
            _address_tasks(request.tasks)
        else:
            _address(request.model_spec)
        self._methods[kind](request.SerializeToString(), _TIME_LIMIT_S)


def _address(spec: wire.ModelSpec) -> None:
    """Name our version; the signature stays."""
    spec.name = _NAME
    spec.ClearField("version_choice")


def _address_tasks(tasks: Sequence[wire.InferenceTask]) -> None:
    """Name our version wherever the first task's model is named; the method refuses another model, as the original."""
    recorded = [task.model_spec.name for task in tasks]
    if recorded[:1] == [""]:
        raise InvalidArgument("Found ModelSpec with an empty model name.")
    for task, name in zip(tasks, recorded, strict=True):
        if name == recorded[0]:
            _address(task.model_spec)
