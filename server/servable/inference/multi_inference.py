"""MultiInference: several classify and regress signatures of one model, over the same examples, in one run.

Source of the behaviour: TensorFlow Serving, servables/tensorflow/multi_inference.cc. The first task chooses the
version for all. A task's own method name decides whether it classifies or regresses, not the signature's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from servable import requests, wire
from servable.codec.encoding import encode_field
from servable.errors import InvalidArgument, Unimplemented
from servable.inference.classify import Classifier, make_classification_result, require_classifier
from servable.inference.examples import ExamplesRequest, Output, feed_examples, find_signature
from servable.inference.regress import Regressor, make_regression_result, require_regressor
from servable.routing import Router
from servable.servables import Handle
from servable.signatures import CLASSIFY_METHOD, REGRESS_METHOD

_RESULT = wire.MultiInferenceResponse.DESCRIPTOR.fields_by_name["results"].number
_CLASSIFICATION_RESULT = wire.InferenceResult.DESCRIPTOR.fields_by_name["classification_result"].number
_REGRESSION_RESULT = wire.InferenceResult.DESCRIPTOR.fields_by_name["regression_result"].number


@dataclass(frozen=True, slots=True)
class MultiInference:
    """The MultiInference API. Safe to call from many threads.

    Attributes:
        router: Finds the version.
        check_method_name: Refuse signatures of another kind of method.
        on_examples: Called with the name of the model and the number of examples that ran.
    """

    router: Router
    check_method_name: bool = False
    on_examples: Callable[[str, int], None] = lambda _model, _count: None

    def __call__(self, request: bytes, time_left_s: float | None, /) -> bytes:
        """Answer a MultiInferenceRequest with a MultiInferenceResponse; see methods.Method."""
        return requests.complete(self.begin(request), time_left_s)

    def begin(self, request: bytes) -> ExamplesRequest:
        """A MultiInferenceRequest on its way; see requests.Begin."""
        message = requests.parse(wire.MultiInferenceRequest, request)
        first = message.tasks[0].model_spec if message.tasks else wire.ModelSpec()
        handle = self.router.resolve(first)
        tasks = self._plan(handle, message.tasks)
        # Without repeats, in the order of the tasks.
        feeds = list(dict.fromkeys(task.feed for task in tasks))
        fetches = list(dict.fromkeys(name for task in tasks for name in task.fetches))

        def write(fetched: Mapping[str, Output], count: int) -> bytes:
            self.on_examples(handle.name, count)
            results = []
            for task in tasks:
                named = wire.InferenceResult()
                requests.name_version(named.model_spec, handle, task.key)
                results.append(named.SerializeToString() + task.write(fetched, count))
            return b"".join(encode_field(_RESULT, result) for result in results)

        return feed_examples(handle, feeds, fetches, message.input, write)

    def _plan(self, handle: Handle, tasks: Sequence[wire.InferenceTask]) -> list[_Task]:
        plans: list[_Task] = []
        for task in tasks:
            if not task.model_spec.name:
                raise InvalidArgument("Found ModelSpec with an empty model name.")
            if task.model_spec.name != handle.name:
                raise InvalidArgument(
                    "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
                    {"first": handle.name, "other": task.model_spec.name},
                )
            key = requests.signature_key(task.model_spec)
            if any(key == plan.key for plan in plans):
                raise InvalidArgument(f"Duplicate evaluation of signature: {key}")
            plans.append(self._plan_task(handle, key, task.method_name))
        return plans

    def _plan_task(self, handle: Handle, key: str, method: str) -> _Task:
        signature = find_signature(handle, key, "Requested signature not found in model graph: ")
        if method == CLASSIFY_METHOD:
            classifier = require_classifier(signature, check_method_name=self.check_method_name)
            return _Task(key, classifier.feed, list(classifier.fetches.values()), _write_classes(classifier))
        if method == REGRESS_METHOD:
            regressor = require_regressor(signature, check_method_name=self.check_method_name)
            return _Task(key, regressor.feed, [regressor.fetch], _write_values(regressor))
        raise Unimplemented(
            f"Unsupported signature method_name: {method}",
            {"supported": f"{CLASSIFY_METHOD}, {REGRESS_METHOD}"},
        )


_WriteResult = Callable[[Mapping[str, Output], int], bytes]
"""Makes the field of an InferenceResult that holds what a task gave."""


@dataclass(frozen=True, slots=True)
class _Task:
    """One task: what it needs of the common run, and how its result is written from what the run gave."""

    key: str
    feed: str
    fetches: Sequence[str]
    write: _WriteResult


def _write_classes(classifier: Classifier) -> _WriteResult:
    def write(fetched: Mapping[str, Output], count: int) -> bytes:
        return encode_field(_CLASSIFICATION_RESULT, make_classification_result(classifier, fetched, count))

    return write


def _write_values(regressor: Regressor) -> _WriteResult:
    def write(fetched: Mapping[str, Output], count: int) -> bytes:
        result = make_regression_result(regressor, fetched, count)
        return encode_field(_REGRESSION_RESULT, result.SerializeToString())

    return write
